"""The packages: what each may import (the contracts in pyproject.toml), and what must not be loaded with it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.house.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS = ("client", "service", "worker")  # each imports nothing of those behind it
HEAVY = frozenset({"torch", "torchvision", "onnx", "onnx2torch", "scipy"})
SERVERS = frozenset({"celery", "kombu", "redis", "fastapi", "starlette", "uvicorn"})

# What must not be in sys.modules after a package, with all of its modules, was imported in a fresh interpreter.
NEVER_LOADED = {
    "erfscope": HEAVY | SERVERS,
    "erfscope_contract": HEAVY | SERVERS | {"erfscope", "httpx2"},
    "erfscope_picture": HEAVY | SERVERS | {"erfscope", "erfscope_contract", "pydantic"},
    "erfscope_service": HEAVY,
    "erfscope_jobs": HEAVY | {"erfscope", "fastapi", "starlette", "uvicorn"},
    "erfscope_intake": SERVERS | {"erfscope"},
    "erfscope_engine": SERVERS | {"erfscope", "onnx", "onnx2torch"},
}

# Loads every module of a package but the entry points, which run something when imported.
LOAD = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print("\\n".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def packages() -> dict[str, str]:
    """Every package and its folder."""
    return {
        init.parent.name: init.parents[1].name for folder in FOLDERS for init in ROOT.glob(f"{folder}/*/__init__.py")
    }


def lint_imports(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_dependencies_point_one_way() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    assert f"{len(contracts)} kept, 0 broken" in done.stdout


def test_the_contracts_have_no_exception_and_name_every_package() -> None:
    linter = PROJECT["tool"]["importlinter"]
    assert not [contract["name"] for contract in linter["contracts"] if contract.get("ignore_imports")]
    (layers,) = (contract["layers"] for contract in linter["contracts"] if contract["type"] == "layers")
    rows = [row.replace(" ", "").split("|") for row in layers]
    assert sorted(linter["root_packages"]) == sorted(package for row in rows for package in row) == sorted(packages())
    heights = [FOLDERS.index(packages()[package]) for row in rows for package in row]
    assert heights == sorted(heights, reverse=True), "a package of a higher folder lies below one of a lower folder"


@pytest.mark.parametrize("package", NEVER_LOADED)
def test_what_is_not_loaded(package: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", LOAD, package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert package in loaded
    assert NEVER_LOADED[package] & loaded == set()


def test_a_worker_itself_does_without_torch() -> None:
    """Its children compute, from the fork server; a hundred megabytes and seconds of a start are theirs alone."""
    words = f"import sys, erfscope_worker.app; print(*{HEAVY!r}.intersection(sys.modules))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_every_package_is_in_the_wheel_and_says_it_is_typed() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(wheel) == sorted(f"{folder}/{package}" for package, folder in packages().items())
    for package, folder in packages().items():
        assert (ROOT / folder / package / "py.typed").exists(), package
