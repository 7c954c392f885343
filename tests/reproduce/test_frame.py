"""The frame: which claims there are, what a name means, what a broken one costs, how numbers are judged and shown."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from erfscope._errors import APIError, ErfscopeError
from erfscope.cli.failure import problem_of
from erfscope_contract.problem import ProblemError
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.data import Folders
from erfscope_reproduce.finding import Finding, Quantity, Row, Verdict, joined, mean_of
from erfscope_reproduce.judge import above, agrees, below, exact, within
from erfscope_reproduce.run import run
from erfscope_reproduce.table import CLAIMS, Claim, choose


def test_every_row_of_the_science_has_one_claim() -> None:
    ids = [claim.id for claim in CLAIMS]
    assert ids[:21] == [*(f"S{number}" for number in range(1, 21)), "S20b"]
    assert ids[21:] == ["S21", "S22", "S23", "S24", "S25", "S26", "S27", "S28"]  # what came after the article
    assert len({claim.find for claim in CLAIMS}) == len({claim.title for claim in CLAIMS}) == len(ids)


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["s10", "S3"], ["S3", "S10"]),
        (["figure-4"], ["S6", "S7"]),
        (["Figure-5"], ["S11", "S12"]),
        (["training"], ["S11"]),
        (["segmentation", "s12"], ["S12"]),
        (["all"], [claim.id for claim in CLAIMS]),
    ],
)
def test_names_of_claims_and_figures(words: list[str], ids: list[str]) -> None:
    assert [claim.id for claim in choose(words)] == ids


def test_a_name_that_is_not_known_says_which_are() -> None:
    with pytest.raises((APIError, ErfscopeError, ProblemError), match=r"'figure-9'.*figure-3"):
        choose(["figure-9"])


def _fine(bench: object) -> Finding:
    return Finding([Row("S1", "c", "p", Quantity(1.0, 0.0), Verdict.MEASURED, "h")])


def _broken(bench: object) -> Finding:
    raise ZeroDivisionError("a map of nothing")


def test_a_claim_that_breaks_is_a_row_and_the_others_go_on() -> None:
    claims, told, heard = [Claim("S1", "one", _broken), Claim("S2", "two", _fine)], [], []
    outcomes = run(claims, Bench(quick=True), hear=lambda what, share: heard.append(share), tell=told.append)
    assert told == outcomes
    assert [outcome.crashed for outcome in outcomes] == [True, False]
    (row,) = outcomes[0].finding.rows
    assert row.verdict is Verdict.CRASHED
    assert "a map of nothing" in row.note
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (above(Quantity(1.1, 0.01), 1.0), Verdict.CONFIRMED),
        (above(Quantity(1.1, 0.06), 1.0), Verdict.UNDECIDED),
        (above(Quantity(0.9, 0.01), 1.0), Verdict.REFUTED),
        (above(Quantity(1.1), 1.0), Verdict.CONFIRMED),
        (below(Quantity(0.9, 0.01), 1.0), Verdict.CONFIRMED),
        (below(Quantity(1.1, 0.01), 1.0), Verdict.REFUTED),
        (within(Quantity(0.52, 0.01), 0.5, 0.05), Verdict.CONFIRMED),
        (within(Quantity(0.52, 0.3), 0.5, 0.05), Verdict.UNDECIDED),
        (within(Quantity(0.6, 0.01), 0.5, 0.05), Verdict.REFUTED),
        (within(Quantity(0.6, 0.1), 0.5, 0.05), Verdict.UNDECIDED),
        (agrees(Quantity(0.54, 0.01), 0.56, 0.005), Verdict.CONFIRMED),
        (agrees(Quantity(0.53, 0.01), 0.56, 0.005), Verdict.REFUTED),
        (agrees(Quantity(0.5, 0.4), 0.56, 0.005), Verdict.UNDECIDED),
        (exact(1e-13, 1e-12), Verdict.CONFIRMED),
        (exact(1e-11, 1e-12), Verdict.REFUTED),
        (exact(math.inf, 1e-12), Verdict.REFUTED),
    ],
)
def test_two_standard_errors_decide(verdict: Verdict, expected: Verdict) -> None:
    assert verdict is expected


def test_errors_go_through_differences_and_ratios() -> None:
    a, b = Quantity(6.0, 0.3), Quantity(3.0, 0.4)
    assert (a - b).value == 3
    assert (a - b).error == pytest.approx(0.5)
    assert (a / b).value == 2
    assert (a / b).error == pytest.approx(2 * math.hypot(0.3 / 6, 0.4 / 3))
    assert (a - Quantity(1.0)).error is None
    assert (a / Quantity(2.0, 0.0)).error == pytest.approx(0.15)
    assert joined(3.0, 4.0) == 5
    assert mean_of([1.0, 2.0, 3.0]) == Quantity(2.0, math.sqrt(1 / 3))
    assert mean_of([2.0]) == Quantity(2.0, None)


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        (Quantity(0.5367, 0.0091), "0.5367 ± 0.0091"),
        (Quantity(22.583, 0.337), "22.58 ± 0.34"),
        (Quantity(505.0, 0.0), "505"),
        (Quantity(2.2e-16, 0.0), "2.2e-16"),
        (Quantity(203.4, 12.0), "203 ± 12"),
        (Quantity(1.5), "1.5"),
        (Quantity(math.nan), "–"),
        (Quantity(math.inf, 0.0), "inf"),
    ],
)
def test_numbers_as_a_report_shows_them(quantity: Quantity, words: str) -> None:
    row = Row("S1", "c", "p", quantity, Verdict.MEASURED, "h")
    assert row.answer == words
    assert replace(row, unit="px").answer == f"{words} px"


def _cifar_in(folder: Path, data: bytes = b"short") -> Path:
    folder.mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (folder / name).write_bytes(data)
    return folder


def _camvid_in(folder: Path) -> Path:
    (folder / "trainannot").mkdir(parents=True)
    return folder


def test_each_claim_takes_the_folder_that_is_its_data(tmp_path: Path) -> None:
    scenes, images = _camvid_in(tmp_path / "scenes"), _cifar_in(tmp_path / "images")
    for order in ([scenes, images], [images, scenes]):
        assert Folders.of(order, ["S3", "S11", "S12"]) == Folders(cifar10=images, camvid=scenes)
    assert Folders.of([images], ["S11"]) == Folders(cifar10=images)
    assert Folders.of([], ["S3"]) == Folders() == Bench(quick=True).data


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    scenes, images, more = _camvid_in(tmp_path / "a"), _cifar_in(tmp_path / "b"), _cifar_in(tmp_path / "c")
    neither = tmp_path / "d"
    neither.mkdir()
    for given, claims, words in (
        ([tmp_path / "none"], ["S11"], "is not a folder"),
        ([neither], ["S11"], "neither the binary version of CIFAR-10.*nor CamVid"),
        ([images, more], ["S11", "S12"], r"b and --data .*c are both CIFAR-10"),
        ([images], ["S12"], "is CIFAR-10, which S11 trains on"),
        ([scenes], ["S3", "S11"], "is CamVid, which S12 trains on"),
    ):
        with pytest.raises(ErfscopeError, match=words):
            Folders.of(given, claims)
    (neither / "data_batch_1").write_bytes(b"\x80\x04.")
    with pytest.raises(ErfscopeError, match="pickles"):
        Folders.of([neither], ["S11"])


def test_data_that_is_damaged_is_a_crash_with_words(tmp_path: Path) -> None:
    claims, folders = choose(["training"]), Folders(cifar10=_cifar_in(tmp_path / "images"))
    bench = Bench(quick=True, data=folders)
    first, second = run([*claims, Claim("S2", "two", _fine)], bench, hear=lambda *_: None, tell=lambda _: None)
    assert "holds 5 bytes" in first.finding.rows[0].note
    assert not second.crashed


def test_a_missing_package_names_its_extra() -> None:
    problem = problem_of(ModuleNotFoundError("No module named 'sklearn'", name="sklearn.datasets"))
    assert "pip install 'erfscope[local,reproduce]'" in problem.detail
