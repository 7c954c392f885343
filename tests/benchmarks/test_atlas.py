"""The atlas: rows against published fields, a network over its limit as a row that says so, a run that goes on."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from benchmarks import atlas
from benchmarks.atlas_networks import Entry, entries, of_family
from benchmarks.children import Ending, in_child
from benchmarks.timm_networks import families

ROOT = Path(__file__).parents[2]
ALEXNET = Entry("torchvision", "alexnet", "alexnet")


LARGE, SMALL = 10**9, 10**8  # multiply-adds that a network may have: AlexNet has 0.7 · 10⁹


@pytest.fixture(scope="module")
def rows() -> dict[int, tuple[Any, str]]:
    """AlexNet's row by limit, from children of one process in which autograd never ran, as the atlas makes them."""
    lines = ["import json", "from benchmarks import atlas_row", "from benchmarks.children import in_child",
             f"for limit in {[LARGE, SMALL]}:",
             f"    ending = in_child(atlas_row.measured, {vars(ALEXNET)}, limit, limit=400)",
             "    print(json.dumps([limit, ending.value, ending.words]))"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return {limit: (value, words) for limit, value, words in told}


def test_alexnet_has_the_published_field(rows: dict[int, tuple[Any, str]]) -> None:
    row, words = rows[LARGE]
    assert row is not None, words
    assert row["trf"] == [195, 195], "Araujo et al. 2019 for AlexNet v2"
    assert row["stride"] == [32, 32]
    assert row["parameters"] == 61_100_840
    assert row["verify"] < 1e-5
    assert (row["border"], row["depth"], row["weighted_layers"]) == (None, 5, 5), "no field is larger than 224"
    assert row["samples"] == 8
    assert 0 < row["mass_50"] < row["erf"] < 195
    convolutions = 55**2 * 64 * 3 * 11**2 + 27**2 * 192 * 64 * 5**2 + 13**2 * 9 * (384 * 192 + 256 * 384 + 256 * 256)
    products = 4096 * (256 * 6 * 6 + 4096 + 1000)
    assert row["macs"] == convolutions + products


def test_networks_come_from_torchvision_first() -> None:
    first = list(islice(entries(), 30))
    assert ALEXNET in first
    assert len(set(first)) == 30
    assert {entry.source for entry in first} == {"torchvision"}


def test_a_costly_network_is_a_row_that_says_so(rows: dict[int, tuple[Any, str]]) -> None:
    row, words = rows[SMALL]
    assert row is not None, words
    assert row["refused"] == "left out: 0.7 G multiply-adds, more than 0.1 G"
    assert "erf" not in row


def test_the_first_of_a_family_are_those_whose_names_promise_to_be_small() -> None:
    assert of_family("convnext")[0] == "convnext_atto"
    assert not {"beit_large_patch16_224", "beitv2_large_patch16_224"} & set(of_family("beit")[:3])
    chosen = list(entries())
    assert len(chosen) == len({(entry.source, entry.network) for entry in chosen})
    assert {entry.family for entry in chosen if entry.source == "timm"} == set(families())


def _hungry() -> int:
    return len(bytearray(1 << 30))


def test_a_child_has_no_more_memory_than_it_is_given() -> None:
    ending = in_child(_hungry, limit=60, memory=1 << 29)
    assert ending.failure == "CRASH"
    assert "MemoryError" in ending.words


def test_a_run_goes_on_and_a_failure_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def child(function: object, entry: dict[str, Any], inputs: int, **limits: object) -> Ending:
        asked.append(entry["network"])
        return Ending(None, "HANG", "over 120 s", 120.0) if entry["network"] == "b" else Ending({"trf": [3]})

    monkeypatch.setattr(atlas, "in_child", child)
    chosen = [Entry("timm", "f", name) for name in "abc"]
    file = tmp_path / "atlas.jsonl"
    atlas.run(file, chosen[:2], 1)
    atlas.run(file, chosen, 1)
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert asked == ["a", "b", "c"]
    assert [row["network"] for row in rows] == ["a", "b", "c"]
    assert rows[1]["refused"] == "HANG: over 120 s"
    assert rows[0]["trf"] == [3]
    atlas.run(file, chosen, 1, again=True)
    assert asked == ["a", "b", "c", "b"]
