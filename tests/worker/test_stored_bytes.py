"""How many bytes a job leaves in the store: the record, its events, its result and its picture."""

import json
import os
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import redis
from PIL import Image

from erfscope_contract.job import Status
from erfscope_contract.presets import preset
from erfscope_contract.request import ErfRequest
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.records import Kind, Record, Submission
from erfscope_picture import render

A_JOB = 90_000
A_REPEATED_QUESTION = 3_000


def resnet50() -> str:
    """The payload of a measurement of ResNet-50, as the service writes it."""
    model = {"architecture": preset("resnet50").model_dump(mode="json")}
    request = ErfRequest.model_validate({"model": model, "average": {"inputs": 1}}).model_dump(mode="json")
    return json.dumps({"request": request, "model": None, "images": None, "name": "resnet50"}, separators=(",", ":"))


def stored(shop: Any, *kinds: str) -> int:
    """Bytes of all keys of those kinds, overhead and allocation included."""
    space = shop.settings.namespace
    with redis.Redis.from_url(shop.settings.redis_url) as client:
        names = [name for kind in kinds for name in client.scan_iter(f"{space}:{kind}:*")]
        assert names
        return sum(client.memory_usage(name, samples=0) for name in names)


@pytest.fixture(scope="module")
def spacious(shop: Any, start_worker: Any) -> Any:
    """A shop whose worker measures, as in production."""
    changes = {
        "namespace": "bytes",
        "runner": "erfscope_worker.runner:run",
        "job_seconds": 300.0,
        "job_memory_bytes": 4 << 30,
    }
    spacious = type(shop)(shop.settings.model_copy(update=changes))
    start_worker(**changes)
    yield spacious
    spacious.close()


@pytest.fixture(scope="module")
def measured(spacious: Any) -> Record:
    """ResNet-50, measured."""
    job = Submission(Kind.ERF, "public", resnet50(), question=os.urandom(8).hex())
    spacious.ledger.submit(job)
    assert spacious.doorbell.ring(job.id, job.kind)
    record: Record = spacious.succeeded(job.id, 300)
    return record


def test_a_job_of_resnet50_is_small(spacious: Any, measured: Record) -> None:
    assert len(measured.payload) + len(measured.result or b"") > 30_000  # as text
    assert stored(spacious, "job", "events", "answer") <= A_JOB


def test_a_repeated_question_is_smaller_still(spacious: Any, measured: Record) -> None:
    before = stored(spacious, "job", "events", "answer")
    (fingerprint,) = spacious.ledger.fingerprints()
    assert isinstance(fingerprint, Fingerprint)
    job = Submission(
        Kind.ERF, "public", measured.payload, measured.question, candidates=(fingerprint.digest(measured.question),)
    )
    again = spacious.ledger.submit(job).record
    assert (again.status, again.cached, again.result) == (Status.SUCCEEDED, True, measured.result)
    assert again.payload == measured.payload
    assert stored(spacious, "job", "events", "answer") - before <= A_REPEATED_QUESTION


def test_the_stored_picture_looks_like_the_one_in_all_colours(spacious: Any, measured: Record) -> None:
    compact = Image.open(BytesIO(spacious.ledger.figure("public", measured.answer or "") or b""))
    assert compact.mode == "P"
    array = np.load(spacious.store.path(measured.arrays["map"]))
    whole = Image.open(BytesIO(render(array, json.loads(measured.result or b""), title="resnet50")))
    shown, drawn = (np.asarray(image.convert("RGB")).astype(int) for image in (compact, whole))
    assert shown.shape == drawn.shape
    assert np.abs(shown - drawn).mean() < 2
    assert np.abs(shown - drawn).max() < 24
