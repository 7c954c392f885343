"""The pages of the atlas from a few rows: what is shown, what is left out, the file, the charts and the correlation."""

import csv
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from benchmarks.atlas_chart import Point, scatter
from benchmarks.atlas_page import shown
from benchmarks.atlas_seen import beside_araujo, seen, spearman

ROOT = Path(__file__).parents[2]
BASE: dict[str, Any] = {
    "source": "torchvision", "family": "alexnet", "network": "alexnet", "redrawn": 0, "parameters": 61100840,
    "macs": 714188480, "layer": "avgpool", "unit": [3, 3], "trf": [195, 195], "global": False, "stride": [32.0, 32.0],
    "alignment": [32, 32], "center": [127.0, 127.5], "erf": 164.2, "mass_50": 81.9,
    "r": {"0.20": 0.04, "0.30": 0.07, "0.50": 0.134, "0.99": 0.66}, "stderr": {"erf_size": 3.19, "mass_50_side": 0.28},
    "samples": 8, "channels": "sum", "verify": 5e-16, "depth": 5, "weighted_layers": 5, "border": None,
    "border_at": None, "border_shortest": None, "border_shortest_at": None, "seconds": 3.0, "versions": "timm 1",
}  # fmt: skip
RESNET = BASE | {
    "family": "resnet", "network": "resnet50", "trf": [427, 427], "redrawn": 2, "erf": 210.0, "macs": 4_000_000_000,
    "depth": 50, "weighted_layers": 53, "border": "layer3.5.conv3", "border_at": 41,
}  # fmt: skip
VIT = BASE | {"source": "timm", "family": "vision_transformer", "network": "vit", "trf": [224, 224], "global": True,
              "alignment": None, "stride": [None, None], "erf": 30.0, "depth": 49}  # fmt: skip
WRONG = BASE | {"network": "wrong", "verify": 1e-3}
GONE = {"source": "timm", "family": "f", "network": "gone", "refused": "HANG: over 120 s", "versions": "timm 1"}
ROWS = [BASE, RESNET, VIT, WRONG, GONE]


def test_only_verified_rows_are_shown_and_the_others_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    (tmp_path / "docs").mkdir()
    script = "import runpy; runpy.run_module('benchmarks.atlas', run_name='__main__')"
    command = [sys.executable, "-c", script, str(file), "--pages"]
    subprocess.run(command, cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)})
    text = (tmp_path / "docs/atlas.md").read_text("utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| alexnet | alexnet |")]
    assert lines == [["alexnet", "alexnet", "`avgpool`", "195", "32", "32", "127×127.5", "164 ± 3", "82", "13.4", "5",
                      "–/– of 5", "0.714", "61.1", "torchvision"]]  # fmt: skip
    assert "| resnet50 (2 re-drawn) | resnet | `avgpool` | 427 | 32 |" in text
    assert "| 42/– of 53 |" in text, "positions count from 1"
    assert "| vit | vision_transformer | `avgpool` | global | – | – |" in text
    assert (
        "Not in the table: gone (HANG: over 120 s); wrong (its gradient differs from plain autograd's by 1e-03)."
        in text
    )
    assert re.search(r"\*\*A beginning: 2 of the \d{3} networks of the list were tried", text), "alexnet and resnet50"
    assert '<script src="atlas.js"></script>' in text
    rows = list(csv.DictReader((tmp_path / "docs/atlas.csv").read_text("utf-8").splitlines()))
    assert [row["network"] for row in rows] == ["vit", "alexnet", "resnet50"]
    assert (rows[1]["trf"], rows[1]["r_50"], rows[1]["erf_stderr"]) == ("195×195", "0.134", "3.19")
    assert rows[0]["stride"] == "×", "no stride on either axis"
    for chart, marks in (("trf", 2), ("depth", 3), ("macs", 3)):
        svg = ET.fromstring((tmp_path / f"docs/images/atlas/{chart}.svg").read_text("utf-8"))
        assert len([c for c in svg.iter("{http://www.w3.org/2000/svg}circle") if len(c)]) == marks


def test_the_last_row_of_a_network_counts() -> None:
    assert [row["erf"] for row in shown([GONE | {"network": "alexnet", "source": "torchvision"}, BASE])] == [164.2]
    assert shown([BASE, BASE | {"refused": "HANG"}]) == []


def test_sentences_have_the_numbers_of_the_rows() -> None:
    words = seen([BASE, RESNET, VIT])
    assert "3 networks of 3 families; 1 have a global TRF" in words
    assert "between 195 and 427 px, the ERF at random weights between 164 and 210 px" in words
    assert "1 of these 2 fill more than 90% of the image" in words
    assert (
        "1 of 3 have layers whose input already reads the whole image by its longest path, in the median 23%" in words
    )


def test_araujo_is_beside_ours_with_a_reason_for_a_difference() -> None:
    text = beside_araujo([BASE, RESNET])
    assert "| AlexNet v2 | 195 | alexnet (torchvision) | 195 | equal |" in text
    assert re.search(r"\| ResNet-v1-50 \| 483 \| resnet50 \(torchvision\) \| 427 \| v1 halves in the 1×1", text)
    assert beside_araujo([VIT]) == "None of their networks is in the table."


@pytest.mark.parametrize(
    ("x", "y", "rho"),
    [([1, 2, 3, 4], [10, 20, 25, 99], 1.0), ([1, 2, 3, 4], [4, 3, 2, 1], -1.0), ([1, 2, 3], [1, 3, 2], 0.5),
     ([1, 1, 2, 3], [1, 2, 3, 4], 0.9486833)],
)  # fmt: skip
def test_rank_correlation_of_known_pairs(x: list[float], y: list[float], rho: float) -> None:
    assert spearman(x, y) == pytest.approx(rho)


def test_a_correlation_needs_pairs_that_differ() -> None:
    assert spearman([1, 2], [1, 2]) is None
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_a_chart_names_its_points_and_refuses_what_a_logarithm_cannot_show() -> None:
    svg = ET.fromstring(scatter("a < b", "x", "y", [Point("g", "one & two", 10, 100), Point("h", "p", 100, 10)]))
    space = "{http://www.w3.org/2000/svg}"
    titles = [title.text for title in svg.iter(f"{space}title")]
    assert titles == ["one & two: 10, 100", "p: 100, 10"]
    first, second = [c for c in svg.iter(f"{space}circle") if len(c)]
    assert float(first.get("cx", "")) < float(second.get("cx", ""))
    assert float(first.get("cy", "")) < float(second.get("cy", "")), "larger is higher"
    with pytest.raises(ValueError, match="positive"):
        scatter("t", "x", "y", [Point("g", "p", 0, 1)])
