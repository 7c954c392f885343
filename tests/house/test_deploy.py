"""deploy/compose.yml and nginx: what the files name exists, what they promise they set; checked without an engine."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from tests.chaos.parts import free_port
from tests.chaos.town import listens
from tests.house.conftest import PATIENCE, ROOT, House, wait_until
from tests.house.deployment import BASE, COMPOSE, DEPLOY, NGINX, PLAIN, SMALL, VARIABLES, containers

from erfscope_service.settings import ServiceSettings


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


def nginx_value(directive: str) -> str:
    found = re.search(rf"^\s*{directive} ([^;]+);", NGINX, flags=re.MULTILINE)
    assert found, directive
    return found[1]


def test_nginx_waits_longer_and_takes_more_than_the_service() -> None:
    settings = ServiceSettings()
    seconds = {
        name: int(nginx_value(name).removesuffix("s")) for name in ("proxy_read_timeout", "client_header_timeout")
    }
    assert seconds["proxy_read_timeout"] > max(settings.long_poll_seconds, settings.keep_alive_seconds)
    assert seconds["client_header_timeout"] <= 30
    assert int(nginx_value("client_body_timeout").removesuffix("s")) <= 30
    body = int(nginx_value("client_max_body_size").removesuffix("m")) << 20
    assert body > settings.max_model_bytes + settings.max_data_bytes + settings.max_json_bytes
    assert nginx_value("proxy_buffering") == nginx_value("proxy_request_buffering") == "off"
    assert "non_idempotent" not in NGINX


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_its_file(tmp_path: Path) -> None:
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.replace("/tmp/", f"{tmp_path}/"))
    done = subprocess.run(
        ["nginx", "-t", "-e", "stderr", "-p", tmp_path, "-c", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr.replace('the "user" directive', "")


@pytest.fixture
def front(house: House, tmp_path: Path) -> Iterator[str]:
    """nginx with our file before a real service; only addresses and ports are others."""
    port = free_port()
    text = NGINX.replace("/tmp/", f"{tmp_path}/").replace("http://api:8000", house.url)
    (tmp_path / "nginx.conf").write_text(text.replace("listen 8080", f"listen 127.0.0.1:{port}"))
    command = ["nginx", "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-g", "daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until("nginx", lambda: listens(port))
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(PATIENCE)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_a_job_goes_through_nginx_and_the_figures_do_not(front: str) -> None:
    with httpx2.Client(base_url=front, trust_env=False, timeout=PATIENCE) as http:
        place = http.post("/erf", json=SMALL).headers["Location"]
        events = http.get(f"{place}/events").text  # a stream that nothing holds back, until the end of the job
        assert "event: end" in events
        assert http.get(place).json()["status"] == "succeeded"
        assert http.get("/metrics").status_code == 404
        assert http.get("/health/ready").status_code == 200
        refused = http.post("/erf", json={"model": {}})
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")


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
