"""docs/reliability.md: every test that it names exists, and every invariant of the chaos run stands in it."""

import ast
import re
from pathlib import Path

from tests.chaos.invariants import INVARIANTS
from tests.house.conftest import ROOT

TEXT = (ROOT / "docs" / "reliability.md").read_text("utf-8")
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions(path: Path) -> set[str]:
    """Names of the tests of a file, read without running it."""
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def rows() -> list[list[str]]:
    """Cells of every row of every table that names tests: those of figures do not."""
    tables = (block for block in TEXT.split("\n\n") if block.lstrip().startswith("|"))
    lines = [line for table in tables if "| tests |" in table.splitlines()[0] for line in table.splitlines()]
    told = [line for line in lines if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in told]


def test_every_named_test_exists() -> None:
    named = sorted(set(NODE.findall(TEXT)))
    assert len(named) > 60
    known = {path: functions(ROOT / path) if (ROOT / path).is_file() else set() for path, _ in named}
    assert [f"{path}::{test}" for path, test in named if test not in known[path]] == []


def test_every_row_has_a_test() -> None:
    told = [row for row in rows() if row[-1] != "tests"]
    assert len(told) > 60
    assert [row for row in told if not NODE.search(row[-1])] == []


def test_the_chaos_run_checks_the_invariants_that_it_is_said_to() -> None:
    checked = {one.name.removesuffix("b") for one in INVARIANTS} - {"harness"}
    said = {row[0] for row in rows() if re.fullmatch(r"I\d+", row[0])}
    assert said == {f"I{number}" for number in range(1, 21)}
    assert checked == said - {"I13"}
