"""What is stored can be listed: jobs of every kind with filters, models, images, series."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.service.conftest import Worker, a_spec, assert_problem, running_service, sha256, submit
from tests.service.test_models import BINARY, upload
from tests.service.test_series import a_sweep

from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.ledger import Ledger
from erfscope_service.settings import ServiceSettings

ASKED: dict[str, dict[str, Any]] = {"advice": {"want": 24}, "tiles": {"tile": 64}, "fit": {"objects": [8]}}


@pytest.fixture
def own(settings: ServiceSettings, request: pytest.FixtureRequest) -> ServiceSettings:
    space = request.node.name.removeprefix("test_").replace("_", "-").replace("[", "-").rstrip("]")
    return settings.model_copy(update={"namespace": space[:60]})


@pytest.fixture
def client(own: ServiceSettings) -> Iterator[httpx2.Client]:
    with running_service(own) as url, httpx2.Client(base_url=url, timeout=30) as http:
        yield http


@pytest.fixture
def worker(own: ServiceSettings) -> Iterator[Worker]:
    with Ledger(own) as ledger:
        yield Worker(ledger, BlobStore(own.blobs))


def ask(client: httpx2.Client, kind: str, name: str = "asked") -> dict[str, Any]:
    response = client.post(f"/{kind}", json={**a_spec(name=name), **ASKED[kind]})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def pages(client: httpx2.Client, path: str, entries: str, size: int, **filters: str) -> list[list[dict[str, Any]]]:
    """All pages, in their order."""
    read, token = [], ""
    while token is not None:
        params = {"page_size": str(size), **filters} | ({"page_token": token} if token else {})
        page = client.get(path, params=params)
        assert page.status_code == 200, page.text
        read.append(page.json()[entries])
        token = page.json()["next_page_token"]
    return read


def test_jobs_of_every_kind_are_in_one_list(client: httpx2.Client) -> None:
    submitted = [submit(client, "one")["id"], *(ask(client, kind)["id"] for kind in ASKED)]
    upload(client, b"a model whose inspection is a job")
    (page,) = pages(client, "/jobs", "jobs", 20)
    assert [job["kind"] for job in page] == ["inspect", "fit", "tiles", "advice", "erf"]
    assert [job["id"] for job in page[1:]] == submitted[::-1]
    assert page[0]["links"]["self"] == f"/models/{sha256(b'a model whose inspection is a job')}"
    for job in page:
        assert client.get(job["links"]["self"]).status_code == 200
        assert not {"request", "result"} & set(job)


@pytest.mark.parametrize("kind", ["erf", *ASKED])
def test_a_kind_has_a_list_of_its_own(client: httpx2.Client, kind: str) -> None:
    for other in ASKED:
        ask(client, other)
    submit(client, "a measurement")
    (filtered,) = pages(client, "/jobs", "jobs", 20, kind=kind)
    (listed,) = pages(client, f"/{kind}", "jobs", 20)
    assert [job["id"] for job in listed] == [job["id"] for job in filtered]
    assert len(listed) == 1


def test_a_state_is_a_filter(client: httpx2.Client, worker: Worker) -> None:
    jobs = [submit(client, f"job {n}")["id"] for n in range(6)]
    for id in jobs[::2]:
        worker.fail(worker.claim(id), "no-gradient", "none")
    worker.claim(jobs[1])

    def ids(status: str) -> list[str]:
        return [job["id"] for page in pages(client, "/jobs", "jobs", 2, status=status) for job in page]

    assert ids("failed") == [jobs[4], jobs[2], jobs[0]]
    assert ids("queued") == [jobs[5], jobs[3]]
    assert ids("running") == [jobs[1]]
    assert ids("canceled") == []


def test_pages_hold_every_entry_once(client: httpx2.Client) -> None:
    for n in range(5):
        submit(client, f"job {n}")
        upload(client, b"model %d" % n)
        client.post("/files", content=b"\x89PNG\r\n\x1a\n %d" % n, headers=BINARY)
        client.post("/series", json=a_sweep(values=[n + 1, n + 2]))
    for path, entries, name in (
        ("/erf", "jobs", "id"),
        ("/models", "models", "sha256"),
        ("/files", "files", "sha256"),
        ("/series", "series", "id"),
    ):
        read = pages(client, path, entries, 2)
        names = [entry[name] for page in read for entry in page]
        (whole,) = pages(client, path, entries, 100)
        assert names == [entry[name] for entry in whole], path
        assert len(set(names)) == len(names) >= 5, path
        created = [entry["created_at"] for entry in whole]
        assert created == sorted(created, reverse=True), path


def test_what_is_removed_leaves_the_lists(client: httpx2.Client) -> None:
    job = ask(client, "tiles")
    upload(client, b"to be forgotten")
    client.delete(job["links"]["self"])
    assert client.delete(job["links"]["self"], params={"purge": "1"}).status_code == 204
    assert client.delete(f"/models/{sha256(b'to be forgotten')}").status_code == 204
    assert client.get("/tiles").json()["jobs"] == []
    assert [job["kind"] for job in client.get("/jobs").json()["jobs"]] == ["inspect"]
    assert client.get("/models").json()["models"] == []


@pytest.mark.parametrize("path", ["/jobs", "/erf", "/advice", "/series", "/models", "/files"])
def test_a_token_that_was_not_given_out(client: httpx2.Client, path: str) -> None:
    detail = assert_problem(client.get(path, params={"page_token": "a-b"}), 422, "invalid-request")["detail"]
    assert "page_token" in detail


@pytest.mark.parametrize("kind", ["erf", *ASKED])
def test_delete_means_one_thing(client: httpx2.Client, worker: Worker, kind: str) -> None:
    job = submit(client, "deleted") if kind == "erf" else ask(client, kind, "deleted")
    here = job["links"]["self"]
    assert_problem(client.delete(here, params={"purge": "1"}), 409, "conflict")
    answers = [client.delete(here) for _ in range(2)]
    assert [(one.status_code, one.json()["status"]) for one in answers] == [(202, "canceled"), (200, "canceled")]
    assert client.delete(here, params={"purge": "1"}).status_code == 204
    assert_problem(client.get(here), 404, "not-found")


def test_a_series_that_had_ended_is_unchanged_by_delete(client: httpx2.Client) -> None:
    here = client.post("/series", json=a_sweep()).json()["links"]["self"]
    assert [client.delete(here).status_code for _ in range(2)] == [202, 200]
