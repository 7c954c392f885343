"""What the ledger keeps, as plain frozen records."""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from erfscope_contract.job import Status, Timing
from erfscope_contract.problem import Problem

Part = tuple[int, int]  # samples first … stop − 1


class Kind(StrEnum):
    """What a worker is asked to do."""

    ERF = "erf"
    INSPECT = "inspect"
    ADVICE = "advice"
    TILES = "tiles"
    FIT = "fit"
    SHARD = "shard"  # a part of the samples of an erf


class Purge(StrEnum):
    """How the removal of a job went."""

    PURGED = "purged"
    OPEN = "open"
    MISSING = "missing"


class Beat(StrEnum):
    """What a worker learns when it reports: go on, or kill the child and why."""

    HELD = "held"
    LOST = "lost"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Sharded(StrEnum):
    """What a shard's end meant: fenced, others are still on their way, or all have ended and wait to be merged."""

    LOST = "lost"
    KEPT = "kept"
    MERGE = "merge"


class Failure(StrEnum):
    """Why an attempt ended without an answer and the job goes back to the queue."""

    CRASH = "crash"
    HANDBACK = "handback"
    OUTAGE = "outage"  # the file store or the disk refuses: nobody's fault, so it counts towards no cap


def job_of(id: str) -> str:
    """The job of a shard, whose id is that of its job and a number; a job itself stays as it is."""
    return id.partition(".")[0]


def new_id() -> str:
    """An id that cannot be guessed, and that a command line does not take for an option."""
    while (id := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return id


@dataclass(frozen=True)
class Idempotency:
    """A client's key, and what it asked under it."""

    key: str
    body_sha256: str


@dataclass(frozen=True)
class Upload:
    """A file that a tenant stored; `job` inspects it.

    A model with files beside it is one upload: `sha256` is the name of all of them together, `onnx` that of the ONNX
    file's bytes, and `data` has those of the files beside it by the name that the model gives them.
    """

    tenant: str
    kind: str
    sha256: str
    size: int
    name: str
    job: str | None = None
    created_at: datetime | None = None
    onnx: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[str, ...]:
        """What it is stored as."""
        return (self.onnx or self.sha256, *self.data.values())

    @property
    def parts(self) -> dict[str, Any]:
        """For a job's payload: the blobs of a model with files beside it; empty for one file."""
        return {"parts": {"model": self.onnx, "data": dict(self.data)}} if self.data else {}

    @property
    def used(self) -> tuple[str, ...]:
        """What a job that reads it must keep: its blobs, and the upload itself."""
        return tuple(dict.fromkeys((*self.blobs, self.sha256)))


@dataclass(frozen=True)
class Submission:
    """A job to be; `payload` is JSON: the worker reads it, and the service shows the request in it.

    `inspects` is the stored model whose inspection it becomes, as it was when the caller looked; `holder` names a
    caller that may take the job back (`withdraw`).
    """

    kind: Kind
    tenant: str
    payload: str
    question: str
    id: str = field(default_factory=new_id)
    blobs: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    idempotency: Idempotency | None = None
    inspects: Upload | None = None
    holder: str | None = None


@dataclass(frozen=True)
class Glance:
    """What decides the bytes of everything about a job that has ended: enough for a 304, and cheap to ask for."""

    id: str
    kind: Kind
    status: Status
    result_sha256: str | None
    arrays: Mapping[str, str]
    last_event: str


@dataclass(frozen=True)
class Record:
    """A job as the ledger knows it; `result` is the answer's JSON where it was asked for."""

    id: str
    kind: Kind
    tenant: str
    status: Status
    attempt: int
    crashes: int
    lapses: int
    stage: str
    progress: float
    cached: bool
    payload: str
    question: str
    created_at: datetime
    deadline: datetime
    started_at: datetime | None
    finished_at: datetime | None
    problem: Problem | None
    timing: Timing
    answer: str | None
    result_sha256: str | None
    result: bytes | None
    arrays: Mapping[str, str]
    last_event: str
    part: Part | None = None  # a shard's samples
    parts: tuple[Mapping[str, str], ...] = ()  # what the shards of a job found: arrays in the blob store
    whole: bool = False  # must not be split (again)
    outages: int = 0  # attempts that ended because the file store failed
    canceled_now: bool = field(default=False, compare=False)  # this very call canceled it
    elapsed: float = 0.0  # seconds from the first claim to this one, where it was split in between

    @property
    def glance(self) -> Glance:
        """What decides the bytes of everything about it, once it has ended."""
        return Glance(self.id, self.kind, self.status, self.result_sha256, self.arrays, self.last_event)

    @property
    def job(self) -> str:
        """The job that people know."""
        return job_of(self.id)


@dataclass(frozen=True)
class Submitted:
    """The job of a submission; not `created` when it was there before."""

    record: Record
    created: bool


@dataclass(frozen=True)
class Page:
    """Some of a tenant's jobs, newest first."""

    records: list[Record]
    next_token: str | None


@dataclass(frozen=True)
class SeriesPage:
    """Some of a tenant's series, newest first: what `remember` stored, by id."""

    series: list[tuple[str, str]]
    next_token: str | None


@dataclass(frozen=True)
class Lost:
    """A job (or a shard) whose worker was silent for longer than a lease; `status` is what it has now."""

    id: str
    worker: str
    attempt: int
    status: Status

    @property
    def job(self) -> str:
        """The job that people know."""
        return job_of(self.id)


@dataclass(frozen=True)
class Overdue:
    """What one pass of the reaper found: jobs that a message must be sent for, and whether there may be more.

    `lost` are jobs whose lease ended; `missing` are the messages that are missing by kind once those have been sent;
    `away` counts partitions of the ledger that did not answer.
    """

    ring: list[tuple[str, Kind]]
    full: bool
    missing: Mapping[str, int]
    lost: Sequence[Lost] = ()
    away: int = 0


@dataclass(frozen=True)
class Event:
    """One change of a job; the id orders them."""

    id: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class UploadPage:
    """Some of a tenant's files of a kind, newest first."""

    uploads: list[Upload]
    next_token: str | None


@dataclass(frozen=True)
class Answer:
    """What a worker found: JSON, a picture, and names of arrays in the blob store."""

    digest: str
    result: bytes
    figure: bytes = b""
    arrays: Mapping[str, str] = field(default_factory=dict)
    array_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes that it takes, all together."""
        return len(self.result) + len(self.figure) + self.array_bytes


@dataclass(frozen=True)
class Usage:
    """What a tenant stores: bytes of models, images and results; jobs, and how many of them are unfinished."""

    models: int
    images: int
    results: int
    jobs: int
    open_jobs: int


@dataclass(frozen=True)
class Pulse:
    """How the ledger is doing."""

    workers: int
    open: int
    queued: int
    running: int
    oldest_queued_seconds: float
    memory_share: float
    tally: Mapping[str, int]
    swept_seconds: float | None = None  # since a sweep of stored files ended; None where none ever did


def merged(pulses: Sequence[Pulse]) -> Pulse:
    """Those of all partitions as one; workers and sweeps are told to each, or to the first."""
    first = pulses[0]
    if len(pulses) == 1:
        return first
    return Pulse(
        workers=first.workers,
        open=sum(pulse.open for pulse in pulses),
        queued=sum(pulse.queued for pulse in pulses),
        running=sum(pulse.running for pulse in pulses),
        oldest_queued_seconds=max(pulse.oldest_queued_seconds for pulse in pulses),
        memory_share=max(pulse.memory_share for pulse in pulses),
        tally=sum((Counter(pulse.tally) for pulse in pulses), Counter()),
        swept_seconds=first.swept_seconds,
    )
