"""The search among growing changes, and candidate changes of a spec."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from erfscope_contract.architecture import Architecture, check
from erfscope_engine.advice.narrow import narrowed
from erfscope_engine.advice.search import one_of_each, search, smallest
from erfscope_engine.advice.spec import Candidate, families

CONV = {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}


@dataclass(frozen=True)
class Steps:
    """Sizes as changes; 0 is an invalid one."""

    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.sizes)

    @property
    def make(self) -> Callable[[int], int | None]:
        return lambda n: self.sizes[n] or None


@pytest.mark.parametrize("want", [1, 2, 7, 8, 9, 31, 32])
def test_the_first_that_reaches_is_found(want: int) -> None:
    looked: list[int] = []

    def size_of(change: int) -> float:
        looked.append(change)
        return float(change)

    found = smallest(Steps((1, 2, 4, 8, 16, 32)), want, size_of)
    assert found is not None
    assert found.change == next(n for n in (1, 2, 4, 8, 16, 32) if n >= want)
    assert len(looked) <= 4


def test_what_never_reaches_gives_its_largest_valid_member() -> None:
    found = smallest(Steps((1, 2, 4, 0, 0)), 100, float)
    assert found is not None
    assert found.change == 4
    assert smallest(Steps((0, 0)), 100, float) is None
    assert [trial.change for trial in search([Steps((1, 3)), Steps((2, 9)), Steps((0,))], 100, 0, float, 2)] == [9, 3]
    assert [trial.change for trial in search([Steps((1, 3)), Steps((2, 9))], 5, 0, float, 2)] == [9]


def test_sizes_that_fall_again_are_searched_to_the_end() -> None:
    """A wide dilation leaves holes: the largest change is not the one of the largest size."""
    assert [trial.change for trial in search([Steps((5, 8, 2)), Steps((3, 1))], 7, 4, float, 2)] == [8]
    assert [trial.change for trial in search([Steps((5, 6, 2)), Steps((3, 1))], 7, 4, float, 2)] == [6]


def test_what_is_no_larger_than_without_a_change_is_not_found() -> None:
    assert search([Steps((1, 3)), Steps((2, 4))], 100, 4, float, 2) == []


def test_one_of_each_kind_comes_first() -> None:
    assert one_of_each(["a1", "a2", "b1", "a3", "c1"], lambda name: name[0], 4) == ["a1", "b1", "c1", "a2"]


def _spec(*layers: Any, size: int = 64, **fields: Any) -> Architecture:
    return Architecture.model_validate({"input": {"size": [size, size]}, "layers": list(layers), **fields})


def _candidates(spec: Architecture, kind: str) -> list[Candidate]:
    found = []
    for family in families(spec, None, in_place=False):
        if family.kind == kind:
            found += [one for n in range(family.size) if (one := family.make(n)) is not None]
    return found


SPEC = _spec(
    {**CONV, "name": "stem", "stride": 2},
    {"type": "relu"},
    {"type": "residual", "layers": [CONV, {"type": "relu"}, {**CONV, "kernel_size": [3, 5], "padding": [1, 2]}]},
    {"type": "repeat", "times": 2, "layers": [{**CONV, "padding": "same"}, {"type": "relu"}]},
)


@pytest.mark.parametrize("kind", ["dilation", "kernel_size", "depth"])
def test_changes_keep_every_shape(kind: str) -> None:
    found = _candidates(SPEC, kind)
    assert len(found) > 10
    last = check(SPEC)[-1].shape
    for one in found:
        assert check(one.architecture)[-1].shape == last
        assert all(edit.before != edit.after for edit in one.edits)


def test_a_dilation_says_what_it_is() -> None:
    first = _candidates(SPEC, "dilation")[0]
    (edit,) = first.edits
    assert (edit.layer, edit.field, edit.before, edit.after) == ("stem", "dilation", "1", "2")
    assert (
        first.architecture.model_dump()["layers"][0] | {"padding": 2, "dilation": 2}
        == (first.architecture.model_dump()["layers"][0])
    )
    paths = {edit.layer for one in _candidates(SPEC, "dilation") for edit in one.edits}
    assert paths == {"stem", "residual_2.conv_0", "residual_2.conv_2", "repeat_3.*.conv_0"}


def test_strides_that_break_a_sum_are_no_candidates() -> None:
    assert {edit.layer for one in _candidates(SPEC, "stride") for edit in one.edits} == {"stem", "repeat_3.*.conv_0"}


def test_depth_repeats_a_convolution_with_what_belongs_to_it() -> None:
    spec = _spec(CONV, {"type": "batch_norm"}, {"type": "relu"}, {"type": "max_pool", "kernel_size": 2})
    first = _candidates(spec, "depth")[0].architecture.model_dump(mode="json")["layers"]
    assert [layer["type"] for layer in first] == ["repeat", "max_pool"]
    assert first[0]["times"] == 2
    assert [layer["type"] for layer in first[0]["layers"]] == ["conv", "batch_norm", "relu"]
    assert families(spec, None, in_place=True)[-1].kind != "depth"


def test_channel_counts_lose_their_common_divisor() -> None:
    depthwise = {"type": "conv", "kernel_size": 3, "groups": "depthwise"}
    spec = _spec({**CONV, "out_channels": 64}, {**CONV, "out_channels": 96}, depthwise)
    counts = [layer.get("out_channels") for layer in narrowed(spec).model_dump()["layers"]]
    assert counts == [2, 3, None]
    grouped = _spec({**CONV, "out_channels": 64}, {"type": "group_norm", "num_groups": 8})
    assert narrowed(grouped) is grouped
