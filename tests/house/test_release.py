"""What a release needs: workflows, versions that agree, project URLs, SECURITY.md; and skipped tests that show."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.house.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}


def steps(workflow: str) -> list[dict[str, Any]]:
    return [step for job in WORKFLOWS[workflow]["jobs"].values() for step in job["steps"]]


def test_every_python_that_is_promised_is_tested() -> None:
    pythons = WORKFLOWS["test.yml"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert f">={pythons[0]}" == PROJECT["requires-python"]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_actions_have_exact_versions_and_workflows_few_rights(workflow: str) -> None:
    uses = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert [use for use in uses if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", use)] == []
    assert WORKFLOWS[workflow]["permissions"] == {"contents": "read"}


def test_what_runs_in_workflows_are_the_documented_commands() -> None:
    runs = {step["run"] for step in steps("test.yml") if "run" in step}
    assert {"make lint", "make test", "make dist"} <= runs
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    assert {run.removeprefix("make ") for run in runs if run.startswith("make ")} <= targets


def test_publishing_stores_no_token_and_images_carry_their_origin() -> None:
    publish = WORKFLOWS["release.yml"]["jobs"]["publish"]
    assert publish["permissions"]["id-token"] == "write"
    assert not [step for step in publish["steps"] if "password" in str(step)]
    (build,) = (step for step in steps("release.yml") if "build-push-action" in step.get("uses", ""))
    assert (build["with"]["sbom"], build["with"]["provenance"]) == (True, "mode=max")
    assert WORKFLOWS["release.yml"]["jobs"]["images"]["strategy"]["matrix"]["target"] == ["api", "worker", "worker-gpu"]


def test_every_place_has_the_version_of_the_project() -> None:
    tags = []
    for name in ("docker-compose.yml", "docker-compose.gpu.yml", "deploy/compose.yml"):
        tags += re.findall(r"image: erfscope-[\w-]+:(\S+)$", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)
    cluster = yaml.safe_load((ROOT / "deploy/kubernetes/base/kustomization.yaml").read_text("utf-8"))
    tags += [image["newTag"] for image in cluster["images"] if image["name"].startswith("erfscope-")]
    assert len(tags) >= 6
    assert set(tags) == {PROJECT["version"]}


@pytest.mark.parametrize("repository", ["", "someone/erfscope"])
def test_project_urls_are_those_of_the_repository_that_builds(repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    hook = util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://forge.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", repository)
    metadata: dict[str, Any] = {}
    hook.ProjectUrls(str(ROOT), {}).update(metadata)
    assert set(metadata["urls"]) == (
        {"Source", "Documentation", "Changelog", "Issues", "Security"} if repository else set()
    )
    assert all(url.startswith("https://forge.example/someone/erfscope") for url in metadata["urls"].values())


def test_a_vulnerability_has_a_way_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "Report a vulnerability" in text
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", text):
        assert (ROOT / target).exists(), target
    assert "\n## The jail\n" in (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def test_the_last_lines_say_what_was_skipped_and_why(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.skipif(True, reason='no browser')\n"
        "@pytest.mark.parametrize('n', range(3))\n"
        "def test_page(n): ...\n"
        "def test_gpu(): pytest.skip('no GPU')\n"
        "def test_runs(): ...\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    (head,) = (n for n, line in enumerate(lines) if "4 tests were skipped" in line)
    assert [line.split(maxsplit=1) for line in lines[head + 1 : head + 3]] == [["3", "no browser"], ["1", "no GPU"]]
