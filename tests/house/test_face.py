"""Tests see the engine from outside: they outlive what is inside it."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OPEN = ("metrics", "shards", "arithmetic", "heap", "advice")  # beside the package itself
# A spec's TRF without a run has no public name: receptive_field takes modules alone.
EXCEPT = {"intake/spec/test_presets.py"}
FILES = sorted(path for path in TESTS.rglob("*.py") if str(path.relative_to(TESTS)) not in EXCEPT)


def inner(source: str) -> list[str]:
    """Modules of the engine that a file imports and that are not open."""
    imports = [
        name
        for node in ast.walk(ast.parse(source))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        + ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
    ]
    parts = [name.split(".") for name in imports if name.split(".")[0] == "erfscope_engine"]
    return [".".join(names) for names in parts if len(names) > 1 and names[1] not in OPEN]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_imports_the_engines_public_face_alone(path: Path) -> None:
    assert inner(path.read_text()) == []


def test_an_inner_name_is_seen() -> None:
    assert inner("from erfscope_engine.recording.tape import Tape\nimport erfscope_engine.plan") == [
        "erfscope_engine.recording.tape", "erfscope_engine.plan",
    ]  # fmt: skip
    assert inner("from erfscope_engine import measure\nfrom erfscope_engine.metrics.luo import sizes") == []
