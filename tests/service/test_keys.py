"""API keys and tenants: who gets in, whose jobs they see, and that nothing crosses over."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis
from tests.house.conftest import ROOT
from tests.service.conftest import Worker, a_spec, assert_problem, running_service, submit

from erfscope import Client, errors
from erfscope_jobs import keys
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.keys import Scope
from erfscope_jobs.ledger import Ledger
from erfscope_service.app import create_app
from erfscope_service.callers import OPEN
from erfscope_service.settings import ServiceSettings

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 64


@dataclass
class House:
    """A service that asks for keys, and its ledger."""

    url: str
    worker: Worker

    def key(self, name: str, tenant: str | None = None, scope: Scope = Scope.JOBS) -> tuple[str, str]:
        """Id and text of a new key."""
        key, text = keys.issue(name, tenant, scope)
        assert self.worker.ledger.run(keys.add(self.space, key))
        return key.id, text

    @property
    def space(self) -> str:
        return self.worker.ledger.settings.namespace

    def client(self, text: str | None) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {text}"} if text is not None else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def house(settings: ServiceSettings) -> Iterator[House]:
    locked = settings.model_copy(update={"keys": "on", "namespace": "locked"})
    with running_service(locked) as url, Ledger(locked) as ledger:
        yield House(url, Worker(ledger, BlobStore(locked.blobs)))


@pytest.fixture(scope="module")
def one(house: House) -> Iterator[httpx2.Client]:
    with house.client(house.key("one")[1]) as client:
        yield client


@pytest.fixture(scope="module")
def two(house: House) -> Iterator[httpx2.Client]:
    with house.client(house.key("two")[1]) as client:
        yield client


ROUTES = [
    ("POST", "/erf"),
    ("GET", "/erf"),
    ("GET", "/erf/x"),
    ("DELETE", "/erf/x"),
    ("GET", "/erf/x/events"),
    ("GET", "/erf/x/heatmap.png"),
    ("GET", "/erf/x/map.npy"),
    ("POST", "/models"),
    ("GET", "/models/x"),
    ("POST", "/models/x"),
    ("DELETE", "/models/x"),
    ("POST", "/files"),
    ("DELETE", "/files/x"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_every_route_is_401(house: House, method: str, path: str) -> None:
    with house.client(None) as client:
        response = client.request(method, path, json=a_spec() if method == "POST" else None)
    assert_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_every_documented_route_asks_for_a_key_or_is_listed_as_open() -> None:
    paths = create_app(ServiceSettings()).openapi()["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            assert (operation.get("security") == [{"ApiKey": []}]) is (path not in OPEN), path
            assert ("401" in operation["responses"]) is (path not in OPEN), path


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("document", ["README.md", "docs/tutorials/platform.md"])
def test_the_curl_of_the_documents_sends_a_key_and_shows_the_words_of_a_refusal(
    house: House, tmp_path: Path, document: str
) -> None:
    (block,) = re.findall(r'^```bash\n(key="Auth.*?)^curl', (ROOT / document).read_text("utf-8"), re.M | re.S)
    (tmp_path / "model.onnx").write_bytes(b"a model")
    script = f'set -e\n{block}echo "$job"'.replace("http://localhost:8000", house.url)

    def run(**variables: str) -> "subprocess.CompletedProcess[str]":
        words, around = ["bash", "-c", script], {"PATH": os.environ["PATH"], **variables}
        return subprocess.run(words, cwd=tmp_path, env=around, capture_output=True, text=True, check=False)

    refused = run()
    assert refused.returncode != 0
    assert "Send an API key" in refused.stderr
    assert "Traceback" not in refused.stderr
    taken = run(ERFSCOPE_API_KEY=house.key("curl")[1])
    assert taken.stdout.startswith("/erf/"), taken.stderr


def test_wrong_keys_are_401(house: House) -> None:
    id, text = house.key("right")
    other_secret = keys.issue("x")[1].rsplit("_", 1)[1]
    wrong = ["x", "erf_", text[:-1], text + "a", text.upper(), f"erf_{id}_{other_secret}", keys.issue("gone")[1]]
    for candidate in wrong:
        with house.client(candidate) as client:
            assert_problem(client.get("/erf"), 401, "unauthorized")
    with house.client(text) as client:
        assert client.get("/erf").status_code == 200


def test_a_key_counts_in_the_bearer_header_only(house: House) -> None:
    _, text = house.key("places")
    with house.client(None) as client:
        assert_problem(client.get("/erf", params={"api_key": text, "access_token": text}), 401, "unauthorized")
        assert_problem(client.get("/erf", headers={"Cookie": f"Authorization=Bearer {text}"}), 401, "unauthorized")
        assert_problem(client.get("/erf", headers={"X-API-Key": text}), 401, "unauthorized")
        assert_problem(client.get("/erf", headers={"Authorization": f"Basic {text}"}), 401, "unauthorized")
        assert client.get("/erf", headers={"Authorization": f"bearer {text}"}).status_code == 200


def test_a_revoked_key_ends_its_streams(house: House) -> None:
    id, text = house.key("leaves")
    with house.client(text) as client:
        job = client.post("/erf", json=a_spec(name="followed by a leaver")).json()
        with client.stream("GET", job["links"]["events"]) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("event: snapshot")
            assert house.worker.ledger.run(keys.revoke(house.space, id))
            assert ": interrupted: unauthorized" in list(lines)  # and it ends


def test_a_revoked_key_is_401_at_once(house: House) -> None:
    id, text = house.key("short-lived")
    with house.client(text) as client:
        assert client.get("/erf").status_code == 200
        assert house.worker.ledger.run(keys.revoke(house.space, id))
        assert_problem(client.get("/erf"), 401, "unauthorized")


def test_a_body_is_not_read_before_the_key(house: House) -> None:
    before = [path for path in house.worker.blobs.root.rglob("*") if path.is_file()]
    with house.client(None) as client:
        assert_problem(client.post("/models", content=b"a model of nobody"), 401, "unauthorized")
    assert [path for path in house.worker.blobs.root.rglob("*") if path.is_file()] == before


def test_health_and_schemas_are_open(house: House) -> None:
    with house.client(None) as client:
        for path in ("/health/live", "/health/ready", "/schemas/request", "/", "/openapi.json"):
            assert client.get(path).status_code == 200, path


def test_metrics_have_keys_of_their_own(house: House, one: httpx2.Client) -> None:
    _, text = house.key("prometheus", scope=Scope.METRICS)
    with house.client(text) as prometheus:
        assert prometheus.get("/metrics").status_code == 200
        assert_problem(prometheus.get("/erf"), 403, "forbidden")
    assert_problem(one.get("/metrics"), 403, "forbidden")
    with house.client(None) as nobody:
        for client, path in ((nobody, "/metrics"), (one, "/metrics"), (nobody, "/erf")):
            made = f"erfscope keys create NAME{' --metrics' * (path == '/metrics')}"
            assert client.get(path).json()["detail"].endswith(f"makes one: {made}")


def test_the_store_has_no_key_in_clear(house: House) -> None:
    _, text = house.key("hidden")
    with redis.Redis.from_url(house.worker.ledger.settings.redis_url) as connection:
        kept = connection.hgetall(f"{house.space}:apikeys")
    assert kept
    assert text.encode() not in b"".join(kept.values())
    assert text.rsplit("_", 1)[1].encode() not in b"".join(kept.values())


def test_another_tenants_job_is_a_404_like_any_other(house: House, one: httpx2.Client, two: httpx2.Client) -> None:
    mine = submit(one, "mine")["id"]
    house.worker.measure(house.worker.claim(mine))
    for method, part in [
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/heatmap.png"),
        ("GET", "/map.npy"),
        ("DELETE", ""),
        ("DELETE", "?purge=1"),
    ]:
        foreign = assert_problem(two.request(method, f"/erf/{mine}{part}"), 404, "not-found")
        unknown = assert_problem(two.request(method, f"/erf/{'x' * len(mine)}{part}"), 404, "not-found")
        assert foreign["detail"].replace(mine, "?") == unknown["detail"].replace("x" * len(mine), "?")
    assert mine not in [job["id"] for job in two.get("/erf").json()["jobs"]]
    assert mine in [job["id"] for job in one.get("/erf").json()["jobs"]]
    assert one.get(f"/erf/{mine}").json()["status"] == "succeeded"


def test_series_advice_and_reports_never_cross_tenants(house: House, one: httpx2.Client, two: httpx2.Client) -> None:
    again = {"Idempotency-Key": "series-and-advice"}
    sweep = {"sweep": {**a_spec()["model"], "parameters": ["/layers/0/out_channels"], "values": [1, 2]}}
    asked = {"advice": {"want": 9}, "tiles": {"tile": 64}, "fit": {"objects": [9]}}
    bodies = {"series": sweep, **{route: {**a_spec(), **fields} for route, fields in asked.items()}}
    ids = {route: one.post(f"/{route}", json=body, headers=again).json()["id"] for route, body in bodies.items()}
    measured = ids["erf"] = submit(one, "reported")["id"]
    house.worker.measure(house.worker.claim(measured))
    parts = {route: [""] for route in asked} | {
        "series": ["", "/chart.png"],
        "erf": ["/report.html", "/report.md", "/map.npy?unit=1,1"],
    }
    for route, id in ids.items():
        for method, part in [*(("GET", part) for part in parts[route]), ("DELETE", "")]:
            foreign = assert_problem(two.request(method, f"/{route}/{id}{part}"), 404, "not-found")
            unknown = assert_problem(two.request(method, f"/{route}/{'x' * len(id)}{part}"), 404, "not-found")
            assert foreign["detail"].replace(id, "?") == unknown["detail"].replace("x" * len(id), "?")
    for route, body in bodies.items():
        assert two.post(f"/{route}", json=body, headers=again).json()["id"] != ids[route]
        assert one.get(f"/{route}/{ids[route]}").json()["status"] == "queued"


def test_no_tenant_takes_every_event_stream(settings: ServiceSettings, tmp_path: Path) -> None:
    changes = {"keys": "on", "max_streams": 2, "namespace": "shared-streams", "data_dir": tmp_path}
    few = settings.model_copy(update=changes)
    with running_service(few) as url, Ledger(few) as ledger, ExitStack() as stack:
        crowd = House(url, Worker(ledger, BlobStore(few.blobs)))
        greedy, other = (stack.enter_context(crowd.client(crowd.key(name)[1])) for name in ("greedy", "other"))
        jobs = {client: submit(client, "watched")["id"] for client in (greedy, other)}
        first = stack.enter_context(greedy.stream("GET", f"/erf/{jobs[greedy]}/events")).iter_lines()
        assert next(first) == "event: snapshot"
        with greedy.stream("GET", f"/erf/{jobs[greedy]}/events") as refused:
            assert refused.status_code == 503
        second = stack.enter_context(other.stream("GET", f"/erf/{jobs[other]}/events")).iter_lines()
        assert next(second) == "event: snapshot"


def test_an_answer_never_crosses_tenants(house: House, one: httpx2.Client, two: httpx2.Client) -> None:
    house.worker.advertise()
    first = submit(one, "shared question")
    house.worker.measure(house.worker.claim(first["id"]))
    assert submit(one, "shared question")["cached"] is True
    theirs = submit(two, "shared question")
    assert (theirs["status"], theirs["cached"]) == ("queued", False)


def test_an_idempotency_key_never_crosses_tenants(one: httpx2.Client, two: httpx2.Client) -> None:
    jobs = [submit(client, "idem", **{"Idempotency-Key": "k"})["id"] for client in (one, two, one)]
    assert jobs[0] == jobs[2] != jobs[1]


def test_files_and_models_never_cross_tenants(one: httpx2.Client, two: httpx2.Client) -> None:
    model = one.post("/models", content=b"a model").json()["sha256"]
    images = one.post("/files", content=PNG).json()["sha256"]
    assert_problem(two.get(f"/models/{model}"), 404, "not-found")
    assert_problem(two.delete(f"/models/{model}"), 404, "not-found")
    assert_problem(two.delete(f"/files/{images}"), 404, "not-found")
    assert_problem(two.post("/advice", json={"model": {"sha256": model}, "want": 9}), 422, "invalid-request")
    named: list[dict[str, Any]] = [
        {"model": {"sha256": model}},
        a_spec() | {"input": {"source": "images", "images": images}},
    ]
    for request in named:
        assert_problem(two.post("/erf", json=request), 422, "invalid-request")
        assert one.post("/erf", json=request).status_code == 202


def test_keys_of_one_tenant_share_its_jobs(house: House) -> None:
    with (
        house.client(house.key("laptop", "lab")[1]) as laptop,
        house.client(house.key("ci", "lab")[1]) as ci,
    ):
        id = submit(laptop, "of the lab")["id"]
        assert ci.get(f"/erf/{id}").status_code == 200


def test_the_sdk_sends_its_key(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = house.key("sdk")
    with Client(house.url, api_key=text) as client:
        assert list(client.jobs()) == []
    monkeypatch.setenv("ERFSCOPE_API_KEY", text)
    with Client(house.url) as client:
        assert list(client.jobs()) == []
    monkeypatch.delenv("ERFSCOPE_API_KEY")
    with Client(house.url) as client, pytest.raises(errors.Unauthorized):
        list(client.jobs())


def test_keys_are_needed_behind_a_proxy_whatever_the_address(tmp_path: Path) -> None:
    asked = {"host": "127.0.0.1", "trusted_proxies": "127.0.0.1", "data_dir": tmp_path}
    assert ServiceSettings.model_validate(asked).needs_keys
    assert ServiceSettings.model_validate(asked).rates
    assert not ServiceSettings.model_validate(asked | {"keys": "off"}).needs_keys


@pytest.mark.parametrize(
    ("host", "setting", "needed"),
    [
        ("127.0.0.1", "auto", False),
        ("::1", "auto", False),
        ("localhost", "auto", False),
        ("0.0.0.0", "auto", True),
        ("10.1.2.3", "auto", True),
        ("127.0.0.1", "on", True),
        ("0.0.0.0", "off", False),
    ],
)
def test_keys_are_needed_beyond_this_machine_unless_told(host: str, setting: str, needed: bool, tmp_path: Path) -> None:
    settings = ServiceSettings.model_validate({"host": host, "keys": setting, "data_dir": tmp_path})
    assert settings.needs_keys is needed
