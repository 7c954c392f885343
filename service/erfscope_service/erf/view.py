"""A ledger record as the Job of the wire contract."""

import json
from functools import lru_cache

from erfscope_contract.job import Job, Links
from erfscope_contract.metrics import metrics_of
from erfscope_contract.request import ErfRequest
from erfscope_contract.result import ErfResult
from erfscope_jobs.records import Record
from erfscope_service.reading import read_result
from erfscope_service.work import fields_of


def job_of(record: Record, request: ErfRequest | None = None, note: str | None = None) -> Job:
    """The Job that a record is; the result and its table are there when the record carries them.

    Who has just checked the record's request gives it, so that it is not validated again.
    """
    result = read_result(ErfResult, record.id, record.result) if record.result else None
    return Job(
        **fields_of(record),
        request=request or _request(record.payload),
        result=result,
        metrics=metrics_of(result) if result else None,
        links=links_of(record.id),
        note=note,
    )


def json_of(record: Record, request: ErfRequest | None = None, note: str | None = None) -> str:
    """`job_of` as JSON; for large specs better called in a thread."""
    return job_of(record, request, note).model_dump_json()


@lru_cache(maxsize=64)
def _request(payload: str) -> ErfRequest:
    """The request in a payload; remembered, because validating the largest spec at each look takes 0.2 s."""
    return ErfRequest.model_validate(json.loads(payload)["request"])


def links_of(id: str) -> Links:
    """Where the parts of a job are."""
    here = f"/erf/{id}"
    return Links(self=here, events=f"{here}/events", heatmap=f"{here}/heatmap.png", map=f"{here}/map.npy")
