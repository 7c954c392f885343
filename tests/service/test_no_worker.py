"""A service without workers takes jobs, and says so: in readiness, and in each job that waits."""

from typing import Any

import httpx2
import pytest
from tests.service.conftest import Worker, a_spec

from erfscope_contract.job import Health


@pytest.fixture
def alone(worker: Worker) -> Worker:
    """No worker of any other test lives."""
    for info in worker.ledger.workers():
        worker.ledger.retire(info.name)
    return worker


def submitted(client: httpx2.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


@pytest.mark.parametrize(("path", "more"), [("/erf", {}), ("/tiles", {"tile": 32})])
def test_a_job_says_that_nobody_works(client: httpx2.Client, alone: Worker, path: str, more: dict[str, Any]) -> None:
    job = submitted(client, path, a_spec(name=f"waits at {path}") | more)
    assert "no worker is alive" in job["note"]
    assert "`erfscope worker`" in job["note"]
    alone.advertise()
    assert submitted(client, path, a_spec(name=f"has a worker at {path}") | more)["note"] is None


def test_a_look_says_it_while_the_job_waits(client: httpx2.Client, alone: Worker) -> None:
    id = submitted(client, "/erf", a_spec(name="looked at"))["id"]
    assert "no worker is alive" in client.get(f"/erf/{id}").json()["note"]
    alone.claim(id)
    assert client.get(f"/erf/{id}").json()["note"] is None


def test_readiness_warns(client: httpx2.Client, alone: Worker) -> None:
    health = Health.model_validate_json(client.get("/health/ready").content)
    assert (health.status, health.workers) == ("ready", 0)
    assert health.warning is not None
    assert health.warning.startswith("Jobs are taken and wait: no worker is alive")
    alone.advertise()
    assert Health.model_validate_json(client.get("/health/ready").content).warning is None
