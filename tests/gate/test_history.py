"""`erfscope history`: which commit of a branch moved which number."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gate.conftest import Check, spec
from typer.testing import CliRunner

from erfscope.cli import app
from erfscope.cli.failure import report

Write = Callable[..., Path]


def config(rules: str) -> str:
    return f'[defaults]\ninputs = 4\n[[check]]\nmodel = "models/*"\n{rules}'


def git(*words: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *words], check=True, capture_output=True)


def test_the_history_of_a_branch_tells_who_moved_what(
    check: Check, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("models/net.json", spec(dilation=4))
    write("erfscope.toml", config("drift = { max = '2%' }\ntrf_size = {}\n"))
    git("init", "--quiet")
    for dilation, subject in ((4, "first sizes"), (2, "half the dilation"), (2, "no change")):
        write("models/net.json", spec(dilation=dilation))
        assert check("--update-baseline").code == 0
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", subject)
    done = CliRunner().invoke(app, ["history", "--json"], catch_exceptions=False)
    steps = json.loads(done.stdout)
    assert [(one["subject"], one["metric"], one["value"]["value"]) for one in steps] == [
        ("first sizes", "trf_size", 11.0),
        ("half the dilation", "trf_size", 7.0),
    ]
    assert [one["before"] and one["before"]["value"] for one in steps] == [None, 11.0]
    table = CliRunner().invoke(app, ["history", "models/net.json"], catch_exceptions=False).stdout
    assert "half the dilation" in table
    assert "trf_size 11 px 7 px -36.4%" in " ".join(table.split())
    assert "trf_size new 11 px" in " ".join(table.split())
    assert table.count("dilation of second 4 → 2") == 1
    assert all(one["author"] for one in steps)
    monkeypatch.setenv("COLUMNS", "60")
    narrow = CliRunner().invoke(app, ["history"], catch_exceptions=False).stdout
    assert max(map(len, narrow.splitlines())) <= 60
    write("models/other.json", spec(dilation=1))
    Path("models/net.json").unlink()
    assert check("--update-baseline").code == 0
    git("add", "--all")
    git("commit", "--quiet", "--message", "another model")
    done = CliRunner().invoke(app, ["history", "--last", "1", "--json"], catch_exceptions=False)
    steps = json.loads(done.stdout)
    sides = [(one["model"], *((one[side] or {}).get("value") for side in ("before", "value"))) for one in steps]
    assert sides == [("models/other.json", None, 5.0), ("models/net.json", 7.0, None)]
    words = CliRunner().invoke(app, ["history", "./models/net.json", "--last", "1"], catch_exceptions=False).stdout
    assert words.split()[-5:] == ["models/net.json", "trf_size", "7", "px", "gone"]


def test_the_last_commit_is_compared_with_the_one_before_it(check: Check, write: Write) -> None:
    write("erfscope.toml", config("drift = { max = '2%' }\ntrf_size = {}\n"))
    git("init", "--quiet")
    for dilation in (4, 2):
        write("models/net.json", spec(dilation=dilation))
        assert check("--update-baseline").code == 0
        git("add", "--all")
        git("commit", "--quiet", "--message", f"dilation {dilation}")
    done = CliRunner().invoke(app, ["history", "--last", "1", "--json"], catch_exceptions=False)
    (step,) = json.loads(done.stdout)
    assert (step["before"]["value"], step["value"]["value"]) == (11.0, 7.0)
    assert step["change"] == "dilation of second 4 → 2"
    for name, said in (
        (
            "models/nett.json",
            "models/nett.json: no such model in the baseline's commits; did you mean models/net.json?",
        ),
        ("check 1", "check 1: is the name of a check; give its models; known are: models/net.json"),
    ):
        refused = CliRunner().invoke(app, ["history", name]).exception
        assert refused is not None
        assert said in str(refused)
        assert report(refused) == 2  # type: ignore[arg-type]


def test_a_history_without_a_configuration_is_no_fault_of_ours(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = CliRunner().invoke(app, ["history"]).exception
    assert report(refused) == 2  # type: ignore[arg-type]
    told = capsys.readouterr().err
    assert "no erfscope.toml here or above" in " ".join(told.replace("│", " ").split())
    assert "report this" not in told


def test_a_history_needs_commits(write: Write) -> None:
    write("models/net.json", spec())
    write("erfscope.toml", config("drift = { max = '2%' }\ntrf_size = {}\n"))
    assert "git cannot tell the history" in str(CliRunner().invoke(app, ["history"]).exception)
    git("init", "--quiet")
    assert "git cannot tell" in str(CliRunner().invoke(app, ["history"]).exception)


def test_a_shallow_clone_says_how_to_deepen_it(
    check: Check, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("erfscope.toml", config("drift = { max = '2%' }\ntrf_size = {}\n"))
    git("init", "--quiet")
    for dilation in (4, 2, 1):
        write("models/net.json", spec(dilation=dilation))
        assert check("--update-baseline").code == 0
        git("add", "--all")
        git("commit", "--quiet", "--message", f"dilation {dilation}")
    for depth in (1, 2):
        clone = tmp_path / f"clone{depth}"
        git("clone", "--quiet", f"--depth={depth}", Path.cwd().as_uri(), str(clone))
    monkeypatch.chdir(tmp_path / "clone1")
    refused = str(CliRunner().invoke(app, ["history"]).exception)
    assert "this clone is shallow" in refused
    assert "`git fetch --unshallow`" in refused
    monkeypatch.chdir(tmp_path / "clone2")
    done = CliRunner().invoke(app, ["history"], catch_exceptions=False)
    assert "7 px" in done.stdout
    assert "`git fetch --unshallow`" in done.stderr
