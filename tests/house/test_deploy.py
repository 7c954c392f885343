"""deploy/compose.yml: what the files name exists, what they promise they set; checked without an engine."""

import re

import yaml
from tests.house.conftest import ROOT
from tests.house.deployment import BASE, COMPOSE, DEPLOY, PLAIN, VARIABLES, containers


def test_each_service_is_the_plain_ones_hardened_and_more() -> None:
    for name, service in COMPOSE["services"].items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    for name in ("redis", "api", "worker"):
        ours, plain = COMPOSE["services"][name], PLAIN["services"][name]
        assert ours["image"] == plain["image"]
        assert ours["healthcheck"]["test"] == plain["healthcheck"]["test"]
        assert ours.get("command") == plain.get("command")
    assert all(COMPOSE["services"][name]["deploy"]["replicas"] > 1 for name in ("api", "worker"))


def test_compose_sets_what_is_read() -> None:
    for service in COMPOSE["services"].values():
        ours = {name: value for name, value in service.get("environment", {}).items() if name.startswith("ERFSCOPE_")}
        assert set(ours) <= VARIABLES
    assert COMPOSE["services"]["api"]["environment"]["ERFSCOPE_KEYS"] == "on"


def test_only_nginx_and_grafana_can_be_reached_and_only_from_here() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert set(published) == {"nginx", "grafana"}
    assert all(":-127.0.0.1:" in port for ports in published.values() for port in ports)
    assert COMPOSE["networks"]["house"]["internal"] is True
    assert all("edge" not in COMPOSE["services"][name]["networks"] for name in ("redis", "api", "worker", "prometheus"))


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = [
        volume.partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert mounted
    assert all((DEPLOY / place).exists() for place in mounted)


def test_images_and_actions_have_exact_versions() -> None:
    images = [service["image"] for service in COMPOSE["services"].values() if "build" not in service]
    images += [container["image"] for _, container in containers() if not container["image"].startswith("erfscope-")]
    cluster = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))["images"]
    images += [f"{image['newName']}:{image['newTag']}" for image in cluster]
    python = re.search(r"^ARG PYTHON=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    assert python
    images.append(f"python:{python[1]}-slim")
    assert [image for image in images if not re.search(r"@sha256:|:v?\d+\.\d+\.\d+(-[a-z]+)?$", image)] == []
    places = [ROOT / "action.yml", ROOT / "docs" / "gate.md", *(ROOT / "examples").rglob("*.yml"),
              *(ROOT / "examples").glob("**/.github/workflows/*.yml")]  # fmt: skip
    uses = [use for place in places for use in re.findall(r"uses: (actions/\S+)", place.read_text("utf-8"))]
    assert len(uses) > 3
    assert [use for use in uses if not re.search(r"@(v\d+\.\d+\.\d+|[0-9a-f]{40})$", use)] == []
