"""Redis' replies → records. Pure, but for a log line about what cannot be read."""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from erfscope_contract.job import Status, Timing
from erfscope_contract.problem import Problem, ProblemError
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.packing import unpacked
from erfscope_jobs.records import (
    Event,
    Glance,
    Kind,
    Lost,
    Overdue,
    Page,
    Pulse,
    Record,
    SeriesPage,
    Submitted,
    Upload,
    UploadPage,
    Usage,
)

Flat = Sequence[bytes]
log = logging.getLogger(__name__)

PACKED = {"payload", "result"}
SHOWN = {"split": "running", "merge": "running"}  # as in common.lua
REFUSALS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mismatch": (
        "idempotency-mismatch",
        "This Idempotency-Key was used before with another body; take a new key.",
        {},
    ),
    "gone": ("not-found", "The model was deleted meanwhile; send it to POST /models again.", {}),
    "tenant": (
        "too-many-requests",
        "You have {taken:,} unfinished jobs; at most {most:,} are taken. Wait for some to end.",
        {"retry_after": 10},
    ),
    "full": ("unavailable", "The queue is full; try again later.", {"retry_after": 30}),
    "memory": ("unavailable", "The job store is almost full; try again later.", {"retry_after": 60}),
}
QUOTAS = {
    "model": "Your stored models take {taken} of {most} bytes. Delete some (DELETE /models/{{sha256}}), or wait",
    "file": "Your stored images take {taken} of {most} bytes. Delete some (DELETE /files/{{sha256}}), or wait",
    "result": "Your stored results take {taken} of {most} bytes. Remove some (DELETE /jobs/{{id}}?purge=true), or wait",
    "job": "You have {taken} of {most} stored jobs. Remove some (DELETE /jobs/{{id}}?purge=true), or wait",
}


def pairs(flat: Flat) -> dict[str, bytes]:
    """HGETALL's flat reply as a mapping."""
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def moment(milliseconds: bytes | None) -> datetime | None:
    """Redis' clock as an aware datetime."""
    return None if milliseconds is None else datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def surely(milliseconds: bytes) -> datetime:
    """A moment that every record has."""
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def record(flat: Flat) -> Record:
    """A job's hash, with `result` where the script joined it."""
    field = pairs(flat)
    text = {name: value.decode() for name, value in field.items() if name not in PACKED}
    return Record(
        id=text["id"],
        kind=Kind(text["kind"]),
        tenant=text["tenant"],
        status=Status(SHOWN.get(text["status"], text["status"])),
        attempt=int(text["attempt"]),
        crashes=int(text["crashes"]),
        lapses=int(text["lapses"]),
        stage=text["stage"],
        progress=float(text["progress"]),
        cached=text["cached"] == "1",
        payload=unpacked(field["payload"]).decode(),
        question=text["question"],
        created_at=surely(field["created"]),
        deadline=surely(field["deadline"]),
        started_at=moment(field.get("started")),
        finished_at=moment(field.get("finished")),
        problem=Problem.model_validate_json(text["problem"]) if "problem" in text else None,
        timing=Timing.model_validate_json(text["timing"]) if "timing" in text else Timing(),
        answer=text.get("answer"),
        result_sha256=text.get("sha256"),
        result=unpacked(field["result"]) if "result" in field else None,
        arrays=json.loads(text.get("arrays", "{}")),
        last_event=text["event"],
        part=(part[0], part[1]) if (part := json.loads(text.get("part", "null"))) else None,
        parts=tuple(json.loads(text.get("parts", "[]"))),
        whole="whole" in text,
        canceled_now=text.get("canceled_now") == "1",
        outages=int(text.get("outages", 0)),
        elapsed=(int(text["now"]) - int(text["started"])) / 1000 if "now" in text else 0.0,
    )


def glance(id: str, reply: Sequence[bytes | None]) -> Glance:
    """What GLANCE answers of a job that is there."""
    kind, status, sha256, arrays, event = (value.decode() if value is not None else None for value in reply)
    return Glance(
        id, Kind(str(kind)), Status(SHOWN.get(str(status), str(status))), sha256, json.loads(arrays or "{}"), str(event)
    )


def maybe_record(flat: Flat) -> Record | None:
    """A record, or None where the script found none."""
    return record(flat) if flat else None


class FingerprintsChangedError(Exception):
    """Workers of other kinds than were known; `known` are those of now."""

    def __init__(self, known: list[Fingerprint]) -> None:
        super().__init__(f"{len(known)} kinds of workers")
        self.known = known


def submitted(reply: list[Any]) -> Submitted:
    """The job of a submission, or the reason for none as a ProblemError."""
    if reply[0] == b"fingerprints":
        raise FingerprintsChangedError([Fingerprint(**json.loads(text)) for text in reply[1]])
    word = allowed(reply)
    return Submitted(record(reply[1]), created=word == "created")


def allowed(reply: list[Any]) -> str:
    """The first word of a reply, where it is not a refusal; raises ProblemError otherwise."""
    word: str = reply[0].decode()
    if word in REFUSALS:
        kind, detail, context = REFUSALS[word]
        if word == "tenant":
            taken, most = map(int, reply[1])
            detail, context = detail.format(taken=taken, most=most), {**context, "used": taken, "limit": most}
        raise ProblemError(kind, detail, **context)
    if word in QUOTAS:
        taken, most = map(int, reply[1])
        words = QUOTAS[word].format(taken=f"{taken:,}", most=f"{most:,}")
        raise ProblemError(
            "quota-exceeded", f"{words} until they expire; GET /usage shows all.", used=taken, limit=most
        )
    return word


def usage(reply: list[Any]) -> Usage:
    """What a tenant stores."""
    return Usage(*(int(number) for number in reply))


def page(reply: list[Any]) -> Page:
    """One page and the token of the next."""
    found, last = reply
    return Page([record(flat) for flat in found], last.decode() if last else None)


def upload_page(tenant: str, kind: str, reply: list[Any]) -> UploadPage:
    """One page of stored files and the token of the next."""
    entries, last = reply
    uploads = [upload(tenant, kind, sha256.decode(), flat) for sha256, flat in entries]
    return UploadPage([one for one in uploads if one is not None], last.decode() if last else None)


def series_page(reply: list[Any]) -> SeriesPage:
    """One page of series and the token of the next."""
    entries, last = reply
    return SeriesPage([(id.decode(), payload.decode()) for id, payload in entries], last.decode() if last else None)


def upload(tenant: str, kind: str, sha256: str, flat: Flat) -> Upload | None:
    """A stored file, or None."""
    field = pairs(flat)
    if not field:
        return None
    job = field.get("job")
    parts = json.loads(field.get("parts") or "{}")
    return Upload(
        tenant=tenant,
        kind=kind,
        sha256=sha256,
        size=int(field["size"]),
        name=field["name"].decode(),
        job=job.decode() if job else None,
        created_at=moment(field["created"]),
        onnx=parts.get("model"),
        data=parts.get("data", {}),
    )


def overdue(reply: list[Any]) -> Overdue:
    """Jobs to notify workers of, whether the pass was full, and the jobs that a worker lost."""
    ring, full, missing, lost = reply
    return Overdue(
        ring=[(id.decode(), Kind(kind.decode())) for id, kind in ring],
        full=bool(full),
        missing=dict(json.loads(missing)),
        lost=[
            Lost(id.decode(), worker.decode(), int(attempt), Status(status.decode()))
            for id, worker, attempt, status in lost
        ],
    )


def events(space: str, reply: Any) -> dict[str, list[Event] | ProblemError]:
    """Entries of streams by job (XREAD, RESP2), whose keys begin with `space`; nothing new is no reply.

    Of a job with an entry that cannot be read the problem: it is that job's alone.
    """
    return {(id := key.decode().removeprefix(space)): _events_of(id, entries) for key, entries in reply or ()}


def _events_of(job: str, entries: Any) -> list[Event] | ProblemError:
    try:
        return [Event(id.decode(), dict(json.loads(fields[b"data"]))) for id, fields in entries]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        log.error("an event of job %s cannot be read: %s", job, type(error).__name__)
        return ProblemError("internal", f"An event of job {job} cannot be read; look at the job itself.")


def pulse(reply: list[Any]) -> Pulse:
    """Counts, ages and shares for readiness and metrics."""
    workers, opened, queued, oldest, used, most, tally, swept = reply
    return Pulse(
        workers=workers,
        open=opened,
        queued=queued,
        running=opened - queued,
        oldest_queued_seconds=int(oldest) / 1000,
        memory_share=int(used) / int(most) if int(most) else 0.0,
        swept_seconds=int(swept) / 1000 if int(swept) >= 0 else None,
        tally={name: int(value) for name, value in pairs(tally).items()},
    )
