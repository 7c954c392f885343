"""Every operation of the ledger, written once as a `Call`: transitions of a job, and questions about it.

The protocol: a job is `queued`, `running` or terminal; each step is one Lua script that compares and sets,
by Redis' clock. A worker holds a job by lease and attempt; what it writes under an older one changes nothing.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from erfscope_contract.duration import lasting
from erfscope_contract.hashing import sha256_of
from erfscope_contract.job import Status, Timing
from erfscope_contract.problem import Problem, ProblemError
from erfscope_jobs import replies, stages
from erfscope_jobs.call import Call, plain, scripted
from erfscope_jobs.digest import Fingerprint, canonical
from erfscope_jobs.packing import packed
from erfscope_jobs.records import (
    Answer,
    Beat,
    Event,
    Failure,
    Glance,
    Kind,
    Overdue,
    Page,
    Part,
    Pulse,
    Purge,
    Record,
    Sharded,
    Submission,
    Submitted,
    Upload,
    UploadPage,
    Usage,
)
from erfscope_jobs.settings import Settings
from erfscope_jobs.workers import WorkerInfo

MOST_WAIT = 30.0  # seconds that one call of `events` may block
_PAGE_TOKEN = re.compile(r"[0-9]{1,20}")
_UPLOAD_TOKEN = re.compile(r"[0-9]{20}-[0-9a-f]{64}")
_EVENT_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
MOST_EVENTS = 256  # of a job that are kept (common.lua), so that one read has all that any follower is told
SETTLE_MILLISECONDS = 1500  # a submission answers within 3 s in any outage


def page_token(token: str | None, form: re.Pattern[str] = _PAGE_TOKEN) -> str | None:
    """The token; raises invalid-request for one that cannot have been given out."""
    if token is not None and not form.fullmatch(token):
        raise ProblemError("invalid-request", "page_token is not one that this service gave out.")
    return token


def is_event_id(text: str) -> bool:
    """Whether Redis can have given that id to an entry of a stream: two numbers of 64 bits."""
    parts = _EVENT_ID.fullmatch(text)
    return parts is not None and all(int(part) < 2**64 for part in parts.groups())


def milliseconds(seconds: float) -> int:
    """Seconds as Redis counts them."""
    return int(seconds * 1000)


def problem_json(kind: str, detail: str, **context: Any) -> str:
    """A row of the error table, as the record keeps it."""
    return ProblemError(kind, detail, **context).problem.model_dump_json()


class Operations:
    """Builds calls from the settings, for keys that begin with `space`; does no input or output."""

    def __init__(self, settings: Settings, space: str) -> None:
        self.settings = settings
        self.space = space
        self.ttl = milliseconds(settings.result_ttl)
        self.lease = milliseconds(settings.lease_seconds)
        late = f"The job was not finished within {lasting(settings.job_deadline)} of its submission"
        self.endings = {
            "deadline_problem": problem_json("deadline", f"{late}; submit it again."),
            "outages_problem": problem_json(
                "deadline",
                f"{late}: it ran, but the service's file store could not take the answer. Submit it again once "
                "the store has room, and tell whoever runs this service if that does not help.",
            ),
            "lapses_problem": problem_json(
                "worker-crash",
                "Workers that ran the job stopped or fell silent again and again; submit it again, and tell whoever "
                "runs this service if that does not help.",
            ),
            "crashes_problem": problem_json(
                "worker-crash",
                "The process that ran the job died again and again; try a smaller input, fewer samples, "
                "or look for an operator that crashes.",
            ),
        }

    # ---- what the service does

    def submit(self, job: Submission, known: Sequence[Fingerprint] | None = None) -> Call[Submitted]:
        """SUBMIT; raises idempotency-mismatch, too-many-requests, unavailable, or not-found for a deleted model.

        With `known`, its candidates are the answers of workers of these kinds; FingerprintsChangedError has others.
        """
        settings, seen = self.settings, job.idempotency
        named = {
            "id": job.id,
            "kind": job.kind,
            "tenant": job.tenant,
            "question": job.question,
            "blobs": list(job.blobs),
            "candidates": [*job.candidates, *(one.digest(job.question) for one in known or ())],
            "fingerprints": None if known is None else [one.to_json() for one in known],
            "idempotency": sha256_of(seen.key) if seen else None,
            "body": seen.body_sha256 if seen else None,
            "inspects": job.inspects and job.inspects.sha256,
            "before": job.inspects and job.inspects.job,
            "holder": job.holder,
            "ttl": self.ttl,
            "lease": self.lease,
            "patience": milliseconds(settings.job_deadline),
            "watermark": settings.memory_watermark,
            "max_open": settings.max_open_jobs,
            "max_open_tenant": settings.max_open_jobs_per_tenant,
            "max_jobs": settings.max_jobs_per_tenant,
            "max_results": settings.max_result_bytes_per_tenant,
        }
        return scripted("submit", self.space, named, replies.submitted, packed(job.payload.encode()))

    def settle(self) -> tuple[Call[Any], Call[int]]:
        """A write, and the wait until it and all before it are on disk (on one connection)."""
        write = plain(lambda reply: reply, "SET", f"{self.space}:settle", 1, "PX", 60_000)
        return write, plain(lambda reply: int(reply[0]), "WAITAOF", 1, 0, SETTLE_MILLISECONDS)

    def get(self, id: str, tenant: str) -> Call[Record | None]:
        """The record with its result; None when unknown, gone, or another tenant's."""
        return scripted("get", self.space, {"id": id, "tenant": tenant}, replies.maybe_record)

    def glance(self, id: str, tenant: str) -> Call[Glance | None]:
        """What a 304 about a job depends on; None when unknown, gone, or another tenant's."""
        named = {"id": id, "tenant": tenant, "glance": True}
        return scripted("get", self.space, named, lambda reply: replies.glance(id, reply) if reply else None)

    def cancel(self, id: str, tenant: str) -> Call[Record | None]:
        """CANCEL; a terminal job comes back unchanged."""
        return scripted("cancel", self.space, {"id": id, "tenant": tenant}, replies.maybe_record)

    def purge(self, id: str, tenant: str) -> Call[Purge]:
        """PURGE a terminal job."""
        return scripted("purge", self.space, {"id": id, "tenant": tenant}, lambda reply: Purge(reply.decode()))

    def withdraw(self, id: str, tenant: str, holder: str) -> Call[bool]:
        """WITHDRAW a job that was submitted with this `holder`: it ends and goes, unless another holder has it too."""
        return scripted("withdraw", self.space, {"id": id, "tenant": tenant, "holder": holder}, bool)

    def figure(self, digest: str) -> Call[bytes | None]:
        """The default picture of an answer."""
        return plain(lambda reply: reply or None, "HGET", f"{self.space}:answer:{digest}", "figure")

    def events(self, id: str, after: str, wait: float) -> Call[list[Event]]:
        """What happened to a job after an event, waiting for it up to `wait` seconds."""
        news = self.news({id: after}, wait)

        def parse(reply: Any) -> list[Event]:
            events = news.parse(reply).get(id, [])
            if isinstance(events, ProblemError):
                raise events
            return events

        return plain(parse, *news.arguments, patience=news.patience)

    def news(self, after: Mapping[str, str], wait: float) -> Call[dict[str, list[Event] | ProblemError]]:
        """What happened to several jobs, each after an event of its own, waiting up to `wait` seconds for any of it."""
        if not all(map(is_event_id, after.values())):
            raise ProblemError("invalid-request", "Last-Event-ID is not one that this service gave out.")
        wait, space = min(wait, MOST_WAIT), f"{self.space}:events:"
        block = ("BLOCK", max(1, milliseconds(wait))) if wait > 0 else ()  # BLOCK 0 would be for ever
        keys = [space + id for id in after]
        command = ("XREAD", "COUNT", MOST_EVENTS, *block, "STREAMS", *keys, *after.values())
        return plain(partial(replies.events, space), *command, patience=wait)

    def admit(self, tenant: str, kind: str, size: int = 0) -> Call[str]:
        """ADMIT a file of `size` bytes; raises quota-exceeded, or unavailable above the watermark."""
        named = {"tenant": tenant, "kind": kind, "size": size, **self._room(kind)}
        return scripted("admit", self.space, named, replies.allowed)

    def usage(self, tenant: str) -> Call[Usage]:
        """USAGE: what a tenant stores."""
        return scripted("usage", self.space, {"tenant": tenant}, replies.usage)

    def _room(self, kind: str) -> dict[str, Any]:
        settings = self.settings
        most = {"model": settings.max_model_bytes_per_tenant, "file": settings.max_file_bytes_per_tenant}
        return {"most": most[kind], "watermark": settings.memory_watermark}

    def put_upload(self, upload: Upload) -> Call[Upload | None]:
        """Remember that a tenant has a file, and what is known of it; raises as `admit` does."""
        named = {
            "tenant": upload.tenant,
            "kind": upload.kind,
            "sha256": upload.sha256,
            "size": upload.size,
            "name": upload.name,
            "blobs": list(upload.blobs),
            "parts": canonical(upload.parts["parts"]).decode() if upload.parts else None,
            "ttl": self.ttl,
            **self._room(upload.kind),
        }
        read = self._upload(upload.tenant, upload.kind, upload.sha256)
        return scripted(
            "put_upload", self.space, named, lambda reply: read(reply[1]) if replies.allowed(reply) else None
        )

    def find_upload(self, tenant: str, kind: str, sha256: str) -> Call[Upload | None]:
        """A file that this tenant stored."""
        named = {"tenant": tenant, "kind": kind, "sha256": sha256, "ttl": self.ttl}
        return scripted("find_upload", self.space, named, self._upload(tenant, kind, sha256))

    def drop_upload(self, tenant: str, kind: str, sha256: str) -> Call[bool]:
        """Forget a tenant's file; whether there was one."""
        named = {"tenant": tenant, "kind": kind, "sha256": sha256}
        return scripted("drop_upload", self.space, named, bool)

    def list_uploads(self, tenant: str, kind: str, size: int, token: str | None) -> Call[UploadPage]:
        """A page of the files of a kind that a tenant stored, newest first."""
        named = {"tenant": tenant, "kind": kind, "size": size, "after": page_token(token, _UPLOAD_TOKEN)}
        return scripted("list_uploads", self.space, named, lambda reply: replies.upload_page(tenant, kind, reply))

    @staticmethod
    def _upload(tenant: str, kind: str, sha256: str) -> Any:
        return lambda flat: replies.upload(tenant, kind, sha256, flat)

    def kept_blobs(self, names: list[str]) -> Call[list[bool]]:
        """Which of these blobs something alive still needs."""
        return scripted("kept_blobs", self.space, {"blobs": names}, lambda reply: [bool(kept) for kept in reply])

    def workers(self) -> Call[list[WorkerInfo]]:
        """The workers that live."""
        return scripted("workers", self.space, {}, lambda reply: [WorkerInfo.from_json(text) for text in reply])

    def fingerprints(self) -> Call[list[Fingerprint]]:
        """What decided the bytes of answers lately, seen last first."""
        return scripted(
            "fingerprints", self.space, {}, lambda reply: [Fingerprint(**json.loads(text)) for text in reply]
        )

    def pulse(self) -> Call[Pulse]:
        """Counts, ages and shares."""
        return scripted("pulse", self.space, {}, replies.pulse)

    def ping(self) -> Call[bool]:
        """Whether Redis answers."""
        return plain(bool, "PING")

    # ---- what a worker does

    def next(self, kind: Kind, fingerprint: Fingerprint | None = None, skip: Sequence[str] = ()) -> Call[str | None]:
        """NEXT: the job of a kind whose turn it is, those in `skip` excepted; None when none can be claimed."""
        named = {
            "kind": kind,
            "fingerprint": fingerprint.to_json() if fingerprint else None,
            "skip": list(skip),
        }
        return scripted("next", self.space, named, lambda reply: reply.decode() if reply else None)

    def claim(self, id: str, worker: str, fingerprint: Fingerprint | None = None) -> Call[Record | None]:
        """CLAIM; None when there is nothing to do. Shards go to the fingerprint that split their job."""
        kind = fingerprint.to_json() if fingerprint else None
        named = {"id": id, "worker": worker, "fingerprint": kind, "lease": self.lease, **self.endings}
        return scripted("claim", self.space, named, replies.maybe_record)

    def beat(self, id: str, attempt: int, stage: str, progress: float) -> Call[Beat]:
        """BEAT; anything but HELD means: kill the child."""
        named = {
            "id": id,
            "attempt": attempt,
            "stage": stage,
            "progress": round(min(max(progress, 0.0), 1.0), 4),  # Lua writes 14 digits; longer ones never compare equal
            "lease": self.lease,
            **self.endings,
        }
        return scripted("beat", self.space, named, lambda reply: Beat(reply.decode()))

    def finish(self, id: str, attempt: int, answer: Answer, timing: Timing) -> Call[bool]:
        """FINISH; False when another attempt holds the job (nothing was written)."""
        named = {
            "id": id,
            "attempt": attempt,
            "digest": answer.digest,
            "arrays": canonical(dict(answer.arrays)).decode(),
            "size": answer.size,
            "sha256": sha256_of(answer.result),
            "timing": timing.model_dump_json(),
            "stages": stages.known(timing.stages),
            "bounds": stages.BOUNDS,
        }
        return scripted("finish", self.space, named, bool, packed(answer.result), answer.figure)

    def recall(self, id: str, attempt: int, digest: str) -> Call[bool]:
        """FINISH with an answer that is known already; False when it is not, or the job is another's."""
        return scripted("recall", self.space, {"id": id, "attempt": attempt, "digest": digest}, bool)

    def fail(self, id: str, attempt: int, problem: Problem, timing: Timing) -> Call[bool]:
        """FAIL; False when another attempt holds the job."""
        named = {
            "id": id,
            "attempt": attempt,
            "problem": problem.model_dump_json(),
            "problem_kind": problem.kind,
            "timing": timing.model_dump_json(),
        }
        return scripted("fail", self.space, named, bool)

    def retry(self, id: str, attempt: int, failure: Failure) -> Call[str]:
        """RETRY; the status that the job has now, or "lost"."""
        named = {"id": id, "attempt": attempt, "failure": failure, **self._caps()}
        return scripted("retry", self.space, named, lambda reply: reply.decode())

    def slots(self, fingerprint: Fingerprint) -> Call[int]:
        """SLOTS: how many shards could run at a time; 0 while other jobs wait."""
        return scripted("slots", self.space, {"fingerprint": fingerprint.to_json()}, int)

    def split(self, id: str, attempt: int, parts: Sequence[Part], fingerprint: Fingerprint) -> Call[tuple[str, ...]]:
        """SPLIT; the ids of the shards, none when another attempt holds the job."""
        named = {
            "id": id,
            "attempt": attempt,
            "parts": parts,
            "fingerprint": fingerprint.to_json(),
            "lease": self.lease,
        }
        return scripted("split", self.space, named, lambda reply: tuple(shard.decode() for shard in reply))

    def finish_part(self, id: str, attempt: int, arrays: Mapping[str, str]) -> Call[Sharded]:
        """FINISH of a shard."""
        named = {"id": id, "attempt": attempt, "arrays": canonical(dict(arrays)).decode(), "lease": self.lease}
        return scripted("finish_part", self.space, named, lambda reply: Sharded(reply.decode()))

    def rejoin(self, id: str, attempt: int) -> Call[bool]:
        """REJOIN, for a shard or a merge; False when another attempt holds it."""
        return scripted("rejoin", self.space, {"id": id, "attempt": attempt, "lease": self.lease}, bool)

    def advertise(self, worker: WorkerInfo) -> Call[bool]:
        """A worker lives: for the registry, and for looking up answers."""
        named = {
            "name": worker.name,
            "about": worker.to_json(),
            "fingerprint": worker.fingerprint.to_json(),
            "lease": self.lease,
            "ttl": self.ttl,
        }
        return scripted("advertise", self.space, named, bool)

    def retire(self, name: str) -> Call[bool]:
        """A worker has stopped."""
        return scripted("retire", self.space, {"name": name}, bool)

    def release(self, worker: str) -> Call[tuple[str, ...]]:
        """RELEASE what workers hold whose names begin so and that are known to be dead; the jobs of those leases."""
        named = {"worker": worker}
        return scripted("release", self.space, named, lambda reply: tuple(dict.fromkeys(id.decode() for id in reply)))

    # ---- what the reaper does

    def waiting(self) -> Call[dict[str, int]]:
        """WAITING: how many jobs of each kind wait for a worker."""
        return scripted("waiting", self.space, {"kinds": list(Kind)}, lambda reply: dict(zip(Kind, reply, strict=True)))

    def reap(self, most: int, missing: Mapping[str, int]) -> Call[Overdue]:
        """REAP, up to `most` lost leases and `most` others.

        `missing` says how many messages of a kind are missing in the queue; jobs of other kinds are all notified of.
        """
        named = {"most": most, "missing": dict(missing), **self._caps()}
        return scripted("reap", self.space, named, replies.overdue)

    def swept(self) -> Call[bool]:
        """SWEPT: the sweeper lives."""
        return scripted("swept", self.space, {}, bool)

    def _caps(self) -> dict[str, Any]:
        return {
            "lease": self.lease,
            "max_crashes": self.settings.max_crashes,
            "max_lapses": self.settings.max_lapses,
            **self.endings,
        }

    # last, because its name hides the type

    def list(
        self, tenant: str, size: int, token: str | None, kind: Kind | None = None, status: Status | None = None
    ) -> Call[Page]:
        """A page of jobs, newest first, without results; of one kind and one status where they are given."""
        named = {"tenant": tenant, "size": size, "before": page_token(token), "kind": kind, "status": status}
        return scripted("list", self.space, named, replies.page)
