"""GitHub's action, GitLab's template and the pre-commit hook, run as they are written."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from lxml import etree
from tests.gate.conftest import CI, ROOT, Check, installed_environment

ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")


def expanded(text: str, inputs: Mapping[str, str]) -> str:
    """`${{ inputs.url }}` as GitHub fills it in."""
    known = {f"inputs.{name}": value for name, value in inputs.items()} | {"github.action_path": str(ROOT)}
    return EXPRESSION.sub(lambda found: known[found[1]], text)


def play(folder: Path, **given: str) -> tuple[int, dict[str, str], str]:
    """The action's shell steps one after another: exit code, outputs, what was said."""
    inputs = {name: row.get("default", "") for name, row in ACTION["inputs"].items()}
    inputs |= {name.replace("_", "-"): value for name, value in given.items()}
    output, summary = folder.parent / "output", folder.parent / "summary.md"
    output.touch()
    said = ""
    for step in (step for step in STEPS if "run" in step and "if" not in step):
        script = folder.parent / "step.sh"
        script.write_text(step["run"])
        environment = installed_environment(
            GITHUB_ACTIONS="true",
            GITHUB_WORKSPACE=str(folder),
            GITHUB_OUTPUT=str(output),
            GITHUB_STEP_SUMMARY=str(summary),
            **{name: expanded(value, inputs) for name, value in step["env"].items()},
        )
        place = folder / expanded(step.get("working-directory", "."), inputs)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]  # as GitHub runs `shell: bash`
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        said += done.stdout + done.stderr
        if done.returncode:
            break
    return done.returncode, outputs(output.read_text("utf-8")), said


def outputs(text: str) -> dict[str, str]:
    """GITHUB_OUTPUT as GitHub reads it."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        if match := re.fullmatch(r"([\w-]+)<<(.+)", line):
            body = []
            while (part := next(lines)) != match[2]:
                body.append(part)
            found[match[1]] = "\n".join(body)
        else:
            name, _, value = line.partition("=")
            found[name] = value
    return found


@pytest.fixture
def warm(check: Check, miniature: Callable[[str], Path]) -> Callable[[str], Path]:
    """A miniature that was measured here, so that the child only has to recall it."""

    def measured(name: str) -> Path:
        folder = miniature(name)
        check("--pictures", folder.parent / "drawn")
        return folder

    return measured


def test_the_action_passes(warm: Callable[[str], Path]) -> None:
    folder = warm("passing")
    code, out, said = play(folder, version="installed", config="erfscope.toml")
    assert (code, out["result"], out["exit-code"]) == (0, "pass", "0"), said
    assert set(out) == set(ACTION["outputs"])
    assert out["table"].startswith("## ✓ Receptive fields are as asked")
    assert (folder.parent / "summary.md").read_text("utf-8").strip() == out["table"].strip()
    assert json.loads(Path(out["json"]).read_text("utf-8"))["exit_code"] == 0
    assert etree.parse(out["junit"]).getroot().get("failures") == "0"
    assert len(list(Path(out["pictures"]).glob("*.png"))) == 2


def test_the_action_fails_with_outputs_and_annotations(warm: Callable[[str], Path]) -> None:
    folder = warm("failing")
    code, out, said = play(folder, version="installed", args="--timeout 60  models/context.json")
    assert (code, out["result"], out["exit-code"]) == (1, "assertion", "1"), said
    assert "::error file=pyproject.toml,line=11" in said
    assert "The head needs 24 px of context" in out["table"]


def test_the_action_on_a_broken_configuration(miniature: Callable[[str], Path]) -> None:
    code, out, said = play(miniature("broken"), version="installed")
    assert (code, out["result"]) == (2, "configuration"), said
    assert Path(out["junit"]).exists()


GH = """#!/bin/sh
# Keeps what it is called with, and lists the comment that it was given before.
echo "$*" >> calls
case "$*" in
  *--jq*) [ -f posted ] && echo 7 || true ;;
  *) for word; do case "$word" in body=@*) cp "${word#body=@}" posted ;; esac; done ;;
esac
"""


def test_the_table_becomes_one_comment_that_is_replaced(tmp_path: Path) -> None:
    (step,) = (step for step in STEPS if step["name"] == "Comment on the pull request")
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "GH_REPO": "us/net",
        "NUMBER": "12",
        "MARKDOWN": "table.md",
        "MARK": "erfscope; rm -rf .",
        "COMMIT": "ab12",
        "RUN": "https://git.example/us/net/actions/runs/7",
    }
    missing = "## ✗ Receptive fields were not checked\n\n[The run](https://git.example/us/net/actions/runs/7) ended"
    for text in ("first\n", missing):
        (tmp_path / "table.md").unlink(missing_ok=True)
        if text != missing:
            (tmp_path / "table.md").write_text(text)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
        mark = "<!-- erfscope check: erfscope--rm--rf-. -->"
        assert (tmp_path / "posted").read_text().startswith(f"{mark}\n{text}")
        assert (tmp_path / "posted").read_text().endswith("\n\nOf commit ab12.\n")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [re.findall(r"--method (\w+) (\S+)", call) for call in calls] == [
        [],
        [("POST", "repos/us/net/issues/12/comments")],
        [],
        [("PATCH", "repos/us/net/issues/comments/7")],
    ]
    assert "pull_request" in step["if"]
    assert ACTION["inputs"]["comment"]["default"] == "false"


def test_the_reports_are_uploaded_whatever_the_outcome() -> None:
    (step,) = (step for step in STEPS if step["name"] == "Upload the reports")
    assert step["if"].startswith("always() && inputs.upload == 'true'")
    outputs = {f"${{{{ steps.check.outputs.{name} }}}}" for name in ("json", "junit", "markdown", "pictures")}
    assert set(step["with"]["path"].split("\n")) - {""} == outputs


def test_inputs_are_never_scripts(miniature: Callable[[str], Path]) -> None:
    """What a pull request can put into an input stays a word."""
    for step in STEPS:
        assert "${{" not in step.get("run", "")
    folder = miniature("passing")
    code, out, said = play(folder, version="installed", config="$(touch hacked)", args="; touch hacked2")
    assert code == 2, said
    assert out["exit-code"] == "2"
    assert not list(folder.glob("hacked*"))


def test_steps_are_shell_but_for_github_s_own() -> None:
    used = [step["uses"].partition("@")[0] for step in STEPS if "uses" in step]
    assert used == ["actions/setup-python", "actions/upload-artifact"]
    assert all(step["shell"] == "bash" for step in STEPS if "run" in step)
    text = (ROOT / "action.yml").read_text("utf-8")
    used = set(re.findall(r"inputs\.([\w-]+)", text))
    assert used == set(ACTION["inputs"])
    written = set(re.findall(r'echo "([\w-]+)(?:=|<<)', next(step["run"] for step in STEPS if step["name"] == "Check")))
    assert written == set(ACTION["outputs"])


@pytest.mark.parametrize(
    ("version", "url", "asked"),
    [
        ("", "", f"install --quiet {ROOT}[local]"),
        ("", "http://erf.example", f"install --quiet {ROOT}"),
        ("0.1.0", "", "install --quiet erfscope[local]==0.1.0"),
    ],
)
def test_what_the_action_installs(tmp_path: Path, version: str, url: str, asked: str) -> None:
    (tmp_path / "python").write_text('#!/bin/sh\nshift 2\necho "$@"\n')  # instead of pip: only the words matter here
    (tmp_path / "python").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    step = next(step for step in STEPS if step.get("name") == "Install erfscope")
    environment = {"PATH": path, "VERSION": version, "URL": url, "SOURCE": str(ROOT)}
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == asked


def gitlab_job(**given: str) -> dict[str, Any]:
    """The template's job with its inputs filled in."""
    head, body = (ROOT / "templates" / "check.yml").read_text("utf-8").split("\n---\n")
    inputs = {name: row["default"] for name, row in yaml.safe_load(head)["spec"]["inputs"].items()} | given
    filled = re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda found: inputs[found[1]], body)
    job: dict[str, Any] = yaml.safe_load(filled)["erfscope-check"]
    return job


def test_the_gitlab_template(warm: Callable[[str], Path]) -> None:
    folder = warm("failing")
    job = gitlab_job(install="erfscope version", arguments="models")
    script = "\n".join([*job["before_script"], *job["script"]])
    environment = installed_environment(CI_PROJECT_DIR=str(folder))
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    reports = job["artifacts"]["reports"]
    assert etree.parse(folder / reports["junit"]).getroot().get("failures") == "2"
    issues = json.loads((folder / reports["codequality"]).read_text("utf-8"))
    assert {issue["location"]["path"] for issue in issues} == {"pyproject.toml"}
    assert job["variables"]["ERFSCOPE_CACHE_DIR"].endswith(job["cache"]["paths"][0])


def test_the_pre_commit_hook(warm: Callable[[str], Path]) -> None:
    manifest = ROOT / ".pre-commit-hooks.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", str(manifest)]
    subprocess.run(command, check=True, capture_output=True)
    (hook,) = yaml.safe_load(manifest.read_text("utf-8"))
    files = ("models/a.onnx", "a/spec.json", "erfscope.toml", "sub/pyproject.toml", "erfscope-baseline.json")
    assert all(re.search(hook["files"], name) for name in files)
    assert not re.search(hook["files"], "erfscope.toml.md")
    done = subprocess.run(
        hook["entry"].split(), cwd=warm("failing"), env=installed_environment(), capture_output=True, check=False
    )
    assert done.returncode == 1


def test_the_miniatures_call_what_is_there() -> None:
    workflow = yaml.safe_load((CI / "passing/.github/workflows/erfscope.yml").read_text("utf-8"))
    steps = workflow["jobs"]["check"]["steps"]
    assert [step for step in steps if step["uses"].startswith("OWNER/erfscope@")]
    include = yaml.safe_load((CI / "failing/.gitlab-ci.yml").read_text("utf-8"))["include"]
    assert re.search(r"/erfscope/(\w+)@", include[0]["component"])[1] == "check"  # type: ignore[index]
    hooks = yaml.safe_load((CI / "broken/.pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == [
        hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    ]
