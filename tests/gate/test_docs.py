"""docs/gate.md: its blocks run, and it names every key, metric, option and exit code that there is."""

import inspect
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.blocks import differences
from tests.gate.conftest import CI, ROOT, Check, installed_environment, onnx_model, spec

from erfscope.cli.check import check as command
from erfscope.gate.config import TOP_KEYS, load
from erfscope.gate.drift import Drift
from erfscope.gate.expect import Erf
from erfscope.gate.findings import MEANING
from erfscope.gate.rules import CHECK_KEYS, REQUEST_KEYS, Bound, metric_names

PAGE = (ROOT / "docs" / "gate.md").read_text("utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
Write = Callable[..., Path]


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert found
    return found


@pytest.fixture
def repository(write: Write, folder: Path) -> Path:
    """What a reader of the page has: an ONNX model of TRF 15, and a spec that sees the same."""
    write("models/detector.onnx", onnx_model((1, 2, 4)))
    layers = [part for n in (1, 2, 4) for part in spec(n)["layers"][2:]]
    write("models/context.json", spec(side=48) | {"layers": [{**one, "name": f"l{n}"} for n, one in enumerate(layers)]})
    return folder


@pytest.mark.parametrize("block", blocks("toml"))
def test_configurations_are_valid_and_hold(block: str, repository: Path, write: Write, check: Check) -> None:
    write("pyproject.toml" if "tool.erfscope" in block else "erfscope.toml", block)
    assert load(None, repository).checks
    done = check(*["--update-baseline"] * ("drift" in block))
    assert done.code == 0, done.out


@pytest.mark.parametrize("block", blocks("bash"))
def test_commands_run(block: str, repository: Path, write: Write, check: Check) -> None:
    write("erfscope.toml", blocks("toml")[1])
    check(
        "--update-baseline", "--pictures", repository.parent / "drawn"
    )  # measured here, so that the child only has to recall it
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        env=installed_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_tests_pass(repository: Path, erf: Callable[..., Erf]) -> None:
    (block,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(block, "docs/gate.md", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        marks = {key: value for mark in getattr(test, "pytestmark", []) for key, value in mark.kwargs.items()}
        test(lambda model, marks=marks: erf(repository / model, **marks))


def test_forges_call_what_is_there() -> None:
    workflow, gitlab, pre_commit = (yaml.safe_load(block) for block in blocks("yaml"))
    (step,) = (one for one in workflow["jobs"]["check"]["steps"] if one.get("uses", "").startswith("OWNER/erfscope@"))
    assert set(step["with"]) <= set(ACTION["inputs"])
    given = set(gitlab["include"][0]["inputs"])
    template = next(yaml.safe_load_all((ROOT / "templates" / "check.yml").read_text("utf-8")))
    assert given <= set(template["spec"]["inputs"])
    hooks = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))}
    assert {hook["id"] for hook in pre_commit["repos"][0]["hooks"]} <= hooks
    for name in (*ACTION["inputs"], *ACTION["outputs"], *template["spec"]["inputs"]):
        assert f"`{name}`" in PAGE, name


def test_every_key_is_explained() -> None:
    for name in (*TOP_KEYS, *CHECK_KEYS, *REQUEST_KEYS):
        assert re.search(rf"^\| .*`{name}`.* \|", PAGE, flags=re.MULTILINE), name
    for kind in (Bound, Drift):
        for name in kind.model_fields:
            assert re.search(rf"`{name}`|{name} = ", PAGE), name


def test_every_metric_is_named() -> None:
    like_20 = {re.sub("_(30|50|99)_", "_20_", name) for name in metric_names()}
    assert [name for name in like_20 if f"`{name}`" not in PAGE and not name.endswith("_z")] == []
    section = PAGE.split("Metrics, by their flat names:")[1].split("For\nvolumes")[0]
    assert set(re.findall(r"`(\w+)`", section)) <= metric_names()


def test_every_option_and_exit_code_is_explained() -> None:
    for name in set(inspect.signature(command).parameters) - {"paths", "as_json"}:
        assert f"| `--{name.replace('_', '-')}" in PAGE, name
    for code, result in enumerate(MEANING):
        assert f"| {code} | `{result}` |" in PAGE


def test_the_session_is_what_the_command_says(check: Check, miniature: Callable[[str], Path]) -> None:
    miniature("failing")
    (session,) = blocks("text")
    assert differences(session, check("--no-cache").out) == []
    assert {path.name for path in CI.iterdir()} == {"passing", "failing", "broken"}


def test_the_recipe_of_the_page_does_what_it_promises(check: Check, write: Write) -> None:
    """Shrink fails, growth warns, retrain passes."""
    (recipe,) = (block for block in blocks("toml") if 'up = "warn"' in block and "draws" in block)
    recipe = recipe.replace("min = 12", "min = 5").replace("draws = 128", "draws = 64")
    write("models/detector.onnx", onnx_model((1, 2), side=24))
    write("erfscope.toml", recipe)
    assert check("--update-baseline").code == 0
    for dilations, seed, code, sign in (((1, 2), 4, 0, "✓"), ((1, 1), 0, 1, "✗ fail"), ((1, 4), 0, 0, "! warn")):
        write("models/detector.onnx", onnx_model(dilations, seed=seed, side=24))
        done = check()
        assert (done.code, sign in done.out) == (code, True), done.out
