"""Code blocks of the documents: found, run in their order, and their outputs compared.

An ordinary block runs. Words in a comment before it say otherwise:

    <!-- not run: why -->   the block is only read
    <!-- output -->         the block is what the block before it prints; a line … stands for any lines

A block with title="NAME" in its fence is written to that file.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.house.conftest import PATIENCE, environment

ADDRESS = "http://localhost:8000"
FENCE = re.compile(
    r"(?:^<!-- (?P<remark>[^>]*) -->\n+)?^```(?P<language>\w+)(?P<attributes>[^\n]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
ANY = "…"
TOLERANCE = 0.02  # relative: other machines round otherwise
NOISE = 1e-3  # absolute: below, a number is rounding

# First words of commands that change the machine or never end, and why they are only read.
NOT_HERE = {
    "make": "builds a virtual environment",
    "pip": "changes the environment",
    "docker": "needs a container engine",
    "pre-commit": "changes the checkout",
    "erfscope up": "never ends; the tests run one",
}


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    document: str
    line: int
    language: str
    text: str
    title: str | None
    remark: str

    @property
    def is_output(self) -> bool:
        """Whether it is what the block before prints."""
        return self.remark == "output"

    @property
    def reason(self) -> str | None:
        """Why it does not run; None where it does."""
        if self.remark.startswith("not run: "):
            return self.remark.removeprefix("not run: ")
        if self.language not in RUNNERS and self.title is None:
            return f"{self.language or 'plain'} text"
        return next(
            (why for word, why in NOT_HERE.items() if f"{self.text} ".startswith((f"{word} ", f"{word}\n"))), None
        )

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(document: Path, root: Path) -> list[Block]:
    """All fenced blocks, in order."""
    text, name = document.read_text("utf-8"), document.relative_to(root).as_posix()
    return [_block(match, name, text) for match in FENCE.finditer(text)]


def _block(match: re.Match[str], document: str, text: str) -> Block:
    title = re.search(r'title="([^"]+)"', match["attributes"])
    line = text.count("\n", 0, match.start("language")) + 1
    return Block(document, line, match["language"], match["text"], title and title[1], match["remark"] or "")


@dataclass(frozen=True)
class Place:
    """Where blocks run: a folder, the address of a service, and variables of the environment."""

    folder: Path
    url: str
    variables: Mapping[str, str]


def run(
    found: Sequence[Block], folder: Path, url: str, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[Block, str]]:
    """Every block that prints, with what it printed; raises AssertionError where one fails."""
    place = Place(folder, url, variables or {})
    for block in found:
        if block.is_output or block.reason:
            continue
        if block.title:
            (folder / block.title).write_text(block.text, "utf-8")
        elif printed := RUNNERS[block.language](block, place):
            yield block, printed


def _process(command: list[str], block: Block, place: Place) -> str:
    done = subprocess.run(
        command, env={**environment(), **place.variables}, cwd=place.folder,
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, f"{block} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    assert '"/problems/' not in done.stdout, f"{block}\n{done.stdout}"
    return done.stdout or done.stderr


def _bash(block: Block, place: Place) -> str:
    return _process(["bash", "-euo", "pipefail", "-c", block.text.replace(ADDRESS, place.url)], block, place)


def _python(block: Block, place: Place) -> str:
    return _process([sys.executable, "-c", block.text.replace(ADDRESS, place.url)], block, place)


def _toml(block: Block, place: Place) -> str:
    tomllib.loads(block.text)
    return ""


def _json(block: Block, place: Place) -> str:
    json.loads(block.text)
    return ""


RUNNERS: dict[str, Callable[[Block, Place], str]] = {"bash": _bash, "python": _python, "toml": _toml, "json": _json}


def differences(expected: str, printed: str) -> list[str]:
    """Lines of `expected` that are not printed, in their order; numbers may be rounded otherwise."""
    lines = printed.splitlines()
    missing, at, free = [], 0, False
    for line in expected.splitlines():
        if line.strip() == ANY:
            free = True
            continue
        places = range(at, len(lines)) if free else range(at, at + 1)
        place = next((n for n in places if n < len(lines) and alike(line, lines[n])), None)
        if place is None:
            missing.append(f"expected: {line}\nprinted:  {lines[at] if at < len(lines) else '(nothing)'}")
        at, free = (at if place is None else place) + 1, False
    if not free and lines[at:]:
        missing.append(f"printed as well: {lines[at]}")
    return missing


def alike(expected: str, printed: str) -> bool:
    """Whether the words are the same, and the numbers nearly."""
    if NUMBER.sub("#", expected).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(map(float, NUMBER.findall(expected)), map(float, NUMBER.findall(printed)), strict=True)
    return all(abs(a - b) <= max(TOLERANCE * abs(a), NOISE) for a, b in pairs)


def readable(block: Block) -> None:
    """Parse what does not run as well; raises SyntaxError, ValueError or AssertionError."""
    if block.language == "bash":
        done = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    elif block.language == "python":
        ast.parse(block.text)
    elif block.language in ("toml", "json"):
        RUNNERS[block.language](block, Place(Path(os.curdir), "", {}))
