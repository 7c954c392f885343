"""A real worker, a real Redis: what a job may do, and what becomes of it. The worker survives all of it."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from erfscope_contract.job import Status


def test_success_leaves_result_picture_array_and_timing(shop: Any, worker: Any) -> None:
    record = shop.succeeded(shop.submit("succeed"))
    assert record.attempt == 1
    assert hashlib.sha256(record.result).hexdigest() == record.result_sha256
    assert shop.ledger.figure(record.tenant, record.answer) == b"\x89PNG test"
    with shop.store.open(record.arrays["map"]) as file:
        np.testing.assert_array_equal(np.load(file), np.arange(16.0).reshape(4, 4))
    assert record.timing.worker in {info.name for info in shop.ledger.workers()}


def test_child_knows_no_secrets_and_starts_in_an_empty_folder(shop: Any, worker: Any) -> None:
    note = shop.note(shop.submit("succeed"))
    assert not [name for name in note["environment"] if name.startswith("ERFSCOPE_")]
    assert shop.settings.redis_url not in json.dumps(note["environment"])
    assert note["folder"] == note["environment"]["HOME"] == note["environment"]["TMPDIR"]


def test_child_reads_its_model(shop: Any, worker: Any) -> None:
    sha256 = shop.store.put(b"model bytes").sha256
    assert shop.note(shop.submit("read_file", model=sha256)) == {"text": "model bytes"}


def test_missing_model_fails(shop: Any, worker: Any) -> None:
    record = shop.ended(shop.submit("read_file", model="0" * 64))
    assert (record.status, record.problem.kind) == (Status.FAILED, "not-found")


def test_arrays_of_many_frames_arrive_whole(shop: Any, worker: Any) -> None:
    arrays = shop.succeeded(shop.submit("large")).arrays
    expected = np.arange(3_000_000, dtype=np.float32).reshape(3, 1000, 1000)
    np.testing.assert_array_equal(np.load(shop.store.path(arrays["map"])), expected)
    np.testing.assert_array_equal(np.load(shop.store.path(arrays["layer.1"])), expected[0])


def test_progress_is_relayed_in_order(shop: Any, worker: Any) -> None:
    id = shop.submit("slow_progress")
    shop.succeeded(id)
    seen = [event.data for event in shop.ledger.events(id)]
    assert [data["status"] for data in seen[:2]] == ["queued", "running"]
    assert seen[-1]["status"] == "succeeded"
    shares = [data["progress"] for data in seen]
    assert shares == sorted(shares)
    assert {"load", "measure"} <= {data["stage"] for data in seen}
    assert set(shop.record(id).timing.stages) == {"load", "measure"}


FAILURES = {
    "problem": ("invalid-target", 1),
    "stumble": ("internal", 1),
    "wrong_shape": ("worker-crash", 2),
    "eat_memory": ("resource-limit", 1),
    "crash": ("worker-crash", 2),
    "abort": ("worker-crash", 2),
    "babble": ("worker-crash", 2),
    "flood": ("resource-limit", 1),
    "invent": ("worker-crash", 2),
    "too_much": ("resource-limit", 1),
    "burn": ("timeout", 1),
    "sleep": ("timeout", 1),
}


@pytest.fixture(scope="module")
def failed(shop: Any, start_worker: Any) -> dict[str, Any]:
    """All of them at once, for some take their time."""
    start_worker(concurrency=4)
    ids = {do: shop.submit(do) for do in FAILURES}
    return {do: shop.ended(id) for do, id in ids.items()}


@pytest.mark.parametrize("do", FAILURES)
def test_failure(failed: dict[str, Any], do: str) -> None:
    record = failed[do]
    assert record.status is Status.FAILED
    assert (record.problem.kind, record.attempt) == FAILURES[do]


def test_worker_outlives_every_failure(failed: dict[str, Any], shop: Any, worker: Any) -> None:
    shop.succeeded(shop.submit("succeed"))
    assert worker.process.poll() is None


def test_a_child_cannot_break_a_log_line(failed: dict[str, Any], worker: Any, tmp_path_factory: Any) -> None:
    logs = "".join(path.read_text() for path in worker.log.parent.glob("*.log"))
    assert "a fault of ours" in logs
    assert not any(line.startswith("with a second line") for line in logs.splitlines())


def test_log_lines_are_json_and_name_their_job(failed: dict[str, Any], worker: Any) -> None:
    lines = [json.loads(line) for path in worker.log.parent.glob("*.log") for line in path.read_text().splitlines()]
    ends = {line["job"]: line["message"] for line in lines if line["message"].startswith("failed: ")}
    assert ends[failed["problem"].id] == "failed: invalid-target"
    assert ends[failed["burn"].id] == "failed: timeout"


def test_nothing_is_left_of_failed_jobs(failed: dict[str, Any], shop: Any) -> None:
    assert not list(shop.store.temporary.iterdir())
    assert shop.ledger.pulse().open == 0


def test_unsubmitted_and_repeated_bells_are_harmless(shop: Any, worker: Any) -> None:
    id = shop.submit("succeed")
    for _ in range(5):
        shop.doorbell.ring(id, shop.record(id).kind)
    shop.doorbell.ring("no-such-job", shop.record(id).kind)
    assert shop.succeeded(id).attempt == 1
    shop.succeeded(shop.submit("succeed"))
    assert shop.record(id).attempt == 1
