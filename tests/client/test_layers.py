"""The table of `erfscope layers`: fits a terminal, keeps names whole where nobody limits it."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from erfscope.cli.layers import shortened, table
from erfscope_contract.job import Inspection, LayerRow

from .command_line import SPEC, Run

NAMES = [f"/network/features/features.{n}/block/block.0/block.0.0/Conv_output_0" for n in range(12)]


def row(name: str, size: int) -> LayerRow:
    shape, stride = [96, 14, 14], [16.0, None]
    return LayerRow(
        name=name, operator="Conv", shape=shape, trf_size=[size, size], trf_stride=stride, coverage=0.5,
        is_global=size > 400,
    )  # fmt: skip


def drawn(widest: int | None, width: int) -> list[str]:
    found = Inspection(
        name="net", inputs=[], input="x", input_shape=[3, 224, 224], outputs=[], operators={},
        default_layer=NAMES[-1], layers=[row(name, 40 * n + 3) for n, name in enumerate(NAMES)],
    )  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=width).print(table(found, widest))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_one_line_each_within_the_terminal(width: int) -> None:
    lines = drawn(width, width)
    assert len(lines) == 1 + len(NAMES)
    assert all(len(line) <= width for line in lines)
    assert len({line.split()[0] for line in lines}) == 1 + len(NAMES)  # still told apart
    assert lines[0].split() == ["layer", "operator", "shape", "TRF", "stride", "TRF", "area"]
    assert lines[2].split()[1:] == ["Conv", "96×14×14", "43×43", "16×?", "50.0%"]
    assert lines[-1].split()[1:] == ["←", "auto", "Conv", "96×14×14", "global", "16×?", "50.0%"]


def test_whole_names_through_a_pipe() -> None:
    assert [line.split()[0] for line in drawn(None, 160)[1:]] == NAMES


def test_a_field_that_statistics_make_global_has_its_local_size_beside_it() -> None:
    normalised = row("norm", 500).model_copy(update={"local_box": [(-3, 20), (2, 25)]})
    found = Inspection(
        name="net", inputs=[], input="x", input_shape=[3, 224, 224], outputs=[], operators={},
        default_layer="norm", layers=[normalised],
    )  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=100).print(table(found, None))
    assert "global (23×23)" in out.getvalue()


def test_shortened() -> None:
    name = "/network/layer/Conv_output_0"
    assert shortened(name, 28) == name
    assert shortened(name, 19) == "/network/layer/Conv"
    assert shortened(name, 16, common=9) == "/net…/layer/Conv"
    assert shortened("abcdefghij", 7) == "ab…ghij"


def test_the_table_is_written_as_csv_and_as_a_chart(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    done = run("layers", "a.json", "-o", "p.csv", "-o", "p.png", "-o", "p.pdf")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO((tmp_path / "p.csv").read_text())))
    assert [(row["layer"], row["shape"], row["stride_x"], row["trf_size_y"]) for row in rows] == [
        ("first", "2x16x16", "1.0", "3"), ("second", "2x16x16", "1.0", "5"),
    ]  # fmt: skip
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")
    assert run("layers", "a.json", "-o", "p.txt").returncode == 2
