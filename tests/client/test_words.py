"""What the command line says of mistakes: our own words, and what would do instead."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from erfscope.cli.failure import problem_of
from erfscope_contract.duration import lasting

from .command_line import Run, environment


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--unit", "-1"), "--unit '-1' is not center, an index such as 7,7, or a grid such as grid:3x3"),
        (("--unit", "grid:x"), "is not rows and columns such as 3x3"),
        (("--channels", "a,b"), "is not auto, sum, random, or a list of channels such as 0,5"),
        (("--mean", "a"), "is not a list of numbers such as 0.485,0.456"),
        (("--request", "nofile"), "'--request': file 'nofile' does not exist"),
        (("--images", "nofile"), "'--images': file 'nofile' does not exist"),
        (("--inputs", "abc"), "'--inputs': must be a whole number"),
        (("--dtype", "x"), "'--dtype': 'x' is not one of 'float32'"),
    ],
)
def test_options_are_complained_about_in_our_words(run: Run, spec: Path, words: tuple[str, ...], said: str) -> None:
    done = run("measure", "spec.json", *words, COLUMNS="200")
    assert done.returncode == 2
    assert said.casefold() in " ".join(done.stderr.split()).casefold()


def test_a_file_that_is_no_object_and_one_without_end(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert "│ it must be an object" in run("measure", "list.json").stderr
    done = run("measure", "deep.json")
    assert done.returncode == 2
    assert "brackets within brackets" in done.stderr


def test_a_request_without_end(run: Run, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    done = run("measure", "spec.json", "--request", "deep.json")
    assert done.returncode == 2
    assert "brackets within brackets" in done.stderr


def test_three_presets_are_named(run: Run) -> None:
    said = " ".join(run("measure", "preset:x", COLUMNS="200").stderr.split())
    assert re.search(r"did you mean [\w-]+, [\w-]+, [\w-]+\? `erfscope presets` lists all", said)


def test_layers_names_the_variable_that_stands_in_the_way(run: Run, spec: Path) -> None:
    done = run("layers", "spec.json", ERFSCOPE_URL="http://127.0.0.1:1")
    assert "leave out --url and unset ERFSCOPE_URL" in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize("words", [("presets",), ("presets", "--json")])
def test_a_reader_that_leaves_is_no_failure(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "erfscope", *words]
    done = subprocess.run(command, env=environment(), stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EROFS, "x", "a/b.xml"), "a/b.xml is on a read-only file system"),
        (OSError(errno.EISDIR, "x", b"a"), "a is a folder, where a file is needed"),
        (OSError(errno.EMFILE, "Too many open files", "a"), "a cannot be used: Too many open files"),
        (OSError(errno.ENETDOWN, "Network is down"), "Network is down"),
        (OSError("something else"), "something else"),
    ],
)
def test_the_systems_errors_have_words(error: OSError, words: str) -> None:
    assert problem_of(error).detail == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.499991, "0.5 s"), (0, "0 s"), (60, "1 min"), (90, "90 s"), (900, "15 min"), (3600, "1 h"), (86400, "24 h")],
)
def test_times_are_told_as_people_say_them(seconds: float, words: str) -> None:
    assert lasting(seconds) == words
