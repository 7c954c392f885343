"""`--index` and `--verify`, in this process and by a service."""

import json
from pathlib import Path

import pytest

from .command_line import Run
from .conftest import Reply, Service, job_json, modern_result_json


def test_an_element_is_measured_and_verified_here(run: Run, spec: Path) -> None:
    done = run("measure", "spec.json", "--json", "--inputs", "2", "--index", "1,8,3", "--verify")
    result = json.loads(done.stdout)
    assert (result["unit"], result["trf"]["box"]) == ([1, 8, 3], [[6, 11], [1, 6]])
    assert 0 <= result["verify"]["relative_difference"] < 1e-5
    without = json.loads(run("measure", "spec.json", "--json", "--inputs", "2", "--index", "1,8,3").stdout)
    assert without["verify"] is None
    assert without["erf"] == result["erf"]


def test_an_element_is_asked_for_and_verified(run: Run, service: Service, spec: Path) -> None:
    ended = job_json(status="succeeded", progress=1.0, result=modern_result_json())
    service.on("POST /erf", Reply(202, ended))
    service.on("GET /erf/job-1/events", Reply(chunks=[f"data: {json.dumps(ended)}\n\n"]))
    service.on("GET /erf/job-1", Reply(body=ended))
    done = run("measure", "spec.json", "--index", "3,7,7", "--verify", "--url", service.url)
    assert (done.returncode, done.stderr) == (0, "job job-1; `erfscope jobs wait job-1` finds it again\n")
    asked = json.loads(service.seen[0].body)
    assert (asked["target"], asked["verify"]) == ({"unit": {"index": [3, 7, 7]}}, True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("difference to plain autograd"))
    assert line.split()[-1] == "3.1e-07"
    assert "Causal: the unit reads nothing behind its own place." in done.stdout
    assert "auto took /last/Conv; it passed over logits (none of its axes follows the input);" in done.stdout


@pytest.mark.parametrize("command", ["measure", "compare", "series"])
def test_every_command_that_measures_takes_them(run: Run, served: Service, spec: Path, command: str) -> None:
    models = ["spec.json"] * (1 if command == "measure" else 2)
    both = run(command, *models, "--index", "3,7,7", "--unit", "7,7", "--url", served.url)
    assert (both.returncode, both.stdout) == (2, "")
    assert "--index and --unit both name the unit" in both.stderr
    assert served.seen == []
    run(command, *models, "--index", "3,7,7", "--verify", "--url", served.url)
    body = json.loads(served.seen[0].body)
    asked = body["request"] if command == "series" else body
    assert (asked["target"], asked["verify"]) == ({"unit": {"index": [3, 7, 7]}}, True)
