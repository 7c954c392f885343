"""deploy/kubernetes: what the files name exists, what they promise they set; checked without a cluster."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.house.conftest import ROOT
from tests.house.deployment import (
    ALERTS,
    API_VERSIONS,
    BASE,
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

DOCUMENT = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
FILES = "".join(place.read_text("utf-8") for place in sorted(CLUSTER.rglob("*.yaml")))
FOLDERS = ("base", "example", "keda", "monitoring")


def test_the_cluster_scrapes_with_its_key() -> None:
    monitor = yaml.safe_load((CLUSTER / "monitoring" / "podmonitor.yaml").read_text("utf-8"))
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert monitor["spec"]["selector"]["matchLabels"] == objects("Deployment")["api"]["spec"]["selector"]["matchLabels"]
    assert endpoint["port"] in {port["name"] for one in PODS["api"]["containers"] for port in one["ports"]}
    assert endpoint["authorization"] == {"type": "Bearer", "credentials": {"name": "metrics-key", "key": "token"}}
    assert endpoint["relabelings"][0]["replacement"] == scrape_job()["job_name"]
    assert "prometheus.io" not in (BASE / "api.yaml").read_text("utf-8")  # annotations cannot carry a key


def test_the_cluster_has_the_alarms_of_prometheus() -> None:
    assert objects("PrometheusRule")["erfscope"]["spec"] == ALERTS


OF_OTHERS = (
    "keda.sh/v1alpha1",
    "monitoring.coreos.com/v1",
    "snapshot.storage.k8s.io/v1",
)  # their schemas are not Kubernetes' own


@pytest.mark.parametrize("version", ["1.29", "1.32"])
def test_every_object_fits_the_schema_of_kubernetes(version: str) -> None:
    validator = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed (119 MB: not among the dev extras)"
    )
    for one in manifests():
        if one["apiVersion"] not in OF_OTHERS:
            validator.validate(one, version, strict=True)


def test_what_is_scaled_sets_no_replicas() -> None:
    """An `apply` would set them back each time."""
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        for one in objects(kind).values():
            assert "replicas" not in objects("Deployment")[one["spec"]["scaleTargetRef"]["name"]]["spec"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomizations_list_every_file(folder: str) -> None:
    listed = yaml.safe_load((CLUSTER / folder / "kustomization.yaml").read_text("utf-8"))["resources"]
    files = {place.name for place in (CLUSTER / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in listed if not name.startswith("../")} == files
    assert all((CLUSTER / folder / name).exists() for name in listed)


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """What kubectl makes of a folder."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("folder", ["base", "example", "monitoring"])
def test_kubectl_takes_the_files(folder: str) -> None:
    made = kustomized(CLUSTER / folder)
    assert all(one["apiVersion"] == API_VERSIONS[one["kind"]] for one in made)
    assert {one["metadata"].get("namespace", "erfscope") for one in made} == {"erfscope"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_patch_of_the_document_gives_a_worker_fewer_cores(tmp_path: Path) -> None:
    shutil.copytree(CLUSTER, tmp_path / "kubernetes")
    (patch,) = re.findall(r'^```yaml title="two cores a worker.*?\n(.*?)^```', DOCUMENT, re.M | re.S)
    with (tmp_path / "kubernetes" / "example" / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write(patch)
    made = {(one["kind"], one["metadata"]["name"]): one for one in kustomized(tmp_path / "kubernetes" / "example")}
    (container,) = made["Deployment", "worker"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == "2"
    (before,) = PODS["worker"]["containers"]
    assert before["resources"]["requests"]["cpu"] == base_settings()["ERFSCOPE_THREADS"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_patch_of_the_document_enlarges_the_store(tmp_path: Path) -> None:
    shutil.copytree(CLUSTER, tmp_path / "kubernetes")
    (patch,) = re.findall(r'^```yaml title="deploy/kubernetes/ours/.*?\n(.*?)^```', DOCUMENT, re.M | re.S)
    with (tmp_path / "kubernetes" / "example" / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write(patch)
    (store,) = (one for one in kustomized(tmp_path / "kubernetes" / "example") if one["kind"] == "StatefulSet")
    (redis,) = store["spec"]["template"]["spec"]["containers"]
    changed = {"--appendfsync": "always", "--maxmemory": "4gb"}
    assert flags(redis["args"]) == flags(PODS["redis"]["containers"][0]["args"]) | changed
    assert redis["resources"]["limits"] == {"memory": "8Gi"}


def test_a_restore_makes_the_claims_that_the_pods_mount_from_the_snapshots_of_a_backup() -> None:
    (text,) = re.findall(r"create -f - <<'END'\n(.*?)^END", DOCUMENT, re.M | re.S)
    claims = {one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(text)}
    (template,) = objects("StatefulSet")["redis"]["spec"]["volumeClaimTemplates"]
    stores = f"{template['metadata']['name']}-redis-0"
    assert set(claims) == {stores, *objects("PersistentVolumeClaim")}
    bases = yaml.safe_load((BASE / "storage.yaml").read_text("utf-8"))["spec"]
    for claim, before in ((claims[stores], template["spec"]), (claims["data"], bases)):
        assert {name: claim[name] for name in ("accessModes", "resources")} == before
    (snapshot,) = objects("VolumeSnapshot").values()
    for name, claim in claims.items():
        assert claim["dataSource"]["name"] == snapshot["metadata"]["name"].replace("CLAIM", name)
        assert claim["dataSource"]["apiGroup"] == snapshot["apiVersion"].partition("/")[0]
    assert f"for claim in {stores} data; do" in DOCUMENT, "the store first: what a record needs was written before it"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_example_lays_over_the_base_what_the_base_cannot_know(tmp_path: Path) -> None:
    shutil.copytree(CLUSTER, tmp_path / "kubernetes")
    example = tmp_path / "kubernetes" / "example" / "kustomization.yaml"
    text = example.read_text("utf-8")
    assert "# components: [../keda]" in text
    example.write_text(text.replace("# components", "components"), "utf-8")
    made = {(one["kind"], one["metadata"]["name"]): one for one in kustomized(example.parent)}
    for name in ("api", "worker"):
        (container,) = made["Deployment", name]["spec"]["template"]["spec"]["containers"]
        assert container["image"].startswith(f"registry.example.org/erfscope-{name}:")
    assert made["PersistentVolumeClaim", "data"]["spec"]["storageClassName"] == "shared"
    settings = made["ConfigMap", "settings"]["data"]
    assert {*base_settings(), "ERFSCOPE_TRUSTED_PROXIES"} == set(settings)
    assert ("ScaledObject", "worker") in made


def test_the_ingress_passes_on_what_the_service_takes_and_waits_longer() -> None:
    ingress = objects("Ingress")["api"]
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    ports = {port["name"] for port in objects("Service")[path["backend"]["service"]["name"]]["spec"]["ports"]}
    assert path["backend"]["service"]["port"]["name"] in ports
    assert [rule["host"]] == ingress["spec"]["tls"][0]["hosts"]
    words = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    settings = ServiceSettings()
    body = int(words["proxy-body-size"].removesuffix("m")) << 20
    assert body > settings.max_model_bytes + settings.max_data_bytes + settings.max_json_bytes
    assert int(words["proxy-read-timeout"]) > max(settings.long_poll_seconds, settings.keep_alive_seconds)
    assert words["proxy-buffering"] == words["proxy-request-buffering"] == "off"


def secrets_named(text: str) -> set[str]:
    """Secrets that the files read, by their name."""
    read = r"(?:secretKeyRef|credentials): {name: ([\w-]+)|secretName: ([\w-]+)|parameter: password, name: ([\w-]+)"
    return {name for match in re.findall(read, text) for name in match if name}


def test_the_document_makes_every_secret_and_names_what_is_there() -> None:
    made = set(re.findall(r"create secret (?:generic|tls) (\S+)", DOCUMENT))
    assert made == secrets_named(FILES) == {"redis", "metrics-key", "erfscope-tls"}
    deployments, stores = set(re.findall(r"deploy/(\w+) --|deployment/(\w+)", DOCUMENT)), objects("StatefulSet")
    assert {name for pair in deployments for name in pair if name} == set(objects("Deployment"))
    assert set(re.findall(r"statefulset/(\w+)", DOCUMENT)) <= set(stores)
    for folder in set(re.findall(r"deploy/kubernetes/([a-z]+)", DOCUMENT)) - {"ours", "backup"}:
        assert (CLUSTER / folder / "kustomization.yaml").is_file(), folder
    assert objects("Ingress")["api"]["spec"]["rules"][0]["host"] in DOCUMENT


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
        assert settings.redis_url == "redis://:redis@redis:6379/0"  # with the password of the secret
        assert str(settings.data_dir) in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_deployments_set_only_what_the_document_tells_to_leave() -> None:
    """`env` has precedence over `envFrom`: what a Deployment sets, a line in the ConfigMap would not change."""
    variables = {
        one["name"] for name in ("api", "worker") for container in PODS[name]["containers"] for one in container["env"]
    }
    named = {name for row in re.findall(r"^\| (`ERFSCOPE_.*?) \|", DOCUMENT, re.M) for name in re.findall(r"\w+", row)}
    assert variables == {"REDIS_PASSWORD", *named} - {"ERFSCOPE_DATA_DIR"}
    shared = base_settings()
    assert not variables & set(shared)
    assert {name for name in shared if f"`{name}`" not in DOCUMENT} == set()


def base_settings() -> dict[str, str]:
    """The ConfigMap of the base, without the example's lines."""
    return dict(yaml.safe_load((BASE / "settings.yaml").read_text("utf-8"))["data"])


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
    more = {"--maxmemory": "1gb", "--requirepass": "$(PASSWORD)"}
    assert flags(redis["args"]) == flags(PLAIN["services"]["redis"]["command"]) | more
    for probe in ("startupProbe", "readinessProbe"):
        assert '-a "$PASSWORD" ping' in redis[probe]["exec"]["command"][2]
    assert redis["image"] == PLAIN["services"]["redis"]["image"]


def test_workers_talk_to_redis_alone() -> None:
    policies = objects("NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    told = json.dumps(policies["to-redis"]["spec"]["egress"])
    assert set(re.findall(r'"port": (\d+)', told)) == {"6379", "53"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("folder", ["base", "example"])
def test_who_is_believed_about_addresses_is_who_gets_in(folder: str) -> None:
    """A pod that could reach the replicas from a trusted network could write any X-Forwarded-For."""
    (policy,) = (
        one
        for one in kustomized(CLUSTER / folder)
        if (one["kind"], one["metadata"]["name"]) == ("NetworkPolicy", "api")
    )
    rules = policy["spec"]["ingress"]
    assert [rule["ports"] for rule in rules] == [[{"protocol": "TCP", "port": 8000}]] * 2
    for rule in rules:
        for source in rule["from"]:
            assert source["podSelector"]["matchLabels"], "of a namespace some pods only"
            assert source["namespaceSelector"]["matchLabels"]


def test_the_one_store_is_not_evicted_and_the_document_says_what_to_do() -> None:
    budget = objects("PodDisruptionBudget")["redis"]["spec"]
    assert budget == {"maxUnavailable": 0, "selector": objects("StatefulSet")["redis"]["spec"]["selector"]}
    assert objects("StatefulSet")["redis"]["spec"]["replicas"] == 1
    assert "### Drain a node" in DOCUMENT


def test_nginx_passes_the_host_with_its_port() -> None:
    """The service compares it with the page's Origin, which has one."""
    assert "proxy_set_header Host $http_host;" in NGINX
