"""`erfscope init`: configuration, baseline and workflow by one command; what is there is added to, not replaced."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.gate.conftest import ROOT, Check, Done, installed_environment, onnx_model, spec
from typer.main import get_command
from typer.testing import CliRunner

from erfscope.cli import app
from erfscope.gate.workflow import ASKED, Origin, origin_of, workflow
from erfscope_contract.version import __version__

Write = Callable[..., Path]
WORKFLOW = Path(".github/workflows/erfscope.yml")


def start(*words: str) -> Done:
    """`erfscope init …` in the working folder."""
    done = CliRunner().invoke(app, ["init", *words])
    return Done(done.exit_code, done.stdout, done.stderr if done.exit_code == 0 else str(done.exception))


def triggers(text: str) -> dict[str, Any]:
    """What starts the workflow; YAML 1.1 reads the key `on` as true."""
    return dict(yaml.safe_load(text)[True])


def job(text: str) -> dict[str, Any]:
    """The workflow's job that checks."""
    return dict(yaml.safe_load(text)["jobs"]["check"])


def step(text: str, name: str) -> str:
    """The script of a step."""
    jobs = yaml.safe_load(text)["jobs"].values()
    (script,) = (one["run"] for job in jobs for one in job["steps"] if one.get("name") == name)
    return str(script)


def test_init_writes_what_the_gate_needs(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=4))
    write("models/export.onnx", onnx_model((1, 2)))
    done = start("models/net.json", "models/export.onnx", "--inputs", "4")
    assert done.code == 0, done.err
    for name in ("erfscope.toml", "erfscope-baseline.json", ".github/workflows/erfscope.yml"):
        assert Path(name).is_file()
        assert f"wrote {name}" in done.words
    assert "erfscope check" in step(WORKFLOW.read_text("utf-8"), "Check")
    passed = check()
    assert passed.code == 0
    assert "6 passed" in passed.words
    write("models/net.json", spec(dilation=1))
    assert "dilation of second 4 → 1" in check().words


def _parameters(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The words of each command, and the help of one of its parameters."""
    yield from ((words, one.help) for one in command.params if getattr(one, "help", None) and not one.hidden)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _parameters(inner, *words, name)


def test_no_help_loses_what_stands_in_brackets() -> None:
    bracketed = [(words, text) for words, text in _parameters(get_command(app)) if "[" in text]
    assert any(words == ("init",) for words, _ in bracketed)
    for words, text in bracketed:
        for _ in range(2):  # to show it changes nothing
            shown = CliRunner().invoke(app, [*words, "--help"], terminal_width=200).stdout
            for part in re.findall(r"\S*\[[^\]]*\]", text):
                assert "".join(part.split()) in re.sub(r"[\s│]", "", shown), (words, part)


def test_a_saturated_size_is_not_guarded_in_silence(check: Check, write: Write) -> None:
    write("models/full.json", spec(dilation=3, side=3, init="ones"))
    write("models/net.json", spec(dilation=4))
    done = start("models/full.json", "models/net.json", "--inputs", "4")
    assert done.code == 0, done.err
    assert "models/full.json: erf_size is not watched, because the field fills the input" in done.words
    text = Path("erfscope.toml").read_text("utf-8")
    assert text.count("\nerf_size = {}") == 1
    assert text.count("\n# erf_size is not watched: the field fills the input") == 1
    assert "To fail where the field shrinks and only warn where it grows" in text
    assert check().code == 0


def test_a_size_that_the_trf_limits_is_not_watched(check: Check, write: Write) -> None:
    narrow = [{"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"}]
    write("models/narrow.json", spec(layers=narrow, init="ones"))
    done = start("models/narrow.json", "--inputs", "4")
    assert done.code == 0, done.err
    assert "models/narrow.json: erf_size is not watched, because it is as large as the TRF" in done.words
    assert "erf_size" not in done.words.split("pass:")[0]  # the table
    text = Path("erfscope.toml").read_text("utf-8")
    assert "# erf_size is not watched: it is as large as the TRF, which limits it." in text
    assert "\nerf_size = {}" not in text
    assert "models/narrow.json: new, with" in done.words
    assert check().code == 0


def test_a_model_that_is_added_later_is_told_to_have_no_check(check: Check, write: Write) -> None:
    write("models/a.onnx", onnx_model((1, 2)))
    done = start("models/a.onnx", "--inputs", "4")
    assert "A model that is added later has no check: call `erfscope init` with it, or write a pattern" in done.words
    assert 'model = "models/*.onnx"' in done.words
    text = Path("erfscope.toml").read_text("utf-8")
    Path("erfscope.toml").write_text(text.replace('model = "models/a.onnx"', 'model = "models/*.onnx"'))
    write("models/b.onnx", onnx_model((1, 3)))
    assert "models/b.onnx" in check().words


def test_a_pattern_that_would_take_any_json_is_not_offered(write: Write) -> None:
    write("net.json", spec(dilation=4))
    done = start("net.json", "--inputs", "4")
    assert "A model that is added later has no check: call `erfscope init` with it." in done.words
    assert "pattern" not in done.words


def test_a_pattern_is_one_check_of_all_that_it_matches(check: Check, write: Write) -> None:
    for name, dilations in (("a", (1, 2)), ("b", (1, 4))):
        write(f"models/{name}.onnx", onnx_model(dilations))
    done = start("models/*.onnx", "--inputs", "4")
    assert done.code == 0, done.err
    text = Path("erfscope.toml").read_text("utf-8")
    assert text.count("\n[[check]]") == 1
    assert '\nmodel = "models/*.onnx"' in text
    assert "added later has no check" not in done.words
    assert check().code == 0
    write("models/c.onnx", onnx_model((1, 3)))
    assert "models/c.onnx" in check().words
    assert "matches no ONNX file and no spec" in start("mod/*.onnx").err
    assert "** stands alone" in start("**x/*.onnx").err


def test_a_pattern_after_its_models_tells_how_it_guards_later_ones(write: Write) -> None:
    write("models/a.onnx", onnx_model((1, 2)))
    assert start("models/a.onnx", "--inputs", "4").code == 0
    done = start("models/*.onnx")
    assert done.code == 0, done.err
    assert "write model = 'models/*.onnx' in one check of erfscope.toml, in place of the checks" in done.words


def test_a_link_to_nothing_is_no_model_less(check: Check, write: Write) -> None:
    """As DVC or git-annex leave a file that was not fetched."""
    write("models/a.onnx", onnx_model((1, 2)))
    assert start("models/*.onnx", "--inputs", "4").code == 0
    Path("models/b.onnx").symlink_to("nowhere.onnx")
    done = check()
    assert done.code == 2, done.out
    assert "models/b.onnx" in done.words


def test_a_second_model_is_added_to_what_is_there(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=4))
    assert start("models/net.json", "--inputs", "4").code == 0
    before, workflow_before = Path("erfscope.toml").read_text("utf-8"), WORKFLOW.read_bytes()
    entries = json.loads(Path("erfscope-baseline.json").read_text("utf-8"))["entries"]
    write("other/net.json", spec(dilation=2))
    done = start("models/net.json", "other/net.json")
    assert done.code == 0, done.err
    assert "added to erfscope.toml: a check of other/net.json" in done.words
    assert "kept .github/workflows/erfscope.yml as it is" in done.words
    assert Path("erfscope.toml").read_text("utf-8").startswith(before.rstrip())
    assert WORKFLOW.read_bytes() == workflow_before
    now = json.loads(Path("erfscope-baseline.json").read_text("utf-8"))["entries"]
    assert [one for one in now if one["model"] == "models/net.json"] == entries
    assert len(now) == 2
    assert "6 passed" in check().words
    assert "nothing was added" in start("other/net.json").words


def test_install_changes_what_a_workflow_that_is_there_installs(write: Write) -> None:
    write("models/net.json", spec(dilation=4))
    assert start("models/net.json", "--inputs", "4", "--install", "./old").code == 0
    before = WORKFLOW.read_text("utf-8").replace("name: receptive fields", "name: mine").splitlines()
    WORKFLOW.write_text("\n".join(before) + "\n")
    done = start("models/net.json", "--install", "./vendor/erfscope[local]")
    assert "wrote ./vendor/erfscope[local] into ERFSCOPE of .github/workflows/erfscope.yml" in done.words
    now = WORKFLOW.read_text("utf-8").splitlines()
    assert [line for line in now if line not in before] == ['      ERFSCOPE: "./vendor/erfscope[local]"']
    WORKFLOW.write_text("name: mine\n")
    assert "it has no line ERFSCOPE that --install could change" in start("models/net.json", "--install", "x").words
    assert WORKFLOW.read_text("utf-8") == "name: mine\n"
    WORKFLOW.unlink()
    assert start("models/net.json", "--install", "x").code == 0
    assert job(WORKFLOW.read_text("utf-8"))["env"]["ERFSCOPE"] == "x"


def test_a_configuration_of_one_s_own_is_added_to(check: Check, write: Write) -> None:
    write("models/net.json", spec())
    write("pyproject.toml", "[tool.erfscope.defaults]\ninputs = 4\n")
    assert start("models/net.json").code == 0
    assert "[[tool.erfscope.check]]" in Path("pyproject.toml").read_text("utf-8")
    assert not Path("erfscope.toml").exists()
    assert check().code == 0


def test_a_model_that_cannot_be_measured_leaves_all_as_it_was(write: Write) -> None:
    write("models/net.json", spec(dilation=4))
    write("models/net.onnx", b"no ONNX at all")
    done = start("models/net.json", "models/net.onnx")
    assert done.code == 2
    assert "models/net.onnx: " in done.words
    assert "not a valid ONNX model" in done.words
    assert "No file was changed." in done.words
    assert "erfscope.toml:" not in done.words  # the line of a file that is not there any more
    assert not Path("erfscope-baseline.json").exists()
    assert not Path("erfscope.toml").exists()
    assert not WORKFLOW.exists()
    write("erfscope.toml", "# mine\n")
    write("erfscope-baseline.json", '{"schema_version": 1, "entries": []}')
    assert start("models/net.json", "models/net.onnx").code == 2
    assert Path("erfscope.toml").read_text("utf-8") == "# mine\n"
    assert Path("erfscope-baseline.json").read_text("utf-8") == '{"schema_version": 1, "entries": []}'


def test_init_names_a_model_that_is_not_there(write: Write) -> None:
    done = start("models/none.onnx")
    assert done.code != 0
    assert "there is no file models/none.onnx; give ONNX files" in done.err
    write("models/nine.onnx", b"")
    assert "there is no file models/none.onnx; did you mean models/nine.onnx?" in start("models/none.onnx").err
    assert not Path("erfscope.toml").exists()


@pytest.mark.parametrize(
    ("noted", "requirement"),
    [
        (None, f"erfscope[local]=={__version__}"),
        (
            {"url": "https://git.example/o/erfscope", "vcs_info": {"vcs": "git", "commit_id": "ab12"}},
            "erfscope[local] @ git+https://git.example/o/erfscope@ab12",
        ),
        ({"url": "file:///repo/vendor/erfscope", "dir_info": {}}, "./vendor/erfscope[local]"),
        ({"url": "file:///repo/wheels/a%20b.whl", "archive_info": {}}, "./wheels/a b.whl[local]"),
        ({"url": "https://files.example/e.whl", "archive_info": {}}, "erfscope[local] @ https://files.example/e.whl"),
        ({"url": "file:///elsewhere/erfscope", "dir_info": {"editable": True}}, ASKED),
    ],
)
def test_the_workflow_installs_what_is_installed_here(noted: dict[str, Any] | None, requirement: str) -> None:
    origin = origin_of(noted, Path("/repo"), "[local]")
    assert origin.requirement == requirement
    environment = job(workflow(WORKFLOW, origin, None, {}))["env"]
    assert environment == {"ERFSCOPE": requirement, "PIP_EXTRA_INDEX_URL": "${{ vars.PIP_EXTRA_INDEX_URL }}"}


def test_the_main_branch_fills_the_cache_that_pull_requests_read() -> None:
    text = workflow(WORKFLOW, Origin("erfscope", "said."), None, {})
    found = triggers(text)
    paths = found["pull_request"].pop("paths")
    assert found["push"].pop("paths") == paths
    assert {"**.onnx", "**.json", "**/erfscope.toml", WORKFLOW.as_posix()} <= set(paths)
    assert found == {"pull_request": {}, "push": {"branches": ["main", "master"]}, "workflow_dispatch": None}
    example = (ROOT / "examples/ci/passing/.github/workflows/erfscope.yml").read_text("utf-8")
    assert triggers(example) == {"pull_request": None, "push": {"branches": ["main"]}}


def test_the_index_of_this_machine_is_that_of_the_workflow_unless_it_has_a_password() -> None:
    known = Origin("erfscope", "said.")
    for index, written in (
        ("https://wheels.example/cpu", "https://wheels.example/cpu"),
        ("https://me:secret@wheels.example", "${{ vars.PIP_EXTRA_INDEX_URL }}"),
    ):
        text = workflow(WORKFLOW, known, None, {"PIP_EXTRA_INDEX_URL": index})
        assert job(text)["env"]["PIP_EXTRA_INDEX_URL"] == written
        assert "secret@" not in text


def test_with_a_service_the_workflow_asks_it() -> None:
    environment = job(workflow(WORKFLOW, Origin("erfscope", "said."), "https://erf.example", {}))["env"]
    assert environment["ERFSCOPE_URL"] == "https://erf.example"
    assert environment["ERFSCOPE_API_KEY"] == "${{ secrets.ERFSCOPE_API_KEY }}"
    assert "PIP_EXTRA_INDEX_URL" not in environment


def test_the_steps_run_as_they_are_written(check: Check, write: Write, tmp_path: Path) -> None:
    """Check, then comment twice through a `gh` that keeps comments in a folder: the second replaces the first."""
    write("models/net.json", spec(dilation=4))
    assert start("models/net.json", "--inputs", "4", "--install", "./vendor/erfscope[local]").code == 0
    text = WORKFLOW.read_text("utf-8")
    assert job(text)["env"]["ERFSCOPE"] == "./vendor/erfscope[local]"
    assert run(step(text, "Check"), tmp_path).returncode == 0
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    assert run(step(text, "Comment"), tmp_path).returncode == 0
    write("models/net.json", spec(dilation=1))
    assert run(step(text, "Check"), tmp_path).returncode == 1
    assert run(step(text, "Comment"), tmp_path).returncode == 0
    (comment,) = (tmp_path / "comments").iterdir()
    assert comment.read_text("utf-8").startswith(
        "<!-- erfscope check -->\n## ✗ models/net.json: TRF 11 → 5 px (-54.5%)"
    )
    assert comment.read_text("utf-8").endswith("\n\nOf commit ab12.\n")
    Path("erfscope-reports/erfscope.md").unlink()  # as where the step Install failed
    assert run(step(text, "Comment"), tmp_path).returncode == 0
    assert "## ✗ Receptive fields were not checked\n\n[The run](r/7) ended" in comment.read_text("utf-8")
    refused = run(step(text, "Install"), tmp_path, ERFSCOPE="")
    assert refused.returncode == 2
    assert "::error::Write into ERFSCOPE of .github/workflows/erfscope.yml what pip installs." in refused.stdout


GH = """#!/bin/sh
here="$(dirname "$0")/comments"; mkdir -p "$here"
case "$*" in
  *"--method POST"*) cp comment.md "$here/7" ;;
  *"--method PATCH repos/o/r/issues/comments/7 "*) cp comment.md "$here/7" ;;
  *"repos/o/r/issues/3/comments --paginate"*) ls "$here" ;;
  *) echo "unknown: $*" >&2; exit 1 ;;
esac
"""


def run(script: str, place: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """A step as GitHub runs it."""
    environment = installed_environment(GH_REPO="o/r", NUMBER="3", GH_TOKEN="t", COMMIT="ab12", RUN="r/7", **more)
    environment["PATH"] = os.pathsep.join((str(place), environment["PATH"]))
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def written(name: str = "erfscope.toml") -> dict[str, Any]:
    return tomllib.loads(Path(name).read_text("utf-8"))
