"""What stands in deploy/, read for the tests: compose, nginx, alerts and dashboard, the objects of the cluster."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from tests.house.conftest import ROOT

from erfscope_service.settings import ServiceSettings

DEPLOY = ROOT / "deploy"
COMPOSE: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))
PLAIN: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
NGINX = (DEPLOY / "nginx" / "nginx.conf").read_text("utf-8")
SITE = (DEPLOY / "nginx" / "site.conf").read_text("utf-8")
DASHBOARD: Mapping[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))
ALERTS: Mapping[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
CLUSTER = DEPLOY / "kubernetes"
BASE = CLUSTER / "base"
API_VERSIONS = {
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Ingress": "networking.k8s.io/v1",
    "Namespace": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PersistentVolumeClaim": "v1",
    "PodDisruptionBudget": "policy/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
    "TriggerAuthentication": "keda.sh/v1alpha1",
    "VolumeSnapshot": "snapshot.storage.k8s.io/v1",
}
LAYERS = [{"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1}]
SMALL = {
    "model": {"architecture": {"name": "figures", "input": {"channels": 1, "size": [8, 8]}, "layers": LAYERS}},
    "average": {"inputs": 1},
}
VARIABLES = {f"ERFSCOPE_{name.upper()}" for name in ServiceSettings.model_fields}


def manifests() -> list[dict[str, Any]]:
    """Every object of the cluster, its component and its example included."""
    files = [place for place in sorted(CLUSTER.rglob("*.yaml")) if place.name != "kustomization.yaml"]
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
    """Environment of a container of the cluster; a secret's value is its name."""
    shared = objects("ConfigMap")["settings"]["data"] if container.get("envFrom") else {}
    own: dict[str, str] = {}
    for one in container.get("env", []):
        text = one["value"] if "value" in one else one["valueFrom"]["secretKeyRef"]["name"]
        own[one["name"]] = re.sub(r"\$\((\w+)\)", lambda match: own[match[1]], text)
    return shared | own


def scrape_job() -> dict[str, Any]:
    """How Prometheus scrapes replicas under compose."""
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (job,) = scraped["scrape_configs"]
    return dict(job)
