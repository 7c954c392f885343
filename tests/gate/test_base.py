"""What a pull request changes in the baseline is told, in every report; where git does not have the base, that too."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.gate.conftest import Check, spec

Write = Callable[..., Path]
CONFIG = '[defaults]\ninputs = 4\n[[check]]\nmodel = "models/*"\ndrift = { max = "2%" }\ntrf_size = {}\n'
TOLD = "trf_size 11 px → 7 px; dilation of second 4 → 2."


def git(*words: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *words], check=True, capture_output=True)


def commit(subject: str) -> None:
    git("add", "--all")
    git("commit", "--quiet", "--message", subject)


@pytest.fixture
def branch(check: Check, write: Write) -> None:
    """A branch that re-baselines one of two models and adds a third; main has moved on meanwhile."""
    write("models/net.json", spec(dilation=4))
    write("models/other.json", spec(dilation=3))
    write("erfscope.toml", CONFIG)
    git("init", "--quiet", "--initial-branch", "main")
    assert check("--update-baseline").code == 0
    commit("first sizes")
    git("checkout", "--quiet", "-b", "topic")
    write("models/net.json", spec(dilation=2))
    write("models/added.json", spec(dilation=1))
    assert check("--update-baseline").code == 0
    commit("less")
    git("checkout", "--quiet", "main")
    write("models/other.json", spec(dilation=5))
    assert check("--update-baseline").code == 0
    commit("main moves on")
    git("checkout", "--quiet", "topic")


@pytest.mark.usefixtures("branch")
def test_a_pull_request_that_re_baselines_is_told_so(check: Check) -> None:
    assert "re-baselines" not in check().words
    done = check("--base", "main", "--junit", "a.xml", "--markdown", "a.md", "--report", "a.json", "--gitlab", "q.json")
    assert done.code == 0
    assert TOLD in done.words
    assert "3 passed, 1 warned" in done.words  # neither the model that is new nor what main changed since
    markdown = Path("a.md").read_text("utf-8")
    assert markdown.startswith("## ✓ Receptive fields are as asked; this change re-baselines models")
    assert TOLD.removeprefix("trf_size ") in markdown
    (warning,) = (one for one in json.loads(Path("a.json").read_text("utf-8"))["findings"] if one["rule"] == "baseline")
    assert (warning["verdict"], warning["model"], warning["exit_code"]) == ("warn", "models/net.json", 0)
    assert (
        '"model": "models/net.json"'
        in Path("erfscope-baseline.json").read_text("utf-8").splitlines()[warning["line"] - 1]
    )
    assert any(TOLD in (one.text or "") for one in ET.parse("a.xml").iter("system-out"))
    assert TOLD.removesuffix(".") in Path("q.json").read_text("utf-8")


@pytest.mark.usefixtures("branch")
def test_the_forge_names_the_base(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CHANGE_TARGET"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "main")
            assert "Against main (" in check().words
    assert TOLD not in check().words


@pytest.mark.usefixtures("branch")
def test_the_merge_that_github_checks_out_has_its_base_as_first_parent(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("checkout", "--quiet", "main")
    git("checkout", "--quiet", "-b", "merged")
    git("merge", "--quiet", "--strategy", "recursive", "--strategy-option", "theirs", "topic")
    for depth in (2, 1):
        git(
            "clone",
            "--quiet",
            "--depth",
            str(depth),
            "--branch",
            "merged",
            f"file://{Path.cwd()}",
            f"{tmp_path}/{depth}",
        )
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    monkeypatch.setenv("GITHUB_REF", "refs/pull/7/merge")
    monkeypatch.chdir(tmp_path / "2")
    assert TOLD in check().words
    monkeypatch.chdir(tmp_path / "1")
    done = check()
    assert TOLD not in done.words
    assert (
        "re-baselines a model of main or loosens a rule cannot be known: this clone is shallow and lacks that commit."
        in done.words
    )
    assert "fetch-depth: 2" in done.words


@pytest.mark.usefixtures("branch")
def test_a_base_that_is_not_there_is_refused(check: Check) -> None:
    done = check("--base", "mian")
    assert done.code == 2
    assert "--base mian: git knows no commit of that name here" in done.words


@pytest.mark.usefixtures("branch")
def test_a_repository_of_another_user_is_told_as_one(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    done = check()
    assert done.code == 0
    assert "cannot be known: git does not read this repository, because its folder belongs to another" in done.words
    assert f"git config --global --add safe.directory {Path.cwd()}" in done.words
    asked = check("--base", "main")
    assert asked.code == 0
    assert "dubious ownership" in asked.words
    assert "git knows no commit" not in asked.words


def test_a_folder_without_a_repository_is_told_as_one(check: Check, write: Write) -> None:
    write("models/net.json", spec())
    write("erfscope.toml", CONFIG.replace("trf_size = {}", "trf_size = { min = 1 }").replace("drift", "# drift"))
    done = check("--base", "main")
    assert done.code == 0
    assert "cannot be known: git answers: not a git repository" in done.words


def test_a_model_that_was_renamed_is_told_by_both_names(check: Check, write: Write) -> None:
    write("models/net.json", spec(dilation=4))
    write("erfscope.toml", CONFIG)
    git("init", "--quiet", "--initial-branch", "main")
    assert check("--update-baseline").code == 0
    commit("a baseline")
    Path("models/net.json").rename("models/detector.json")
    assert "models/net.json: renamed to models/detector.json." in check("--update-baseline").words
    done = check("--base", "main")
    assert "Against main (" in done.words
    assert ": renamed to models/detector.json." in done.words
    git("checkout", "--quiet", "--", "erfscope-baseline.json")
    write("models/detector.json", spec(dilation=4, init="ones"))
    assert "models/net.json: renamed to models/detector.json" in check("--update-baseline").words


def test_what_leaves_the_baseline_is_told(check: Check, write: Write) -> None:
    for name in ("a", "b"):
        write(f"models/{name}.json", spec(dilation=4))
    write("erfscope.toml", CONFIG)
    git("init", "--quiet", "--initial-branch", "main")
    commit("no baseline yet")
    assert check("--update-baseline").code == 0
    assert "re-baselines" not in check("--base", "main").words
    commit("a baseline")
    Path("models/b.json").unlink()
    assert check("--update-baseline").code == 0
    assert "gone; no check measures it any more" in check("--base", "main").words
