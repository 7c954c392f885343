"""GET and DELETE of jobs: waiting, pages, cancel, purge, repeats and answers from the store."""

import threading
from typing import Any

import httpx2
import pytest
import redis
from tests.service.conftest import Worker, a_spec, assert_problem, submit

from erfscope_jobs.queue import queues
from erfscope_service.settings import ServiceSettings


def test_a_long_poll_answers_when_the_job_ends(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "awaited")["id"]
    answers: list[httpx2.Response] = []

    def poll() -> None:
        answers.append(client.get(f"/erf/{id}", headers={"Prefer": "respond-async, wait=20"}))

    poller = threading.Thread(target=poll)
    poller.start()
    record = worker.claim(id)
    worker.beat(record, "measure", 0.5)
    worker.measure(record)
    poller.join()
    assert answers[0].json()["status"] == "succeeded"
    assert answers[0].headers["preference-applied"] == "wait=20"


def test_a_long_poll_of_a_job_that_goes_on_answers_after_the_wait(client: httpx2.Client) -> None:
    id = submit(client, "slow")["id"]
    response = client.get(f"/erf/{id}", headers={"Prefer": "wait=1"})
    assert response.json()["status"] == "queued"
    assert response.headers["preference-applied"] == "wait=1"


def test_pages_hold_every_job_once_newest_first(client: httpx2.Client) -> None:
    submitted = [submit(client, f"page-{i}")["id"] for i in range(5)]
    listed: list[str] = []
    token = None
    while len(listed) < 5:
        params = {"page_size": "2"} | ({"page_token": token} if token else {})
        page = client.get("/erf", params=params).json()
        assert len(page["jobs"]) == 2
        listed += [job["id"] for job in page["jobs"]]
        token = page["next_page_token"]
    assert listed[:5] == submitted[::-1]


def test_the_last_page_has_no_token(client: httpx2.Client) -> None:
    submit(client, "last page")
    token, pages = "", 0
    while token is not None:
        params = {"page_size": "100"} | ({"page_token": token} if token else {})
        token = client.get("/erf", params=params).json()["next_page_token"]
        pages += 1
    assert pages >= 1


@pytest.mark.parametrize("params", [{"page_size": "0"}, {"page_size": "x"}, {"page_token": "not a token"}])
def test_a_bad_page_is_refused(client: httpx2.Client, params: dict[str, str]) -> None:
    assert_problem(client.get("/erf", params=params), 422, "invalid-request")


def test_cancel_a_queued_a_running_and_an_ended_job(client: httpx2.Client, worker: Worker) -> None:
    queued, running, ended = (submit(client, f"cancel-{i}")["id"] for i in range(3))
    worker.claim(running)
    worker.measure(worker.claim(ended))
    for id in (queued, running):
        response = client.delete(f"/erf/{id}")
        assert response.status_code == 202
        assert client.get(f"/erf/{id}").json()["status"] == "canceled"
        assert client.delete(f"/erf/{id}").status_code == 200
    response = client.delete(f"/erf/{ended}")
    assert (response.status_code, response.json()["status"]) == (200, "succeeded")


def test_purge_removes_only_what_has_ended(client: httpx2.Client) -> None:
    id = submit(client, "purged")["id"]
    assert_problem(client.delete(f"/erf/{id}", params={"purge": "1"}), 409, "conflict")
    client.delete(f"/erf/{id}")
    response = client.delete(f"/erf/{id}", params={"purge": "1"})
    assert (response.status_code, response.content) == (204, b"")
    assert_problem(client.get(f"/erf/{id}"), 404, "not-found")
    assert_problem(client.delete(f"/erf/{id}", params={"purge": "1"}), 404, "not-found")
    assert id not in [job["id"] for job in client.get("/erf").json()["jobs"]]


def test_purge_takes_measurements_alone(client: httpx2.Client) -> None:
    advice = client.post("/advice", json={**a_spec(name="no measurement"), "want": 9}).json()["id"]
    client.delete(f"/advice/{advice}")
    assert_problem(client.delete(f"/erf/{advice}", params={"purge": True}), 404, "not-found")
    assert client.get(f"/advice/{advice}").json()["status"] == "canceled"


def test_who_repeats_a_submission_rings_again(client: httpx2.Client, settings: ServiceSettings) -> None:
    with redis.Redis.from_url(settings.redis_url) as connection:
        first = submit(client, "unheard", **{"Idempotency-Key": "unheard"})["id"]
        connection.delete(f"{settings.namespace}.erf")
        assert submit(client, "unheard", **{"Idempotency-Key": "unheard"})["id"] == first
        assert connection.llen(f"{settings.namespace}.erf") > 0


def test_an_idempotency_key_makes_one_job(client: httpx2.Client) -> None:
    first = submit(client, "once", **{"Idempotency-Key": "key-1"})
    again = submit(client, "once", **{"Idempotency-Key": "key-1"})
    other = submit(client, "once", **{"Idempotency-Key": "key-2"})
    assert first["id"] == again["id"] != other["id"]
    refused = client.post("/erf", json=a_spec(name="else"), headers={"Idempotency-Key": "key-1"})
    assert_problem(refused, 422, "idempotency-mismatch")


def test_each_endpoint_has_keys_of_its_own(client: httpx2.Client) -> None:
    headers = {"Idempotency-Key": "everywhere"}
    job = client.post("/erf", json=a_spec(name="kept apart"), headers=headers).json()
    spec = a_spec(name="kept apart")["model"]["architecture"]
    sweep = {"sweep": {"architecture": spec, "parameters": ["/layers/0/kernel_size"], "values": [3, 5]}}
    series = client.post("/series", json=sweep, headers=headers)
    advice = client.post("/advice", json={"model": {"architecture": spec}, "want": 9}, headers=headers)
    assert (series.status_code, advice.status_code) == (202, 202), (series.text, advice.text)
    point = client.post("/erf", json=a_spec(name="no point"), headers={"Idempotency-Key": "everywhere/0"})
    assert point.json()["id"] not in {job["id"], *(one["job"] for one in series.json()["points"])}


def test_a_canceled_job_has_no_result_and_no_error(client: httpx2.Client) -> None:
    id = submit(client, "canceled before its result")["id"]
    assert "wait for it" in assert_problem(client.get(f"/erf/{id}/map.npy"), 409, "conflict")["detail"]
    client.delete(f"/erf/{id}")
    detail = assert_problem(client.get(f"/erf/{id}/map.npy"), 409, "conflict")["detail"]
    assert detail == "The job is canceled, it has no result; submit it again to have one."


def test_an_idempotency_key_holds_for_uploads_whatever_their_boundary(client: httpx2.Client) -> None:
    def send() -> Any:
        files = {"model": ("n.onnx", b"same model")}
        return client.post("/erf", files=files, headers={"Idempotency-Key": "upload"}).json()

    assert send()["id"] == send()["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é"])
def test_a_malformed_idempotency_key_is_refused(client: httpx2.Client, key: str) -> None:
    response = client.post("/erf", json=a_spec(), headers=[(b"Idempotency-Key", key.encode())])
    assert_problem(response, 400, "bad-request")


def test_the_same_question_is_answered_from_the_store(client: httpx2.Client, worker: Worker) -> None:
    worker.advertise()
    first = submit(client, "asked twice")
    worker.measure(worker.claim(first["id"]))
    second = submit(client, "asked twice")
    assert second["id"] != first["id"]
    assert (second["status"], second["cached"]) == ("succeeded", True)
    assert second["result"] == client.get(f"/erf/{first['id']}").json()["result"]
    assert client.get(second["links"]["heatmap"]).status_code == 200
    assert submit(client, "asked otherwise")["status"] == "queued"


def test_an_answer_from_the_store_touches_no_worker(
    client: httpx2.Client, worker: Worker, settings: ServiceSettings
) -> None:
    worker.advertise()
    worker.measure(worker.claim(submit(client, "asked of nobody")["id"]))
    worker.ledger.retire(worker.name)
    with redis.Redis.from_url(settings.redis_url) as connection:
        rung = [connection.llen(queue) for queue in queues(settings).values()]
        again = submit(client, "asked of nobody")
        assert [connection.llen(queue) for queue in queues(settings).values()] == rung, "no bell rang"
        assert connection.zscore(f"{settings.namespace}:open", again["id"]) is None
        other = submit(client, "asked of somebody")
        assert [connection.llen(queue) for queue in queues(settings).values()] != rung, "this one did ring"
    assert (again["status"], again["cached"], again["attempt"], again["timing"]["worker"]) == (
        "succeeded",
        True,
        0,
        None,
    )
    assert other["status"] == "queued"


@pytest.mark.parametrize("id", ["unknown", "x" * 300, "..%2F..%2Fetc", "%00", "%0d%0aSet-Cookie:%20a=b", "é"])
def test_unknown_and_malformed_ids_are_the_same_404(client: httpx2.Client, id: str) -> None:
    for path in ("", "/events", "/heatmap.png", "/map.npy"):
        assert_problem(client.get(f"/erf/{id}{path}"), 404, "not-found")
    assert_problem(client.delete(f"/erf/{id}"), 404, "not-found")
