"""schemathesis over the live interface: what the OpenAPI document promises holds for generated requests.

No 5xx, no status or media type that the document does not name, no body that breaks its schema, nothing invalid
taken, nothing without a key. ERFSCOPE_FUZZ_EXAMPLES asks for more requests per operation than a test run has time for.
"""

import copy
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from tests.service.conftest import Worker, a_spec, running_service

from erfscope_jobs import keys
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.keys import Scope
from erfscope_jobs.ledger import Ledger
from erfscope_service.app import create_app
from erfscope_service.settings import ServiceSettings

EXAMPLES = int(os.environ.get("ERFSCOPE_FUZZ_EXAMPLES", "6"))
SLOW = (
    "POST /erf",
    "POST /series",
    "POST /advice",
    "POST /tiles",
    "POST /fit",
)  # their wrong bodies take seconds each to make
NEGATIVE = schemathesis.GenerationMode.NEGATIVE
NEVER_WRONG = (
    "POST /models",
    "POST /files",
    "GET /health/live",
    "GET /health/ready",
    "GET /problems",
    "GET /problems/{kind}",
)
# any bytes; no parameters; any text
load_all_checks()
PROMISES = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
]


def document() -> dict[str, Any]:
    """The document without its catch-all: with `default` every status is a documented one."""
    whole = copy.deepcopy(create_app(ServiceSettings()).openapi())
    for operations in whole["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("default", None)
    return whole


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    """By label. Made here and not at import, for every process of a run collects every file."""
    schema = schemathesis.openapi.from_dict(document())
    return {found.ok().label: found.ok() for found in schema.get_all_operations()}


@dataclass
class House:
    """A service with keys, a job in every state, and ids that mean something."""

    url: str
    headers: Mapping[str, Mapping[str, str]]
    ids: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def house(settings: ServiceSettings) -> Iterator[House]:
    own = settings.model_copy(
        update={"keys": "on", "namespace": "fuzz", "long_poll_seconds": 0.05, "max_open_jobs_per_tenant": 100_000}
    )
    with running_service(own) as url, Ledger(own) as ledger:

        def authorization(scope: Scope) -> Mapping[str, str]:
            key, text = keys.issue(f"fuzz-{scope}", "fuzz", scope)
            ledger.run(keys.add(own.namespace, key))
            return {"Authorization": f"Bearer {text}"}

        headers = {scope: authorization(scope) for scope in Scope}
        with httpx2.Client(base_url=url, headers=headers[Scope.JOBS], timeout=30) as client:
            yield House(url, headers, furnish(client, Worker(ledger, BlobStore(own.blobs))))


def furnish(client: httpx2.Client, worker: Worker) -> dict[str, list[str]]:
    """Ids by path parameter."""
    jobs = [client.post("/erf", json=a_spec(name=f"fuzz {n}")).json()["id"] for n in range(4)]
    worker.measure(worker.claim(jobs[0]))
    worker.fail(worker.claim(jobs[1]), "no-gradient", "None.")
    client.delete(f"/erf/{jobs[2]}")
    model = client.post("/models", content=b"no model").json()["sha256"]
    return {"id": jobs, "sha256": [model]}


@pytest.mark.parametrize("mode", schemathesis.GenerationMode, ids=lambda mode: mode.value)
def test_the_interface_keeps_its_document(
    house: House, operations: dict[str, Any], mode: schemathesis.GenerationMode, subtests: pytest.Subtests
) -> None:
    for label, operation in operations.items():
        if mode is not NEGATIVE or label not in NEVER_WRONG:
            with subtests.test(label):
                keeps_its_document(house, label, operation, mode)


def keeps_its_document(house: House, label: str, operation: Any, mode: schemathesis.GenerationMode) -> None:
    cases = operation.as_strategy(generation_mode=mode)
    headers = house.headers[Scope.METRICS if operation.path == "/metrics" else Scope.JOBS]
    turn = itertools.count()

    @hypothesis.settings(
        max_examples=max(1, EXAMPLES // 6) if label in SLOW and mode is NEGATIVE else EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=cases, known=st.booleans())
    def holds(case: schemathesis.Case, known: bool) -> None:
        for name in case.path_parameters or {}:
            if known and name in house.ids and not case.path.endswith("/events"):  # one of them would not end
                case.path_parameters[name] = house.ids[name][next(turn) % len(house.ids[name])]
        response = case.call(base_url=house.url, headers=dict(headers), timeout=30)
        case.validate_response(response, checks=CHECKS.get_by_names(PROMISES), headers=dict(headers))

    holds()
