"""The rest of the house: health, metrics, schemas, OpenAPI, the page, and what may be imported."""

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from tests.service.conftest import Worker, assert_problem, register_store, running_service, submit

from erfscope_contract.problem import KINDS
from erfscope_contract.request import ErfRequest
from erfscope_service.app import create_app
from erfscope_service.problems import from_exception
from erfscope_service.settings import ServiceSettings


def test_the_service_never_imports_torch_or_onnx() -> None:
    forbidden = ["torch", "onnx", "onnx2torch", "scipy", "erfscope_engine", "erfscope_intake", "erfscope_worker"]
    code = f"import sys, erfscope_service.serve; print([m for m in {forbidden} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_liveness(client: httpx2.Client) -> None:
    assert client.get("/health/live").json()["status"] == "ok"


def test_readiness_counts_workers(client: httpx2.Client, worker: Worker) -> None:
    worker.advertise()
    worker.ledger.retire(worker.name)
    ready = client.get("/health/ready").json()
    assert (ready["status"], ready["redis"], ready["blobs"], ready["workers"]) == ("ready", True, True, 0)
    worker.advertise()
    assert client.get("/health/ready").json()["workers"] == 1


def test_readiness_asks_the_blob_store_once_for_many(settings: ServiceSettings, tmp_path: Path) -> None:
    def look() -> None:
        looks.append(1)
        time.sleep(0.1)

    async def asked(url: str) -> list[int]:
        async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
            answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(20)))
            return [answer.status_code for answer in answers]

    looks: list[int] = []
    register_store("counted", look)
    far = settings.model_copy(update={"data_dir": tmp_path, "blob_url": f"counted://{tmp_path}/there"})
    with running_service(far) as url:
        assert asyncio.run(asked(url)) == [200] * 20
    assert 1 <= len(looks) < 10


def test_metrics_count_jobs(client: httpx2.Client) -> None:
    def value(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    queued = value('erfscope_jobs_open{state="queued"}')
    submitted = value('erfscope_job_events_total{event="submitted"}')
    submit(client, "counted")
    assert value('erfscope_jobs_open{state="queued"}') == queued + 1
    assert value('erfscope_job_events_total{event="submitted"}') == submitted + 1
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", ["request", "result", "architecture", "series", "advice", "tiles", "fit"])
def test_schemas(client: httpx2.Client, name: str) -> None:
    response = client.get(f"/schemas/{name}")
    assert response.headers["content-type"] == "application/schema+json"
    assert response.json()["type"] == "object"
    assert response.json()["$schema"].endswith("2020-12/schema")
    tag = {"If-None-Match": response.headers["etag"]}
    assert client.get(f"/schemas/{name}", headers=tag).status_code == 304
    if name == "request":
        assert set(response.json()["properties"]) == set(ErfRequest.model_fields)


def test_an_unknown_schema_is_404(client: httpx2.Client) -> None:
    assert_problem(client.get("/schemas/job"), 404, "not-found")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(ServiceSettings()).openapi()


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["tags"], (method, path)
            for status, response in operation["responses"].items():
                assert response["description"] not in ("", "Successful Response"), (method, path, status)
                if status == "default" or int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)


def test_examples_of_problems_are_rows_of_the_table(document: dict[str, Any]) -> None:
    responses = document["paths"]["/erf"]["post"]["responses"]
    shown = responses["422"]["content"]["application/problem+json"]["examples"]
    assert "idempotency-mismatch" in shown
    for kind, example in shown.items():
        assert example["value"]["status"] == KINDS[kind].status
        assert example["value"]["title"] == KINDS[kind].title
    assert all(f"/problems/{kind}" in document["info"]["description"] for kind in KINDS)


def test_every_reference_of_the_document_resolves(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references
    assert references <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_example_requests_are_valid(document: dict[str, Any]) -> None:
    examples = document["paths"]["/erf"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        ErfRequest.model_validate(example["value"])


def test_media_types_are_documented(document: dict[str, Any]) -> None:
    paths = document["paths"]
    assert set(paths["/erf"]["post"]["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    for path, media_type in {
        "/erf/{id}/heatmap.png": "image/png",
        "/erf/{id}/map.npy": "application/x-npy",
        "/erf/{id}/events": "text/event-stream",
        "/schemas/{name}": "application/schema+json",
        "/metrics": "text/plain",
    }.items():
        assert list(paths[path]["get"]["responses"]["200"]["content"]) == [media_type]


def test_the_document_is_served(client: httpx2.Client, document: dict[str, Any]) -> None:
    assert client.get("/openapi.json").json() == document


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_is_whole_and_loads_nothing_from_elsewhere(client: httpx2.Client, path: str) -> None:
    page = client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    files = re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text)
    assert {name.rsplit(".", 1)[1] for name in files} >= {"js", "css"}
    for text in [page.text, *(client.get(name).raise_for_status().text for name in files)]:
        outside = re.findall(r"https?://[^\s\"'<>)]+", text)
        assert [link for link in outside if not link.startswith(("http://www.w3.org/", "http://localhost"))] == []
    assert "<script>" not in page.text
    assert "style=" not in page.text, "the policy forbids inline style"
    assert client.get(path, headers={"If-None-Match": page.headers["etag"]}).status_code == 304


def test_an_unforeseen_error_is_internal_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    problem = from_exception(RuntimeError("secret detail"))
    assert (problem.kind, problem.status) == ("internal", 500)
    assert "secret" not in problem.model_dump_json()
    assert "secret detail" in caplog.text


def test_applications_do_not_share_state() -> None:
    assert isinstance(create_app(ServiceSettings()), FastAPI)
    assert create_app(ServiceSettings()) is not create_app(ServiceSettings())
