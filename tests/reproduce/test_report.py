"""The report's files: JSON that programs can read, Markdown whose links lead somewhere."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.report import Place, write
from erfscope_reproduce.run import Outcome
from erfscope_reproduce.table import CLAIMS

ROOT = Path(__file__).parents[2]
FIELDS = {"id", "claim", "published", "ours", "error", "unit", "verdict", "how", "note"}
ROWS = [
    Row("S1", "a | b", "equal", Quantity(1e-16, 0.0), Verdict.CONFIRMED, "how", "relative error"),
    Row("S1", "broken", "", Quantity(float("nan")), Verdict.CRASHED, "", note="two\nlines"),
]


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    png = chart("t", Axis("x"), Axis("y"), [Series("a", [1, 2], [1, 2])])
    finding = Finding(ROWS, [Picture("s1-chart", png, "A chart.")], "Say this.")
    return [Outcome(CLAIMS[0], finding, 1.5)]


def check(report: Path, folder: Path) -> None:
    """What holds for every report: schema, links, pictures."""
    body = json.loads((folder / "report.json").read_text("utf-8"))
    assert {"schema_version", "command", "quick", "environment", "seconds", "remarks", "rows", "pictures"} == set(body)
    assert body["rows"]
    for row in body["rows"]:
        assert set(row) == FIELDS
        assert row["verdict"] in set(Verdict)
        assert re.fullmatch(r"S\d+b?", row["id"])
        assert (row["ours"] is None) == (row["verdict"] == "crashed") or row["note"]
    text = report.read_text("utf-8")
    targets = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(targets) == len(body["pictures"])
    for target in targets:
        with Image.open(report.parent / target) as image:
            assert image.format == "PNG"
    anchors = set(re.findall(r'<a id="(\w+)">', text))
    assert set(re.findall(r"\]\(#(\w+)\)", text)) == anchors
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert set(widths) <= {4, 6}


def test_a_folder_takes_everything(tmp_path: Path, outcomes: list[Outcome]) -> None:
    place = Place.of(tmp_path / "new" / "folder")
    write(outcomes, place, "erfscope reproduce s1", quick=True)
    check(place.report, tmp_path / "new" / "folder")
    text = place.report.read_text("utf-8")
    assert "erfscope reproduce s1" in text
    assert "Say this." in text
    assert "quick run" in text
    assert "two lines" in text


def test_a_document_keeps_its_pictures_beside_it(tmp_path: Path, outcomes: list[Outcome]) -> None:
    write(outcomes, Place.of(tmp_path / "docs" / "reproduction.md"), "erfscope", quick=False)
    check(tmp_path / "docs" / "reproduction.md", tmp_path / "docs" / "images" / "reproduction")


def test_the_documents_report_is_whole() -> None:
    folder = ROOT / "docs" / "images" / "reproduction"
    check(ROOT / "docs" / "reproduction.md", folder)
    body = json.loads((folder / "report.json").read_text("utf-8"))
    numbered = {row["id"] for row in body["rows"] if row["ours"] is not None}
    assert numbered >= {f"S{number}" for number in range(1, 21)}
    assert "crashed" not in {row["verdict"] for row in body["rows"]}
