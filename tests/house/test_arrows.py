"""The arrows between the packages: what each may import, and what must not be loaded with it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOMES = {
    "erfscope": "client",
    "erfscope_service": "service",
    "erfscope_jobs": "service",
    "erfscope_worker": "worker",
    "erfscope_intake": "worker",
    "erfscope_engine": "worker",
    "erfscope_picture": "worker",
}
HEAVY = frozenset({"torch", "torchvision", "onnx", "onnx2torch", "scipy"})
SERVERS = frozenset({"celery", "kombu", "redis", "fastapi", "starlette", "uvicorn"})

# What must not be in sys.modules after a package, with all of its modules, was imported in a fresh interpreter.
NEVER_LOADED = {
    "erfscope": HEAVY | SERVERS,
    "erfscope_service": HEAVY,
    "erfscope_jobs": HEAVY | {"fastapi", "starlette", "uvicorn"},
    "erfscope_intake": SERVERS,
    "erfscope_engine": SERVERS | {"onnx", "onnx2torch"},
    "erfscope_picture": HEAVY | SERVERS | {"erfscope", "pydantic"},
}

# The packages of this house that a package may import, by any import statement, lazy ones included.
ALLOWED = {
    # lazily, and in the rooms named below alone
    "erfscope": {"erfscope_engine", "erfscope_intake", "erfscope_jobs", "erfscope_picture", "erfscope_worker"},
    "erfscope_service": {"erfscope", "erfscope_jobs", "erfscope_picture"},
    "erfscope_jobs": {"erfscope"},
    "erfscope_worker": {"erfscope", "erfscope_jobs", "erfscope_intake", "erfscope_engine", "erfscope_picture"},
    "erfscope_intake": {"erfscope", "erfscope_engine"},
    "erfscope_engine": {"erfscope"},
    "erfscope_picture": set(),
}

# Of `erfscope` the other packages may import the contract and what stands beside it, never the SDK.
SHARED = ("erfscope.contract", "erfscope.presets", "erfscope.report", "erfscope._version", "erfscope.__version__")

# Loads every module of a package but the entry points, which run something when imported.
LOAD = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
print("\\n".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def files(package: str) -> list[Path]:
    return sorted((ROOT / HOMES[package] / package).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports; `from a import b` counts as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def house_imports(package: str) -> Iterator[tuple[str, str]]:
    """`file:line` and name of each import of another package of this house."""
    for path in files(package):
        for line, name in imports(ast.parse(path.read_text("utf-8"))):
            first = name.partition(".")[0]
            if first in HOMES and first != package:
                yield f"{path.relative_to(ROOT)}:{line}", name


@pytest.mark.parametrize("package", NEVER_LOADED)
def test_what_is_not_loaded(package: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", LOAD, package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert package in loaded
    assert NEVER_LOADED[package] & loaded == set()


def test_every_package_is_in_the_wheel_and_says_it_is_typed() -> None:
    assert {folder.name for folder in ROOT.glob("*/erfscope*") if (folder / "__init__.py").exists()} == set(HOMES)
    for package, home in HOMES.items():
        assert (ROOT / home / package / "py.typed").exists(), package


@pytest.mark.parametrize("package", HOMES)
def test_arrows(package: str) -> None:
    assert files(package)
    wrong = [
        f"{where}: {name}" for where, name in house_imports(package) if name.partition(".")[0] not in ALLOWED[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", [name for name in HOMES if name != "erfscope"])
def test_only_the_contract_is_shared(package: str) -> None:
    wrong = [
        f"{where}: {name}"
        for where, name in house_imports(package)
        if name.partition(".")[0] == "erfscope" and not name.startswith(SHARED)
    ]
    assert wrong == []


def test_the_sdk_reaches_the_other_packages_from_few_rooms() -> None:
    """The command line, the experiments, and the pictures of a comparison."""
    rooms = tuple(str(Path("client/erfscope", room)) for room in ("cli", "reproduce", "_compare.py"))
    assert [where for where, _ in house_imports("erfscope") if not where.startswith(rooms)] == []


def test_the_check_sees_an_import_in_a_function() -> None:
    source = "def f():\n    import torch.nn\n    from erfscope_jobs import ledger\n"
    assert list(imports(ast.parse(source))) == [(2, "torch.nn"), (3, "erfscope_jobs.ledger")]
