"""deploy/: what the files name exists, what they promise they set; checked without an engine or a cluster."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.chaos.town import free_port, listens
from tests.house.conftest import PATIENCE, ROOT, House, wait_until

from erfscope_jobs.records import Kind
from erfscope_service.settings import ServiceSettings

DEPLOY = ROOT / "deploy"
COMPOSE: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))
PLAIN: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
NGINX = (DEPLOY / "nginx" / "nginx.conf").read_text("utf-8")
DASHBOARD: Mapping[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))
ALERTS: Mapping[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
CLUSTER = DEPLOY / "kubernetes"
API_VERSIONS = {
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Namespace": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PersistentVolumeClaim": "v1",
    "PodDisruptionBudget": "policy/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
}
LAYERS = [{"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1}]
SMALL = {
    "model": {"architecture": {"name": "figures", "input": {"channels": 1, "size": [8, 8]}, "layers": LAYERS}},
    "average": {"inputs": 1},
}
VARIABLES = {f"ERFSCOPE_{name.upper()}" for name in ServiceSettings.model_fields}


def manifests() -> list[dict[str, Any]]:
    """Every object of the cluster."""
    files = [place for place in sorted(CLUSTER.glob("*.yaml")) if place.name != "kustomization.yaml"]
    return [one for place in files for one in yaml.safe_load_all(place.read_text("utf-8"))]


def objects(kind: str) -> dict[str, dict[str, Any]]:
    """Those of one kind, by name."""
    return {one["metadata"]["name"]: one for one in manifests() if one["kind"] == kind}


PODS: dict[str, dict[str, Any]] = {
    name: one["spec"]["template"]["spec"]
    for kind in ("Deployment", "StatefulSet")
    for name, one in objects(kind).items()
}


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in PODS.items():
        yield from ((name, container) for container in pod["containers"])


def flags(words: list[str]) -> dict[str, str]:
    """--name value pairs of the store's command."""
    return dict(zip(words[1::2], words[2::2], strict=True))


def settings_of(container: Mapping[str, Any]) -> dict[str, str]:
    """Environment of a container of the cluster."""
    shared = objects("ConfigMap")["settings"]["data"] if container.get("envFrom") else {}
    return shared | {one["name"]: one["value"] for one in container.get("env", [])}


# ---- compose


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


# ---- nginx


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


# ---- figures


def expressions() -> list[str]:
    """Every query of alerts and dashboard."""
    alerts = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*alerts, *panels]


@pytest.fixture(scope="module")
def exposed(house: House) -> str:
    """/metrics of a service that has done a job and refused a request."""
    with httpx2.Client(base_url=house.url, trust_env=False, timeout=PATIENCE) as http:
        http.get("/erf/no-such-job")
        place = http.post("/erf", json=SMALL).headers["Location"]
        wait_until("a small job", lambda: http.get(place).json()["status"] == "succeeded")
        return http.get("/metrics").text


def test_every_figure_that_is_shown_exists(exposed: str) -> None:
    there = set(re.findall(r"^([a-z_]+)[{ ]", exposed, flags=re.MULTILINE))
    named = {name for text in expressions() for name in re.findall(r"\b(?:erfscope|process)_[a-z_]+", text)}
    assert len(named) > 6
    assert named <= there, named - there


def test_every_event_that_is_shown_is_counted() -> None:
    scripts = "".join(place.read_text("utf-8") for place in (ROOT / "service/erfscope_jobs/scripts").glob("*.lua"))
    named = {event for text in expressions() for event in re.findall(r'event="(\w+)"', text)}
    assert named
    statuses = {"succeeded", "failed", "canceled", "expired"}  # close() counts the status that it is given
    assert all(event in statuses or f"'{event}'" in scripts for event in named), named


def test_alerts_say_what_to_do_and_panels_stand_apart() -> None:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"]["summary"].endswith(".")
            assert rule["annotations"]["action"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]}
    assert len(places) == len(DASHBOARD["panels"]) == len({panel["id"] for panel in DASHBOARD["panels"]})


def test_prometheus_knows_its_alerts_and_the_replicas() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert [Path(name).name for name in scraped["rule_files"]] == ["alerts.yml"]
    (job,) = scraped["scrape_configs"]
    assert job["dns_sd_configs"][0]["names"] == ["api"]
    secret = COMPOSE["services"]["prometheus"]["secrets"][0]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("words", [("check", "rules", "alerts.yml"), ("test", "rules", "tests.yml")])
def test_alerts_fire_when_they_should(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_tells_that_every_replica_is_gone() -> None:
    """Without a replica there is no series that a comparison could fail on."""
    rules = {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"]}
    assert rules["ErfscopeGone"]["expr"].startswith("absent(")
    assert f'job="{scrape_job()["job_name"]}"' in rules["ErfscopeGone"]["expr"]


def scrape_job() -> dict[str, Any]:
    """How Prometheus scrapes replicas under compose."""
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (job,) = scraped["scrape_configs"]
    return dict(job)


# ---- what is fetched


def test_images_and_actions_have_exact_versions() -> None:
    images = [service["image"] for service in COMPOSE["services"].values() if "build" not in service]
    images += [container["image"] for _, container in containers() if not container["image"].startswith("erfscope-")]
    cluster = yaml.safe_load((CLUSTER / "kustomization.yaml").read_text("utf-8"))["images"]
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


# ---- kubernetes


def test_the_cluster_scrapes_with_its_key() -> None:
    monitor = yaml.safe_load((CLUSTER / "monitoring" / "podmonitor.yaml").read_text("utf-8"))
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert monitor["spec"]["selector"]["matchLabels"] == objects("Deployment")["api"]["spec"]["selector"]["matchLabels"]
    assert endpoint["port"] in {port["name"] for one in PODS["api"]["containers"] for port in one["ports"]}
    assert endpoint["authorization"] == {"type": "Bearer", "credentials": {"name": "metrics-key", "key": "token"}}
    assert endpoint["relabelings"][0]["replacement"] == scrape_job()["job_name"]
    assert "prometheus.io" not in (CLUSTER / "api.yaml").read_text("utf-8")  # annotations cannot carry a key


def test_what_is_scaled_sets_no_replicas() -> None:
    """An `apply` would set them back each time."""
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        for one in objects(kind).values():
            assert "replicas" not in objects("Deployment")[one["spec"]["scaleTargetRef"]["name"]]["spec"]


def test_kustomization_lists_every_file() -> None:
    listed = yaml.safe_load((CLUSTER / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert sorted(listed) == sorted(
        place.name for place in CLUSTER.glob("*.yaml") if place.name != "kustomization.yaml"
    )


def test_every_object_has_its_version_and_a_name_of_its_own() -> None:
    seen = [(one["kind"], one["metadata"]["name"]) for one in manifests()]
    assert len(seen) == len(set(seen))
    assert all(one["apiVersion"] == API_VERSIONS[one["kind"]] for one in manifests())


def test_selectors_meet_their_pods() -> None:
    labels = {name: one["spec"]["template"]["metadata"]["labels"] for kind in ("Deployment", "StatefulSet")
              for name, one in objects(kind).items()}  # fmt: skip
    for kind in ("Deployment", "StatefulSet"):
        for name, one in objects(kind).items():
            assert one["spec"]["selector"]["matchLabels"] == labels[name]
    for name, one in objects("Service").items():
        assert one["spec"]["selector"] == labels[name]
        named = {port["name"] for container in PODS[name]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= named
    for one in objects("PodDisruptionBudget").values():
        assert one["spec"]["selector"]["matchLabels"] in labels.values()
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        for one in objects(kind).values():
            assert one["spec"]["scaleTargetRef"]["name"] in objects("Deployment")


def test_volumes_and_settings_that_pods_name_exist() -> None:
    for name, container in containers():
        given = {volume["name"]: volume for volume in PODS[name].get("volumes", [])}
        claims = {
            one["metadata"]["name"]
            for one in objects("StatefulSet").get(name, {"spec": {}})["spec"].get("volumeClaimTemplates", [])
        }
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(given) | claims
        for volume in given.values():
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in objects("PersistentVolumeClaim")
        assert {source["configMapRef"]["name"] for source in container.get("envFrom", [])} <= set(objects("ConfigMap"))


def test_pods_have_no_privilege_to_lose() -> None:
    for name, pod in PODS.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # else a service's name becomes a variable, ERFSCOPE_PORT perhaps
    for _, container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_pods_are_told_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("api", "worker"):
        (container,) = PODS[name]["containers"]
        told = settings_of(container)
        assert {variable for variable in told if variable.startswith("ERFSCOPE_")} <= VARIABLES
        for variable, value in told.items():
            monkeypatch.setenv(variable, value)
        settings = ServiceSettings()
        assert settings.redis_url.startswith("redis://redis:6379/")
        assert str(settings.data_dir) in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_pods_stop_later_than_what_runs_in_them() -> None:
    settings = ServiceSettings()
    assert PODS["worker"]["terminationGracePeriodSeconds"] > settings.shutdown_grace
    assert PODS["api"]["terminationGracePeriodSeconds"] > settings.shutdown_seconds + 5
    (worker,) = PODS["worker"]["containers"]
    assert (
        int(settings_of(worker)["ERFSCOPE_JOB_MEMORY_BYTES"]) < int(worker["resources"]["limits"]["memory"][:-2]) << 30
    )


def test_workers_are_scaled_by_the_ledgers_open_jobs() -> None:
    (trigger,) = objects("ScaledObject")["worker"]["spec"]["triggers"]
    settings = ServiceSettings()
    assert trigger["type"] == "redis"
    assert trigger["metadata"]["listName"] == f"{settings.namespace}:open"
    assert "key('open')" in (ROOT / "service/erfscope_jobs/scripts/common.lua").read_text("utf-8")
    assert trigger["metadata"]["listName"] not in {f"{settings.namespace}.{kind}" for kind in Kind}


def test_the_stores_are_set_up_alike() -> None:
    (redis,) = PODS["redis"]["containers"]
    assert flags(redis["args"]) == flags(PLAIN["services"]["redis"]["command"]) | {"--maxmemory": "1gb"}
    assert redis["image"] == PLAIN["services"]["redis"]["image"]


def test_workers_talk_to_redis_alone() -> None:
    policies = objects("NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    told = json.dumps(policies["to-redis"]["spec"]["egress"])
    assert set(re.findall(r'"port": (\d+)', told)) == {"6379", "53"}


def test_nginx_passes_the_host_with_its_port() -> None:
    """The service compares it with the page's Origin, which has one."""
    assert "proxy_set_header Host $http_host;" in NGINX
