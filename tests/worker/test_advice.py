"""Advice as a job: in a real worker's jailed child."""

import json
from typing import Any

from erfscope_contract.advice import Advice
from erfscope_jobs.records import Kind, Submission

CONV = {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"}
SPEC = {"name": "two", "input": {"channels": 2, "size": [24, 24]}, "layers": [CONV, {"type": "relu"}, CONV]}


def test_a_jailed_child_answers(shop: Any, start_worker: Any) -> None:
    worker = start_worker(namespace="advice", runner="erfscope_worker.runner:run", job_seconds=120.0)
    shop = type(shop)(shop.settings.model_copy(update={"namespace": "advice"}))
    request = {"model": {"architecture": SPEC}, "want": 9, "verify": 1, "samples": 4}
    payload = json.dumps({"request": request, "model": None, "name": "two"})
    id = shop.ledger.submit(Submission(Kind.ADVICE, "public", payload, "advice")).record.id
    assert shop.doorbell.ring(id, Kind.ADVICE)
    found = Advice.model_validate_json(shop.succeeded(id, seconds=90).result)
    assert found.trf_size == [5, 5]
    assert found.changes[0].erf_measured is not None
    worker.close()
    shop.close()
