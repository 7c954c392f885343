"""deploy/kubernetes: what the files name exists, what they promise they set; checked without a cluster."""

import json
import re

import pytest
import yaml
from tests.house.conftest import ROOT
from tests.house.deployment import (
    API_VERSIONS,
    CLUSTER,
    NGINX,
    PLAIN,
    PODS,
    VARIABLES,
    containers,
    flags,
    manifests,
    objects,
    scrape_job,
    settings_of,
)

from erfscope_jobs.records import Kind
from erfscope_service.settings import ServiceSettings


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
