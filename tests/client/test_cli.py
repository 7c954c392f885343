"""The command line as people call it: here, through a service, as a process."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from typer.testing import CliRunner

from erfscope import __version__
from erfscope.cli import app

from .command_line import Run, environment
from .conftest import PNG, Reply, Service, job_json, problem_json, result_json


@pytest.mark.parametrize("command", [["-m", "erfscope"], ["-c", "from erfscope.cli import main; main()"]])
def test_version_as_a_process(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command, "version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{__version__}\n", "")


@pytest.mark.parametrize("command", ["", "measure", "layers", "presets", "jobs", "up", "serve", "worker", "version"])
def test_help_documents_the_exit_codes(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "2 usage, bad input or model" in done.stdout


def test_measure_here(run: Run, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    done = run(
        "measure", "spec.json", "--layer", "first", "--inputs", "2", "-o", "a.png", "-o", "b/a.npy", "-o", "a.json"
    )
    assert done.returncode == 0
    assert all(line.startswith("measuring ") for line in done.stderr.splitlines()), "progress, of a slow machine"
    assert "TRF size" in done.stdout
    assert "tiny, layer first, unit [8, 8]: ERF" in done.stdout
    assert "of TRF 3x3 px" in done.stdout
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert np.load(tmp_path / "b" / "a.npy").shape == (16, 16)
    assert json.loads((tmp_path / "a.json").read_text())["trf"]["size"] == [3, 3]


def test_json_is_the_result_and_nothing_else(run: Run, spec: Path) -> None:
    done = run("measure", "spec.json", "--json", "--inputs", "2", "--shape", "1x20x20", "--unit", "9,9", "--seed", "3")
    result = json.loads(done.stdout)
    assert (result["trf"]["size"], result["unit"], result["input_shape"]) == ([5, 5], [9, 9], [1, 20, 20])
    assert (result["samples"]["used"], result["provenance"]["seed"]) == (2, 3)


def test_layers_here(run: Run, spec: Path) -> None:
    done = run("layers", "spec.json")
    assert done.returncode == 0
    first, second = (line.split() for line in done.stdout.splitlines()[1:3])
    assert first == ["first", "conv", "2×16×16", "3×3", "1×1", "3.5%"]
    assert second[:3] == ["second", "←", "auto"]
    listed = json.loads(run("layers", "spec.json", "--json").stdout)
    assert [row["name"] for row in listed["layers"]] == ["first", "second"]


def test_layers_behind_another_input(run: Run, tmp_path: Path) -> None:
    def ends(*names: str, channels: int) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, 1, [1, channels, 12, 12]) for name in names]

    kernels = [numpy_helper.from_array(np.ones((2, 3, k, k), np.float32), f"w{k}") for k in (3, 5)]
    nodes = [
        helper.make_node("Conv", [name, f"w{k}"], [f"y{k}"], pads=[k // 2] * 4) for name, k in (("a", 3), ("b", 5))
    ]
    graph = helper.make_graph(
        [*nodes, helper.make_node("Add", ["y3", "y5"], ["y"])],
        "two", ends("a", "b", channels=3), ends("y", channels=2), kernels,
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "two.onnx"
    )
    sizes = {}
    for name in "ab":
        listed = json.loads(run("layers", "two.onnx", "--json", "--input-name", name).stdout)
        assert listed["input"] == name
        sizes[name] = listed["layers"][-1]["trf_size"]
    assert sizes == {"a": [3, 3], "b": [5, 5]}
    refused = run("layers", "two.onnx", "--input-name", "c")
    assert refused.returncode == 2
    assert "'c'" in refused.stderr
    refused = run("layers", "two.onnx", "--input-name", "a", "--url", "http://127.0.0.1:1")
    assert "leave out --input-name" in refused.stderr


def test_presets(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("presets", "--json").stdout)}
    assert rows["vgg16"]["input"] == [3, 224, 224]
    assert "vgg16" in run("presets").stdout
    done = run("measure", "preset:vgg61", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean vgg16" in done.stderr


def test_measure_by_a_service(run: Run, served: Service, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"onnx bytes")
    words = (
        "measure",
        "net.onnx",
        "--inputs",
        "4",
        "--unit",
        "grid:2x3",
        "-o",
        "a.png",
        "-o",
        "a.csv",
        "--scale",
        "log",
    )
    done = run(*words, "--url", served.url)
    assert (done.returncode, done.stderr) == (0, "job job-1; `erfscope jobs wait job-1` finds it again\n")
    assert "half of the mass within 2.5 px" in done.stdout
    assert "note: a note [with brackets]" in done.stdout
    body = served.seen[0].body
    assert b"onnx bytes" in body
    assert b'{"target":{"unit":{"grid":[2,3]}},"average":{"inputs":4}}' in body
    assert (tmp_path / "a.png").read_bytes() == PNG
    assert [seen.query for seen in served.seen if seen.path.endswith(".png")] == ["scale=log"]
    assert "erf_size,3.5,0.125" in (tmp_path / "a.csv").read_text()


def test_json_of_a_service(run: Run, served: Service, spec: Path) -> None:
    done = run("measure", "spec.json", "--json", ERFSCOPE_URL=served.url)
    assert json.loads(done.stdout)["erf"] == result_json()["erf"]
    assert json.loads(served.seen[0].body)["model"]["architecture"]["name"] == "tiny"


def test_a_request_file_and_options_over_it(run: Run, served: Service, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "ask.json").write_text('{"average": {"inputs": 4, "seed": 9}}')
    done = run("measure", "spec.json", "--request", "ask.json", "--seed", "1", "--until", "0.1", "--url", served.url)
    assert done.returncode == 0
    asked = json.loads(served.seen[0].body)["average"]
    assert asked == {"inputs": 4, "seed": 1, "until": {"relative_error": 0.1}}


def test_layers_of_a_service(run: Run, service: Service, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"onnx")
    inspection = {
        "name": "net", "inputs": [], "input": "x", "input_shape": [3, 8, 8], "outputs": ["y"], "operators": {},
        "unsupported": ["LSTM"], "default_layer": "/[a]/Conv",
        "layers": [{
            "name": "/[a]/Conv", "operator": "Conv", "shape": [4, 8, 8], "trf_size": [3, 3],
            "trf_stride": [1, None], "coverage": 0.14, "is_global": False,
        }],
    }  # fmt: skip
    stored = {"sha256": "0" * 64, "size": 4, "name": "net", "status": "succeeded", "inspection": inspection}
    service.on("POST /models", Reply(202, stored))
    done = run("layers", "net.onnx", "--url", service.url)
    assert "/[a]/Conv ← auto" in done.stdout
    assert "1×?" in done.stdout
    assert "Cannot be converted: LSTM" in done.stdout
    refused = run("layers", "spec.json", "--url", service.url)
    assert refused.returncode == 2
    assert "leave out --url" in refused.stderr


def listed_job(id: str, status: str, **changes: Any) -> dict[str, Any]:
    job = job_json(id, status, **changes)
    return {name: job[name] for name in job if name not in ("request", "result")} | {
        "kind": "erf",
        "links": {"self": f"/erf/{id}"},
    }


def test_jobs(run: Run, service: Service) -> None:
    both = [listed_job("a", "running", progress=0.5), listed_job("b", "succeeded", progress=1.0)]
    service.on("GET /jobs", Reply(body={"jobs": both}))
    for words in (("jobs", "list"), ("jobs",)):
        done = run(*words, "--url", service.url)
        assert [line.split()[:4] for line in done.stdout.splitlines()[1:]] == [
            ["a", "erf", "running", "50%"],
            ["b", "erf", "succeeded", "100%"],
        ]
    listed = json.loads(run("jobs", "-n", "1", "--json", "--url", service.url).stdout)
    assert [job["id"] for job in listed] == ["a"]
    service.on("GET /jobs", Reply(body={"jobs": []}))
    assert run("jobs", "list", "--kind", "tiles", "--status", "failed", "--url", service.url).stdout == "no jobs\n"
    assert service.seen[-1].query == "page_size=100&kind=tiles&status=failed"


def test_ctrl_c_cancels_the_job(service: Service, spec: Path) -> None:
    service.on("POST /erf", Reply(202, job_json()))
    service.on("GET /erf/job-1/events", Reply(503, problem_json("unavailable", "wait"), {"retry-after": "30"}))
    service.on("DELETE /erf/job-1", Reply(202, job_json(status="canceled")))
    command = [sys.executable, "-m", "erfscope", "measure", str(spec), "--url", service.url]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        while len(service.seen) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert service.paths()[-1] == "DELETE /erf/job-1"
    assert "Traceback" not in said


def test_a_profile_is_written_as_csv_and_as_a_chart(run: Run, spec: Path, tmp_path: Path) -> None:
    words = [
        "--inputs",
        "2",
        "--profile-output",
        "depth.csv",
        "--profile-output",
        "depth.png",
        "--profile-output",
        "depth.pdf",
    ]
    done = run("measure", str(spec), *words)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "depth.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["layer", "first", "second"]
    assert (tmp_path / "depth.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "depth.pdf").read_bytes().startswith(b"%PDF")
    assert "wrote depth.png" in done.stdout
    assert "Along depth" in done.stdout
    wrong = run("measure", str(spec), "--profile-output", "depth.gif")
    assert wrong.returncode == 2
    assert "--profile-output depth.gif: the ending must be one of .csv, .png" in " ".join(
        wrong.stderr.replace("│", " ").split()
    )


def test_no_two_presets_of_a_family_have_the_same_words(run: Run) -> None:
    rows = json.loads(run("presets", "--json").stdout)
    plain = [row["about"] for row in rows if row["name"].startswith("plain-")]
    assert len(set(plain)) == len(plain)
    assert "`" not in "".join(plain)
    assert "20 convolutions 3×3 with zero padding, relu." in plain
