"""A practitioner's way in the terminal: look, measure, judge, cut, change, and a figure and a table at its end."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from .command_line import Run

CONV: dict[str, Any] = {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"}
NETWORK = {
    "name": "segmenter", "init": "kaiming_normal", "input": {"channels": 3, "size": [64, 64]},
    "layers": [
        {**CONV, "name": "stem"}, {"type": "relu"}, {"type": "max_pool", "kernel_size": 2},
        {**CONV, "name": "deep"}, {"type": "relu"}, {"type": "upsample", "scale_factor": 2, "mode": "nearest"},
        {**CONV, "name": "mask"},
    ],
}  # fmt: skip


def told(run: Run, *words: str) -> str:
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_from_a_model_to_a_figure_and_a_table(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(json.dumps(NETWORK))
    table = told(run, "layers", "net.json")
    assert [name in table for name in ("stem", "deep", "mask")] == [True] * 3
    assert "Which layer?" in table

    result = json.loads(told(run, "measure", "net.json", "--inputs", "4", "--json"))
    assert result["layer"]["name"] == "mask"

    fit = json.loads(told(run, "fit", "net.json", "--object", "4,30", "--samples", "4", "--json"))
    head = fit["levels"][-1]
    assert head["name"] == "mask"
    assert [one["verdict"] for one in head["objects"]] == ["holds", "small field"]

    tiles = json.loads(told(run, "tiles", "net.json", "--tile", "32", "--json"))
    # unit i of mask reads the image from 2⌊(i − 1) / 2⌋ − 3 on, so that 5 is the first right one
    assert tiles["alignment"] == [2, 2]
    assert tiles["halo"] == [[5, 5], [5, 5]]
    assert tiles["crop"] == [[5, 27], [5, 27]]
    assert tiles["checked"]["max_error"] < 1e-5

    advice = told(run, "advise", "net.json", "--object", "12", "--verify", "2", "--samples", "4")
    assert "so an ERF of 18 px" in advice
    assert "First choice:" in advice
    assert "Analytic:" not in advice

    words = ("compare", "Now=net.json", "preset:plain-5-relu", "--inputs", "4")
    shown = told(run, *words, "-o", "maps.pdf", "-o", "table.csv", "-o", "table.tex")
    assert "Now" in shown
    assert (tmp_path / "maps.pdf").read_bytes().startswith(b"%PDF")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert [row["model"] for row in rows] == ["Now", "plain-5-relu"]
    assert all(float(row["erf_size"]) > 0 and float(row["erf_size_stderr"]) >= 0 for row in rows)
    assert (tmp_path / "table.tex").read_text().count(r"\begin{tabular}{l") == 1
