"""`erfscope series`, in this process and by a service."""

import csv
import json
from pathlib import Path

from .command_line import SPEC, Run
from .conftest import Reply, Service
from .test_series import series_json

SMALL = ("--inputs", "2", "--metrics", "erf_size,trf_size")


def test_a_sweep_here_writes_table_chart_and_numbers(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    sweep = "/layers/first/dilation+/layers/second/dilation=1,2,3"
    done = run("series", "spec.json", "--sweep", sweep, *SMALL, "-o", "chart.png", "-o", "series.csv")
    assert done.returncode == 0, done.stderr
    assert "trf_size: goes as x^" in done.stdout
    assert "wrote chart.png: erf_size, trf_size\n" in done.stdout
    rows = list(csv.DictReader((tmp_path / "series.csv").read_text().splitlines()))
    assert [float(row["trf_size"]) for row in rows] == [5, 9, 13]
    both = (tmp_path / "chart.png").read_bytes()
    run("series", "spec.json", "--sweep", sweep, "--inputs", "2", "--metrics", "erf_size", "-o", "one.png")
    assert both.startswith(b"\x89PNG")
    assert both != (tmp_path / "one.png").read_bytes()


def test_models_here_stand_where_x_says(run: Run, tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / f"{n}.json").write_text(json.dumps(SPEC | {"layers": SPEC["layers"][:n]}))  # type: ignore[index]
    done = run("series", "1.json", "2.json", "--x", "10,20", *SMALL, "--json")
    series = json.loads(done.stdout)
    assert [point["x"] for point in series["points"]] == [10, 20]
    assert [point["metrics"]["trf_size"] for point in series["points"]] == [3, 5]
    assert series["trends"]["trf_size"]["change"]["difference"] == 2


def test_a_service_does_the_work(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    service.on("POST /series", Reply(202, series_json("queued")))
    service.on("GET /series/series-1", Reply(body=series_json()))
    done = run("series", "spec.json", "--sweep", "/layers/0/dilation=1,2", "--url", service.url)
    assert done.returncode == 0, done.stderr
    assert "erf_size: goes as x^1.000" in done.stdout


def test_usage_errors_say_what_to_give(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    cases = {
        ("series", "spec.json"): "two or more models",
        ("series", "spec.json", "--sweep", "nonsense"): "POINTER=V",
        ("series", "spec.json", "--sweep", "/layers/9/x=1,2"): "no '9'",
        ("series", "spec.json", "--sweep", "layers/0/dilation=1,2"): "/parameters/0",
        ("series", "spec.json", "--sweep", "/layers/0/dilation=1"): "/values: must have at least 2 entries",
        ("series", "spec.json", "--sweep", "/layers/0/dilation=1,2", "--x", "1,2"): "the values are the places",
        ("series", "spec.json", "spec.json", "--x", "1,nan"): "must be finite",
        ("series", "spec.json", "spec.json", "-o", "nowhere/x.png"): "nowhere is not a folder",
        ("series", "spec.json", "spec.json", "--x", "1"): "1 numbers for 2 models",
        ("series", "spec.json", "spec.json", "-o", "x.gif"): ".png, .json, .csv",
        ("series", "spec.json", "spec.json", "--inputs", "2", "--metrics", "nosuch"): "no 'nosuch'",
    }
    for arguments, words in cases.items():
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert words in " ".join(done.stderr.split()), arguments


def test_values_that_are_no_numbers_are_numbered(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    done = run("series", "spec.json", "--sweep", "/layers/0/bias=true,false", *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    assert [(point["label"], point["x"]) for point in json.loads(done.stdout)["points"]] == [("true", 0), ("false", 1)]
