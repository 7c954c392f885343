"""`erfscope init` in a repository that is set up: other weights for a check, a new configuration, lines for Git."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.gate.conftest import Check, onnx_model, spec
from tests.gate.test_init import WORKFLOW, start

from erfscope.gate.workflow import Origin, workflow

Write = Callable[..., Path]
MINE = """\
# mine
[[check]]
name = "net"
model = "net.onnx"
inputs = 8 # eight
trf_size = { min = 3, message = "Anchors." }
mass_50_side = {}
drift = { max = "20%" }

[[check]]
name = "other"
model = "other.onnx"
inputs = 8
trf_size = {}
drift = { max = "5%" }
"""


@pytest.fixture
def set_up(check: Check, write: Write) -> None:
    """Two checks with their baseline."""
    write("net.onnx", onnx_model((1, 2)))
    write("other.onnx", onnx_model((1, 2), seed=1))
    write("erfscope.toml", MINE)
    assert check("--update-baseline").code == 0


@pytest.mark.usefixtures("set_up")
def test_a_check_gets_drawn_weights_and_keeps_all_else(check: Check, write: Write) -> None:
    done = start("net.onnx", "--weights", "random")
    assert done.code == 0, done.err
    assert "converted in erfscope.toml: the check 'net' has weights = 'kaiming_normal' now" in done.words
    text = Path("erfscope.toml").read_text("utf-8")
    net, other = tomllib.loads(text)["check"]
    former, untouched = tomllib.loads(MINE)["check"]
    assert other == untouched
    assert net.pop("draws") >= 16
    assert net == {**former, "weights": "kaiming_normal", "inputs": 1}
    assert text.startswith("# mine\n")
    assert Path("erfscope-baseline.json").read_text("utf-8").count('"model": "net.onnx"') == 1
    write("net.onnx", onnx_model((1, 2), seed=5))  # trained again
    assert check().code == 0
    write("net.onnx", onnx_model((1, 1)))
    assert check().code == 1
    write("net.onnx", onnx_model((1, 2)))
    again = start("net.onnx", "--weights", "random")
    assert "has a check already, with weights = 'kaiming_normal'; nothing was added" in again.words
    assert start("net.onnx", "--weights", "given").code == 0
    assert "weights" not in Path("erfscope.toml").read_text("utf-8")
    assert "drawn anew" not in Path("erfscope.toml").read_text("utf-8")


@pytest.mark.usefixtures("set_up")
def test_what_cannot_be_converted_is_refused_with_what_to_do(write: Write) -> None:
    pattern = MINE.split('\n[[check]]\nname = "other"', maxsplit=1)[0].replace("net.onnx", "*.onnx")
    write("erfscope.toml", pattern)
    done = start("net.onnx", "--weights", "random")
    assert done.code != 0
    assert "the check 'net' guards other.onnx, too; give all its models ('*.onnx')" in done.err
    write("erfscope.toml", f'[defaults]\nweights = "ones"\n{MINE}')
    before = Path("erfscope.toml").read_text("utf-8")
    done = start("net.onnx", "--weights", "given")
    assert "cannot be converted as it is written" in done.err
    assert "--force" in done.err
    assert Path("erfscope.toml").read_text("utf-8") == before
    assert "--inputs changes none" in start("net.onnx", "--inputs", "4").err


@pytest.mark.usefixtures("set_up")
def test_force_leaves_no_old_entry_and_tells_what_it_replaced(check: Check) -> None:
    assert start("net.onnx", "--force", "--inputs", "8").code == 0
    assert "other.onnx" not in Path("erfscope-baseline.json").read_text("utf-8")
    assert check().code == 0
    edited = WORKFLOW.read_text("utf-8").replace("timeout-minutes: 30", "timeout-minutes: 99")
    WORKFLOW.write_text(edited, "utf-8")
    done = start("net.onnx", "--force", "--inputs", "8")
    assert "wrote erfscope.toml over the one that was there" in done.words
    assert f"over one that was other; that one is {WORKFLOW}.orig now" in done.words
    assert Path(f"{WORKFLOW}.orig").read_text("utf-8") == edited


def test_git_does_not_merge_models_as_text(write: Write) -> None:
    write("net.onnx", onnx_model((1, 2)))
    write("net.json", spec())
    assert start("net.json", "--inputs", "4").code == 0
    assert not Path(".gitattributes").exists()
    write(".gitattributes", "*.onnx filter=lfs diff=lfs merge=lfs -text")
    done = start("net.onnx", "--inputs", "4")
    assert "added to .gitattributes: Git does not merge *.onnx.data as text" in done.words
    lines = Path(".gitattributes").read_text("utf-8").splitlines()
    assert lines == ["*.onnx filter=lfs diff=lfs merge=lfs -text", "*.onnx.data binary"]
    assert "Commit erfscope.toml, erfscope-baseline.json, .gitattributes and .github" in done.words


def test_the_job_that_opens_models_may_not_write() -> None:
    whole = yaml.safe_load(workflow(WORKFLOW, Origin("erfscope", "said."), None, {}))
    check, comment = whole["jobs"]["check"], whole["jobs"]["comment"]
    assert whole["permissions"] == {"contents": "read"}
    assert "permissions" not in check
    assert comment["permissions"] == {"pull-requests": "write"}
    assert not any("pip" in str(step.get("run")) or "checkout" in step.get("uses", "") for step in comment["steps"])
    assert all("timeout-minutes" in job for job in (check, comment))
    assert check["steps"][0]["with"]["persist-credentials"] is False
    assert check["steps"][1]["with"]["cache"] == "pip"
    assert whole["concurrency"]["group"]
