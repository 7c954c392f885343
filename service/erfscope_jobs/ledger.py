"""The ledger's face for threads: workers and the reaper; `aio.py` has the one for the service's event loop.

A method here is one line each: what it does stands at its namesake in `Operations`. All raise ProblemError
`unavailable` when Redis cannot be reached in time.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from erfscope_contract.job import Timing
from erfscope_contract.problem import Problem, ProblemError
from erfscope_jobs.call import Call
from erfscope_jobs.connections import Client, connect, on_one_connection
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.operations import MOST_WAIT, Operations
from erfscope_jobs.partitions import Partitions
from erfscope_jobs.records import (
    Answer,
    Beat,
    Event,
    Failure,
    Kind,
    Lost,
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
    merged,
)
from erfscope_jobs.settings import Settings
from erfscope_jobs.wire import (
    confirm_settled,
    knows_no_waitaof,
    needs_settling,
    outages,
)
from erfscope_jobs.workers import WorkerInfo

T = TypeVar("T")


def _literal(text: str) -> str:
    """The pattern of Redis that matches this text alone."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", text)


class Ledger:
    """The ledger for threads: workers and the reaper."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._parts = Partitions(settings)
        self._durable = settings.durable_submit
        self._clients: dict[float, Client] = {}  # by patience; a client of a cluster looks for its nodes at once
        self._turn = 0

    def _client(self, patience: float) -> Client:
        if patience not in self._clients:
            self._clients[patience] = connect(self.settings, patience)
        return self._clients[patience]

    def run(self, call: Call[T]) -> T:
        """Send one call and read its reply."""
        with outages():
            return call.parse(self._send(call))

    def _send(self, call: Call[Any]) -> Any:
        client = self._client(MOST_WAIT if call.patience else 0.0)
        if call.script is None:
            return client.execute_command(*call.arguments)
        try:
            return client.execute_command("EVALSHA", call.script.sha1, *call.arguments)
        except NoScriptError:
            return client.execute_command("EVAL", call.script.text, *call.arguments)

    def _settle(self, at: Operations) -> None:
        """Wait until what was written to a partition is on disk."""
        write, wait = at.settle()
        try:
            with outages():
                reply = on_one_connection(self._client(0.0), tuple(write.arguments), tuple(wait.arguments))
            confirm_settled(wait.parse(reply))
        except ResponseError as error:
            if not knows_no_waitaof(error):
                raise
            self._durable = False

    def close(self) -> None:
        """Give the connections back."""
        for client in self._clients.values():
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def submit(self, job: Submission) -> Submitted:
        """SUBMIT, and wait until it is on disk."""
        at = self._parts.of(job.tenant)
        submitted = self.run(at.submit(self._parts.placed(job)))
        if self._durable and needs_settling(submitted):
            self._settle(at)
        return submitted

    def get(self, id: str, tenant: str) -> Record | None:
        """The record with its result."""
        return self.run(self._parts.of(tenant).get(id, tenant))

    def cancel(self, id: str, tenant: str) -> Record | None:
        """CANCEL; a terminal job comes back unchanged."""
        return self.run(self._parts.of(tenant).cancel(id, tenant))

    def purge(self, id: str, tenant: str) -> Purge:
        """PURGE a terminal job."""
        return self.run(self._parts.of(tenant).purge(id, tenant))

    def withdraw(self, id: str, tenant: str, holder: str) -> bool:
        """WITHDRAW a job that was submitted with this holder."""
        return self.run(self._parts.of(tenant).withdraw(id, tenant, holder))

    def figure(self, tenant: str, digest: str) -> bytes | None:
        """The default picture of an answer of a tenant."""
        return self.run(self._parts.of(tenant).figure(digest))

    def events(self, id: str, after: str = "0-0", wait: float = 0.0) -> list[Event]:
        """What happened after an event."""
        return self.run(self._parts.of_job(id).events(id, after, wait))

    def admit(self, tenant: str, kind: str, size: int = 0) -> None:
        """ADMIT a file."""
        self.run(self._parts.of(tenant).admit(tenant, kind, size))

    def usage(self, tenant: str) -> Usage:
        """What a tenant stores."""
        return self.run(self._parts.of(tenant).usage(tenant))

    def put_upload(self, upload: Upload) -> Upload | None:
        """Remember that a tenant has a file."""
        return self.run(self._parts.of(upload.tenant).put_upload(upload))

    def find_upload(self, tenant: str, kind: str, sha256: str) -> Upload | None:
        """A file that this tenant stored."""
        return self.run(self._parts.of(tenant).find_upload(tenant, kind, sha256))

    def drop_upload(self, tenant: str, kind: str, sha256: str) -> bool:
        """Forget a tenant's file."""
        return self.run(self._parts.of(tenant).drop_upload(tenant, kind, sha256))

    def list_uploads(self, tenant: str, kind: str, size: int, token: str | None) -> UploadPage:
        """A page of the files of a kind that a tenant stored."""
        return self.run(self._parts.of(tenant).list_uploads(tenant, kind, size, token))

    def stored_tenants(self) -> set[str]:
        """Tenants that have something stored, by a walk over all names of keys: for administrators."""
        with outages():
            return {
                name.decode().removeprefix(begin).partition(":")[0]
                for at in self._parts.all
                for begin in (f"{at.space}:held:", f"{at.space}:serieslist:")
                for name in self._client(0.0).scan_iter(match=f"{_literal(begin)}*", count=1000)
            }

    def workers(self) -> list[WorkerInfo]:
        """The workers that live."""
        return self.run(self._parts.first.workers())

    def fingerprints(self) -> list[Fingerprint]:
        """What decided the bytes of answers lately."""
        return self.run(self._parts.first.fingerprints())

    def pulse(self) -> Pulse:
        """Counts, ages and shares."""
        return merged([self.run(at.pulse()) for at in self._parts.all])

    def ping(self) -> bool:
        """Whether Redis answers."""
        return self.run(self._parts.first.ping())

    def kept_blobs(self, names: list[str]) -> list[bool]:
        """Which blobs something alive still needs."""
        return [any(needs) for needs in zip(*(self.run(at.kept_blobs(names)) for at in self._parts.all), strict=True)]

    def next(self, kind: Kind, fingerprint: Fingerprint | None = None, skip: Sequence[str] = ()) -> str | None:
        """NEXT; the job whose turn it is, and of the partitions another one first each time.

        One that is away is passed over, and raises where the others have no job.
        """
        self._turn += 1
        parts, away = self._parts.all, None
        for n in range(len(parts)):
            try:
                if id := self.run(parts[(self._turn + n) % len(parts)].next(kind, fingerprint, skip)):
                    return id
            except ProblemError as error:
                away = error
        if away is not None:
            raise away
        return None

    def claim(self, id: str, worker: str, fingerprint: Fingerprint | None = None) -> Record | None:
        """CLAIM; None when there is nothing to do."""
        return self.run(self._parts.of_job(id).claim(id, worker, fingerprint))

    def slots(self, fingerprint: Fingerprint) -> int:
        """SLOTS."""
        return min(self.run(at.slots(fingerprint)) for at in self._parts.all)  # 0 where anything waits

    def split(self, id: str, attempt: int, parts: Sequence[Part], fingerprint: Fingerprint) -> tuple[str, ...]:
        """SPLIT; the ids of the shards."""
        return self.run(self._parts.of_job(id).split(id, attempt, parts, fingerprint))

    def finish_part(self, id: str, attempt: int, arrays: Mapping[str, str]) -> Sharded:
        """FINISH of a shard."""
        return self.run(self._parts.of_job(id).finish_part(id, attempt, arrays))

    def rejoin(self, id: str, attempt: int) -> bool:
        """REJOIN."""
        return self.run(self._parts.of_job(id).rejoin(id, attempt))

    def beat(self, id: str, attempt: int, stage: str, progress: float) -> Beat:
        """BEAT; anything but HELD means: kill the child."""
        return self.run(self._parts.of_job(id).beat(id, attempt, stage, progress))

    def finish(self, id: str, attempt: int, answer: Answer, timing: Timing) -> bool:
        """FINISH; False when another attempt holds the job."""
        return self.run(self._parts.of_job(id).finish(id, attempt, answer, timing))

    def recall(self, id: str, attempt: int, digest: str) -> bool:
        """FINISH with an answer that is known already; False when it is not."""
        return self.run(self._parts.of_job(id).recall(id, attempt, digest))

    def fail(self, id: str, attempt: int, problem: Problem, timing: Timing) -> bool:
        """FAIL; False when another attempt holds the job."""
        return self.run(self._parts.of_job(id).fail(id, attempt, problem, timing))

    def retry(self, id: str, attempt: int, failure: Failure) -> str:
        """RETRY; the job's status now."""
        return self.run(self._parts.of_job(id).retry(id, attempt, failure))

    def advertise(self, worker: WorkerInfo) -> bool:
        """A worker lives."""
        told = [self.run(at.advertise(worker)) for at in self._parts.all]
        return all(told)

    def retire(self, name: str) -> bool:
        """A worker has stopped."""
        known = [self.run(at.retire(name)) for at in self._parts.all]
        return any(known)

    def release(self, worker: str) -> tuple[str, ...]:
        """RELEASE: workers of that name are dead; the jobs whose leases ended."""
        return tuple(job for at in self._parts.all for job in self.run(at.release(worker)))

    def swept(self) -> bool:
        """SWEPT; the sweeper lives."""
        return self.run(self._parts.first.swept())

    def waiting(self) -> Mapping[str, int]:
        """WAITING; how many jobs of each kind wait for a worker."""
        counts: Counter[str] = Counter()
        for at in self._parts.all:
            found = self.run(at.waiting())
            counts.update(found)
        return counts

    def reap(self, most: int, missing: Mapping[str, int]) -> Overdue:
        """REAP, in each partition; the jobs that a message must be sent for. Raises where all are away."""
        ring: list[tuple[str, Kind]] = []
        lost: list[Lost] = []
        is_full, left, away = False, dict(missing), 0
        for at in self._parts.all:
            try:
                overdue = self.run(at.reap(most, left))
            except ProblemError:
                away += 1
                if away == len(self._parts.all):
                    raise
                continue
            ring += overdue.ring
            lost += overdue.lost
            is_full = is_full or overdue.full
            left = dict(overdue.missing)
        return Overdue(ring, is_full, left, lost, away)

    def list(self, tenant: str, size: int = 20, token: str | None = None, kind: Kind | None = None) -> Page:
        """A page of jobs, newest first."""
        return self.run(self._parts.of(tenant).list(tenant, size, token, kind))
