"""The ledger's face for threads: workers and the reaper; `aio.py` has the one for the service's event loop.

A method here is one line each: what it does stands at its namesake in `Operations`. All raise ProblemError
`unavailable` when Redis cannot be reached in time.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

import redis
from redis.exceptions import ConnectionError, NoScriptError, ResponseError
from redis.retry import Retry

from erfscope_contract.job import Timing
from erfscope_contract.problem import Problem
from erfscope_jobs.call import Call
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.operations import MOST_WAIT, Operations
from erfscope_jobs.records import (
    Answer,
    Beat,
    Event,
    Failure,
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
    Usage,
)
from erfscope_jobs.settings import Settings
from erfscope_jobs.wire import (
    BACKOFF,
    confirm_settled,
    connection_options,
    knows_no_waitaof,
    needs_settling,
    outages,
)
from erfscope_jobs.workers import WorkerInfo

T = TypeVar("T")


class Ledger:
    """The ledger for threads: workers and the reaper."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.do = Operations(settings)
        self._durable = settings.durable_submit
        self._brisk = self._client(0.0)
        self._patient = self._client(MOST_WAIT)

    def _client(self, patience: float) -> Any:  # execute_command is untyped in redis-py
        retry = Retry(BACKOFF, 1, supported_errors=(ConnectionError,))
        return redis.Redis.from_url(self.settings.redis_url, retry=retry, **connection_options(self.settings, patience))

    def run(self, call: Call[T]) -> T:
        """Send one call and read its reply."""
        with outages():
            return call.parse(self._send(call))

    def _send(self, call: Call[Any]) -> Any:
        client = self._patient if call.patience else self._brisk
        if call.script is None:
            return client.execute_command(*call.arguments)
        try:
            return client.execute_command("EVALSHA", call.script.sha1, *call.arguments)
        except NoScriptError:
            return client.execute_command("EVAL", call.script.text, *call.arguments)

    def _settle(self) -> None:
        """Wait until what was written is on disk."""
        write, wait = self.do.settle()
        try:
            with outages(), self._brisk.pipeline(transaction=False) as pipe:
                pipe.execute_command(*write.arguments)
                pipe.execute_command(*wait.arguments)
                confirm_settled(wait.parse(pipe.execute()[1]))
        except ResponseError as error:
            if not knows_no_waitaof(error):
                raise
            self._durable = False

    def close(self) -> None:
        """Give the connections back."""
        self._brisk.close()
        self._patient.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def submit(self, job: Submission) -> Submitted:
        """SUBMIT, and wait until it is on disk."""
        submitted = self.run(self.do.submit(job))
        if self._durable and needs_settling(submitted):
            self._settle()
        return submitted

    def get(self, id: str, tenant: str) -> Record | None:
        """The record with its result."""
        return self.run(self.do.get(id, tenant))

    def cancel(self, id: str, tenant: str) -> Record | None:
        """CANCEL; a terminal job comes back unchanged."""
        return self.run(self.do.cancel(id, tenant))

    def purge(self, id: str, tenant: str) -> Purge:
        """PURGE a terminal job."""
        return self.run(self.do.purge(id, tenant))

    def figure(self, digest: str) -> bytes | None:
        """The default picture of an answer."""
        return self.run(self.do.figure(digest))

    def events(self, id: str, after: str = "0-0", wait: float = 0.0) -> list[Event]:
        """What happened after an event."""
        return self.run(self.do.events(id, after, wait))

    def admit(self, tenant: str, kind: str, size: int = 0) -> None:
        """ADMIT a file."""
        self.run(self.do.admit(tenant, kind, size))

    def usage(self, tenant: str) -> Usage:
        """What a tenant stores."""
        return self.run(self.do.usage(tenant))

    def put_upload(self, upload: Upload) -> Upload | None:
        """Remember that a tenant has a file."""
        return self.run(self.do.put_upload(upload))

    def find_upload(self, tenant: str, kind: str, sha256: str) -> Upload | None:
        """A file that this tenant stored."""
        return self.run(self.do.find_upload(tenant, kind, sha256))

    def drop_upload(self, tenant: str, kind: str, sha256: str) -> bool:
        """Forget a tenant's file."""
        return self.run(self.do.drop_upload(tenant, kind, sha256))

    def workers(self) -> list[WorkerInfo]:
        """The workers that live."""
        return self.run(self.do.workers())

    def fingerprints(self) -> list[Fingerprint]:
        """What decided the bytes of answers lately."""
        return self.run(self.do.fingerprints())

    def pulse(self) -> Pulse:
        """Counts, ages and shares."""
        return self.run(self.do.pulse())

    def ping(self) -> bool:
        """Whether Redis answers."""
        return self.run(self.do.ping())

    def kept_blobs(self, names: list[str]) -> list[bool]:
        """Which blobs something alive still needs."""
        return self.run(self.do.kept_blobs(names))

    def next(self, kind: Kind, fingerprint: Fingerprint | None = None, skip: Sequence[str] = ()) -> str | None:
        """NEXT; the job whose turn it is."""
        return self.run(self.do.next(kind, fingerprint, skip))

    def claim(self, id: str, worker: str, fingerprint: Fingerprint | None = None) -> Record | None:
        """CLAIM; None when there is nothing to do."""
        return self.run(self.do.claim(id, worker, fingerprint))

    def slots(self, fingerprint: Fingerprint) -> int:
        """SLOTS."""
        return self.run(self.do.slots(fingerprint))

    def split(self, id: str, attempt: int, parts: Sequence[Part], fingerprint: Fingerprint) -> tuple[str, ...]:
        """SPLIT; the ids of the shards."""
        return self.run(self.do.split(id, attempt, parts, fingerprint))

    def finish_part(self, id: str, attempt: int, arrays: Mapping[str, str]) -> Sharded:
        """FINISH of a shard."""
        return self.run(self.do.finish_part(id, attempt, arrays))

    def rejoin(self, id: str, attempt: int) -> bool:
        """REJOIN."""
        return self.run(self.do.rejoin(id, attempt))

    def beat(self, id: str, attempt: int, stage: str, progress: float) -> Beat:
        """BEAT; anything but HELD means: kill the child."""
        return self.run(self.do.beat(id, attempt, stage, progress))

    def finish(self, id: str, attempt: int, answer: Answer, timing: Timing) -> bool:
        """FINISH; False when another attempt holds the job."""
        return self.run(self.do.finish(id, attempt, answer, timing))

    def recall(self, id: str, attempt: int, digest: str) -> bool:
        """FINISH with an answer that is known already; False when it is not."""
        return self.run(self.do.recall(id, attempt, digest))

    def fail(self, id: str, attempt: int, problem: Problem, timing: Timing) -> bool:
        """FAIL; False when another attempt holds the job."""
        return self.run(self.do.fail(id, attempt, problem, timing))

    def retry(self, id: str, attempt: int, failure: Failure) -> str:
        """RETRY; the job's status now."""
        return self.run(self.do.retry(id, attempt, failure))

    def advertise(self, worker: WorkerInfo) -> bool:
        """A worker lives."""
        return self.run(self.do.advertise(worker))

    def retire(self, name: str) -> bool:
        """A worker has stopped."""
        return self.run(self.do.retire(name))

    def swept(self) -> bool:
        """SWEPT; the sweeper lives."""
        return self.run(self.do.swept())

    def reap(self, most: int, queues: Mapping[str, str]) -> Overdue:
        """REAP; the jobs that a message must be sent for."""
        return self.run(self.do.reap(most, queues))

    def list(self, tenant: str, size: int = 20, token: str | None = None, kind: Kind | None = None) -> Page:
        """A page of jobs, newest first."""
        return self.run(self.do.list(tenant, size, token, kind))
