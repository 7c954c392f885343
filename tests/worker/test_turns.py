"""A tenant that floods the queue delays another's job by what runs already, and by one job of its own at most."""

import json
import os
from typing import Any

from erfscope_jobs.records import Kind, Record, Submission

FLOOD = 6


def submit(shop: Any, tenant: str, do: str, **payload: object) -> str:
    """A job of that tenant, with its message."""
    text = json.dumps({"do": do, **payload})
    job = Submission(Kind.INSPECT, tenant, text, question=os.urandom(8).hex())
    shop.ledger.submit(job)
    assert shop.doorbell.ring(job.id, job.kind)
    return job.id


def ended(shop: Any, id: str, tenant: str) -> Record:
    def look() -> Record | None:
        record: Record = shop.ledger.get(id, tenant)
        return record if record.status.is_terminal else None

    record: Record = shop.eventually(look)
    return record


def test_a_flood_delays_another_tenant_by_one_job(shop: Any, start_worker: Any) -> None:
    fair = type(shop)(shop.settings.model_copy(update={"namespace": "fair"}))
    flood = [submit(fair, "flood", "sleep", seconds=0.3) for _ in range(FLOOD)]
    small = submit(fair, "small", "succeed")
    start_worker(namespace="fair")
    records = [ended(fair, id, "flood") for id in flood]
    starts = sorted(record.started_at for record in records if record.started_at)
    quick = ended(fair, small, "small")
    assert len(starts) == FLOOD
    assert quick.started_at is not None
    assert quick.started_at < starts[1]
    fair.close()
