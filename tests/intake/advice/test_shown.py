"""The tables that people see: their limits, and multiply-adds against torch's own count; and that faults are seen."""

from pathlib import Path

import pytest
from benchmarks.advice import Case, cases, faults

from erfscope_contract.advice import Advice, Edit
from erfscope_intake.advice import advise


@pytest.fixture(scope="module", params=["luo-conv", "tcn"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Advice]:
    """The light ones of `python -m benchmarks.advice`; what is expected alone, nothing measured."""
    folder: Path = tmp_path_factory.mktemp("models")
    case = next(one for one in cases(folder) if one.name == request.param)
    return case, advise(case.request(verify=0))


def test_the_first_three_changes_are_such_as_a_good_architect_makes(shown: tuple[Case, Advice]) -> None:
    case, advice = shown
    assert len(advice.changes) >= 3
    assert faults(case, advice) == []


def test_a_huge_change_or_a_wrong_count_is_a_fault(shown: tuple[Case, Advice]) -> None:
    case, advice = shown
    first = advice.changes[0]
    edits = [
        Edit(layer="a", field="dilation", before="1", after="[1, 12]"),
        Edit(layer="b", field="kernel_size", before="3", after="33"),
        Edit(layer="c", field="times", before="2", after="5"),
        Edit(layer="d", field="dilation", before="1", after="8"),
    ]
    wrong = first.model_copy(update={"edits": edits, "lattice": 0.6, "added_macs": first.added_macs + 1})
    told = faults(case, advice.model_copy(update={"changes": [wrong]}))
    assert [one.removeprefix(f"{first.text}: ") for one in told] == [
        "dilation [1, 12]", "kernel_size 33", "times 5", "lattice score 0.6",
        f"{first.added_macs + 1} multiply-adds are not half of torch's FLOPs",
    ]  # fmt: skip
    assert faults(case, advice.model_copy(update={"changes": []})) == [f"{case.name} has no change"]
