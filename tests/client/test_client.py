"""Both faces of the client, over real sockets."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erfscope import ErfRequest, Status, errors

from .conftest import MAP, PNG, Reply, Service, digest, job_json, npy, problem_json, result_json, succeeded

SPEC = {"input": {"channels": 1, "size": [8, 8]}, "layers": [{"type": "conv", "out_channels": 1, "kernel_size": 3}]}


def serve_result(service: Service) -> None:
    service.on("POST /erf", Reply(202, job_json()))
    service.on("GET /erf/job-1", Reply(body=succeeded()))
    service.on("GET /erf/job-1/map.npy", Reply(body=npy(MAP)))
    service.on("GET /erf/job-1/heatmap.png", Reply(body=PNG))


def test_submit_and_result(client: Any, service: Service, tmp_path: Path) -> None:
    serve_result(service)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"onnx bytes" * 300_000)
    job = client.submit(path, layer="/last/Conv", inputs=8)
    assert (job.id, job.status) == ("job-1", Status.QUEUED)
    assert path.read_bytes() in service.seen[0].body
    result = job.result()
    assert job.status is Status.SUCCEEDED
    assert result.metrics["erf_size"] == 3.5
    assert result.data.model_dump(mode="json", by_alias=True)["erf"] == result_json()["erf"]
    assert np.array_equal(result.array(), MAP)
    assert result.png() == PNG
    assert job.heatmap(scale="log", colormap="magma") == PNG
    assert service.seen[-1].query == "scale=log&colormap=magma"


def test_the_map_is_fetched_once_and_only_when_asked_for(client: Any, service: Service) -> None:
    serve_result(service)
    result = client.submit(SPEC).result()
    assert "GET /erf/job-1/map.npy" not in service.paths()
    result.array()
    result.array()
    assert service.paths().count("GET /erf/job-1/map.npy") == 1


@pytest.mark.parametrize("suffix", ["png", "npy", "json", "csv"])
def test_save(client: Any, service: Service, tmp_path: Path, suffix: str) -> None:
    serve_result(service)
    result = client.submit(SPEC).result()
    path = result.save(tmp_path / "new" / f"map.{suffix}")
    content = path.read_bytes()
    match suffix:
        case "png":
            assert content == PNG
        case "npy":
            assert np.array_equal(np.load(path), MAP)
        case "json":
            assert json.loads(content)["trf"]["global"] is False
        case _:
            assert b"erf_size,3.5,0.125\n" in content


def test_save_knows_its_endings(client: Any, service: Service, tmp_path: Path) -> None:
    serve_result(service)
    with pytest.raises(errors.APIError, match=r"\.png, \.pdf, \.svg, \.npy, \.html, \.json, \.csv, \.md"):
        client.submit(SPEC).result().save(tmp_path / "map.gif")


def test_busy_is_waited_for_with_the_same_key(client: Any, service: Service) -> None:
    busy = Reply(429, problem_json("too-many-requests", "later"), {"retry-after": "0"})
    service.on("POST /erf", busy, Reply(503, b"", {"retry-after": "0"}), Reply(502, b""), Reply(202, job_json()))
    assert client.submit(b"onnx").id == "job-1"
    assert len(service.seen) == 4
    assert len({request.headers["idempotency-key"] for request in service.seen}) == 1
    assert len({request.body for request in service.seen}) == 1


def test_two_submits_have_two_keys_unless_given(client: Any, service: Service) -> None:
    service.on("POST /erf", Reply(202, job_json()))
    for key in (None, None, "mine"):
        client.submit(SPEC, idempotency_key=key)
    keys = [request.headers["idempotency-key"] for request in service.seen]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_a_dropped_connection_is_repeated(client: Any, service: Service) -> None:
    service.on("GET /erf/job-1", Reply(body=b"", headers={"content-length": "99"}, cut=True), Reply(body=job_json()))
    assert client.job("job-1").status is Status.QUEUED
    assert len(service.seen) == 2


def test_retries_end(connect: Callable[..., Any], service: Service) -> None:
    service.on("GET /health/ready", Reply(503, problem_json("unavailable", "no Redis"), {"retry-after": "0"}))
    with pytest.raises(errors.APIError, match="no Redis") as caught:
        connect(service.url, retries=2).health()
    assert type(caught.value) is errors.Unavailable
    assert len(service.seen) == 3


def test_a_long_retry_after_is_not_waited_for(client: Any, service: Service) -> None:
    service.on("GET /health/ready", Reply(503, problem_json("unavailable", "down"), {"retry-after": "3600"}))
    with pytest.raises(errors.APIError, match="down"):
        client.health()
    assert len(service.seen) == 1


def test_nobody_there(connect: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(errors.ConnectionFailed, match="erfscope up") as caught:
            connect(url, retries=1).health()
    assert caught.value.kind == "connection"
    assert "2 attempts" in str(caught.value)
    assert "Errno" not in str(caught.value)


def test_key_and_address_from_the_environment(
    connect: Callable[..., Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERFSCOPE_URL", service.url + "/")
    monkeypatch.setenv("ERFSCOPE_API_KEY", "secret")
    service.on("GET /erf/job-1", Reply(body=job_json()))
    client = connect(None)
    client.job("job-1")
    assert client.base_url == service.url
    assert service.seen[0].headers["authorization"] == "Bearer secret"
    assert service.seen[0].headers["user-agent"].startswith("erfscope-python/")


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(
    connect: Callable[..., Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    service.on("GET /erf/job-1", Reply(body=job_json()))
    assert connect(service.url, retries=0).job("job-1").id == "job-1"


def test_result_waits_by_long_polls(client: Any, service: Service) -> None:
    running = Reply(body=job_json(status="running", stage="measure", progress=0.5))
    service.on("GET /erf/job-1", Reply(body=job_json()), running, running, Reply(body=succeeded()))
    assert client.job("job-1").result().metrics["erf_size"] == 3.5
    assert [request.headers.get("prefer") for request in service.seen] == [None, "wait=20", "wait=20", "wait=20"]


def test_result_times_out_and_the_job_goes_on(client: Any, service: Service) -> None:
    service.on("GET /erf/job-1", Reply(body=job_json(status="running", stage="measure", progress=0.5)))
    job = client.job("job-1")
    with pytest.raises(errors.ResultTimeout, match="measure, 50%") as caught:
        job.result(timeout=0.05)
    assert caught.value.job.status is Status.RUNNING


def test_how_a_job_ends_is_its_exception(client: Any, service: Service) -> None:
    problem = problem_json("invalid-target", "there is no layer '/x'")
    for reply, error in (
        (job_json(status="failed", error=problem), errors.JobFailed),
        (job_json(status="canceled"), errors.JobCanceled),
        (job_json(status="expired", error=problem_json("deadline", "too late")), errors.JobExpired),
    ):
        service.on("GET /erf/job-1", Reply(body=reply))
        with pytest.raises(error):
            client.job("job-1").result()


def test_progress_is_told(client: Any, service: Service) -> None:
    serve_result(service)
    running = job_json(status="running", stage="measure", progress=0.5)
    chunks = [f"id: 1\ndata: {json.dumps(running)}\n\n", f"id: 2\ndata: {json.dumps(succeeded())}\n\n"]
    service.on("GET /erf/job-1/events", Reply(chunks=chunks))
    told: list[tuple[str, float]] = []
    result = client.run(SPEC, progress=lambda stage, share: told.append((stage, share)))
    assert told == [("measure", 0.5), ("measure", 1.0)]
    assert result.job_id == "job-1"


def test_cancel_refresh_purge(client: Any, service: Service) -> None:
    service.on("GET /erf/job-1", Reply(body=job_json()))
    service.on("DELETE /erf/job-1", Reply(202, job_json(status="canceled")))
    job = client.job("job-1")
    assert job.refresh().status is Status.QUEUED
    assert job.cancel().status is Status.CANCELED
    assert job.status is Status.CANCELED
    service.on("DELETE /erf/job-1", Reply(204, b""))
    job.purge()
    assert service.seen[-1].query == "purge=1"


def test_jobs_are_paged(client: Any, service: Service) -> None:
    first = {"jobs": [job_json("a"), job_json("b")], "next_page_token": "t&1"}
    service.on("GET /erf", Reply(body=first), Reply(body={"jobs": [job_json("c")]}))
    assert [job.id for job in client.jobs(page_size=2)] == ["a", "b", "c"]
    assert [request.query for request in service.seen] == ["page_size=2", "page_size=2&page_token=t%261"]


def test_lists_are_paged(client: Any, service: Service) -> None:
    about = {"created_at": "2026-01-31T12:00:00Z", "name": "net", "size": 3}
    series = {"created_at": "2026-01-31T12:00:00Z", "x_label": "", "metrics": ["erf_size"], "points": 2}
    for path, entries, read, pages in (
        ("/models", "models", client.models.list, [[{"sha256": "a", **about}], [{"sha256": "b", **about}]]),
        ("/files", "files", client.files.list, [[{"sha256": "a", **about}], []]),
        ("/series", "series", client.list_series, [[], [{"id": "s", **series, "links": {"self": "/", "chart": "/"}}]]),
    ):
        first, second = (
            {entries: page, "next_page_token": token} for page, token in zip(pages, ("t", None), strict=True)
        )
        service.on(f"GET {path}", Reply(body=first), Reply(body=second))
        assert len(list(read())) == len(pages[0] + pages[1])
        assert [request.query for request in service.seen[-2:]] == ["page_size=100", "page_size=100&page_token=t"]


def test_jobs_of_every_kind_are_filtered(client: Any, service: Service) -> None:
    service.on("GET /jobs", Reply(body={"jobs": []}))
    assert list(client.list_jobs(kind="fit", status="failed")) == []
    assert service.seen[-1].query == "page_size=100&kind=fit&status=failed"
    with pytest.raises(errors.InvalidRequest, match=r"'fits' is not one of erf, inspect, advice, tiles, fit"):
        list(client.list_jobs(kind="fits"))


def test_images_are_uploaded_first(client: Any, service: Service) -> None:
    service.on("POST /files", Reply(201, {"sha256": digest(b"png"), "size": 3}))
    service.on("POST /erf", Reply(202, job_json()))
    client.submit(SPEC, images=b"png", mean=[0.5])
    assert service.seen[0].body == b"png"
    sent = json.loads(service.seen[1].body)
    assert sent["input"] == {"mean": [0.5], "source": "images", "images": digest(b"png")}


def test_model_given_by_the_request(client: Any, service: Service) -> None:
    service.on("POST /erf", Reply(202, job_json()))
    client.submit(request={"model": {"sha256": "0" * 64}, "dtype": "float64"})
    assert json.loads(service.seen[0].body) == {"model": {"sha256": "0" * 64}, "dtype": "float64"}
    with pytest.raises(errors.APIError, match="twice"):
        client.submit(SPEC, request={"model": {"sha256": "0" * 64}})
    with pytest.raises(errors.APIError, match="give a model"):
        client.submit(request=ErfRequest())


def test_what_is_wrong_here_is_not_sent(client: Any, service: Service) -> None:
    with pytest.raises(errors.APIError, match="inputs"):
        client.submit(SPEC, inputs=-1)
    assert service.seen == []


INSPECTION = {
    "name": "net", "inputs": [], "input": "x", "input_shape": [3, 8, 8], "outputs": ["y"], "operators": {"Conv": 1},
    "layers": [],
}  # fmt: skip


def stored(**changes: Any) -> dict[str, Any]:
    return {"sha256": "0" * 64, "size": 4, "name": "net.onnx", "status": "queued", **changes}


def test_models(client: Any, service: Service) -> None:
    service.on("POST /models", Reply(202, stored()))
    inspected = stored(status="succeeded", inspection=INSPECTION)
    service.on(f"GET /models/{'0' * 64}", Reply(body=stored(status="running")), Reply(body=inspected))
    service.on(f"DELETE /models/{'0' * 64}", Reply(204, b""))
    assert client.models.upload(b"onnx").sha256 == "0" * 64
    assert service.seen[0].body == b"onnx"
    assert client.models.inspect(b"onnx").operators == {"Conv": 1}
    assert client.models.get("0" * 64).status is Status.SUCCEEDED
    assert client.models.inspect("0" * 64).name == "net"
    assert "POST" not in {one.method for one in service.seen if one.path.startswith("/models/")}
    client.models.delete("0" * 64)
    service.on(f"DELETE /files/{'1' * 64}", Reply(204, b""))
    client.files.delete("1" * 64)
    assert service.seen[-1].path == f"/files/{'1' * 64}"
    with pytest.raises(errors.APIError, match="spec"):
        client.models.upload(SPEC)


def test_a_model_that_nobody_had_inspected_is_inspected(client: Any, service: Service) -> None:
    path = f"/models/{'0' * 64}"
    service.on(
        f"GET {path}", Reply(body=stored(status=None)), Reply(body=stored(status="succeeded", inspection=INSPECTION))
    )
    service.on(f"POST {path}", Reply(202, stored()))
    assert client.models.inspect("0" * 64).name == "net"
    assert [one.method for one in service.seen] == ["GET", "POST", "GET"]


def test_an_inspection_that_fails(client: Any, service: Service) -> None:
    failed = stored(status="failed", error=problem_json("invalid-model", "not ONNX"))
    service.on("POST /models", Reply(202, failed))
    with pytest.raises(errors.APIError, match="not ONNX") as caught:
        client.models.inspect(b"junk")
    assert type(caught.value) is errors.InvalidModel


def test_health(client: Any, service: Service) -> None:
    body = {"status": "ready", "redis": True, "blobs": True, "workers": 2, "version": "1"}
    service.on("GET /health/ready", Reply(body=body))
    assert client.health().workers == 2


def test_a_client_is_a_context_manager(service: Service) -> None:
    from erfscope import Client

    service.on("GET /erf/job-1", Reply(body=job_json()))
    with Client(service.url) as client:
        client.job("job-1")
    with pytest.raises(RuntimeError, match="closed"):
        client.job("job-1")


def test_a_client_serves_many_threads(service: Service) -> None:
    from erfscope import Client

    service.on("GET /erf/job-1", Reply(body=job_json()))
    with Client(service.url) as client:
        threads = [threading.Thread(target=client.job, args=("job-1",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(service.seen) == 8
