"""The ledger's face for an event loop; see `ledger.py` for the one for threads, `operations.py` for what they do."""

from typing import Any, Self, TypeVar

import redis.asyncio
import redis.asyncio.retry
from redis.exceptions import ConnectionError, NoScriptError, ResponseError

from erfscope_contract.job import Status
from erfscope_jobs.call import Call
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.following import SLICE, Following
from erfscope_jobs.operations import MOST_WAIT, Operations
from erfscope_jobs.records import (
    Event,
    Kind,
    Page,
    Pulse,
    Purge,
    Record,
    Submission,
    Submitted,
    Upload,
    UploadPage,
    Usage,
)
from erfscope_jobs.settings import Settings
from erfscope_jobs.wire import (
    BACKOFF,
    confirm_settled,
    connection_options,
    knows_no_waitaof,
    needs_settling,
    promptly,
)
from erfscope_jobs.workers import WorkerInfo

T = TypeVar("T")
MOST_CALLS = 64  # connections of one event loop; further calls wait their turn
WRITE_SECONDS = 2.5  # a record, and its way to the disk
MOST_READERS = 4  # of events: one, and those that are on their way out


class AsyncLedger:
    """The ledger for an event loop, never late: each call has one deadline, so that the service answers within 3 s."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.do = Operations(settings)
        self._durable = settings.durable_submit
        self._brisk = self._client(0.0)
        self._patient = self._client(SLICE)
        self._following = Following(lambda after, wait: self.run(self.do.news(after, wait)))

    def _client(self, patience: float) -> Any:  # execute_command is untyped in redis-py
        retry = redis.asyncio.retry.Retry(BACKOFF, 1, supported_errors=(ConnectionError,))
        options = connection_options(self.settings, patience)
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            self.settings.redis_url,
            max_connections=MOST_READERS if patience else MOST_CALLS,
            timeout=self.settings.redis_timeout,
            retry=retry,
            **options,
        )
        return redis.asyncio.Redis.from_pool(pool)

    async def run(self, call: Call[T]) -> T:
        """Send one call and read its reply."""
        async with promptly(self.settings.redis_timeout + call.patience):
            return call.parse(await self._send(call))

    async def _send(self, call: Call[Any]) -> Any:
        client = self._patient if call.patience else self._brisk
        if call.script is None:
            return await client.execute_command(*call.arguments)
        try:
            return await client.execute_command("EVALSHA", call.script.sha1, *call.arguments)
        except NoScriptError:
            return await client.execute_command("EVAL", call.script.text, *call.arguments)

    async def settle(self) -> None:
        """Wait until what was written before is on disk."""
        if not self._durable:
            return
        write, wait = self.do.settle()
        try:
            async with promptly(WRITE_SECONDS), self._brisk.pipeline(transaction=False) as pipe:
                pipe.execute_command(*write.arguments)
                pipe.execute_command(*wait.arguments)
                confirm_settled(wait.parse((await pipe.execute())[1]))
        except ResponseError as error:
            if not knows_no_waitaof(error):
                raise
            self._durable = False

    async def close(self) -> None:
        """Give the connections back."""
        await self._following.close()
        await self._brisk.aclose()
        await self._patient.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def submit(self, job: Submission, *, settle: bool = True) -> Submitted:
        """SUBMIT, and wait until it is on disk, unless the caller calls `settle` for several."""
        async with promptly(WRITE_SECONDS):
            submitted = await self.run(self.do.submit(job))
            if settle and needs_settling(submitted):
                await self.settle()
        return submitted

    async def get(self, id: str, tenant: str) -> Record | None:
        """The record with its result."""
        return await self.run(self.do.get(id, tenant))

    async def cancel(self, id: str, tenant: str) -> Record | None:
        """CANCEL; a terminal job comes back unchanged."""
        return await self.run(self.do.cancel(id, tenant))

    async def purge(self, id: str, tenant: str) -> Purge:
        """PURGE a terminal job."""
        return await self.run(self.do.purge(id, tenant))

    async def figure(self, digest: str) -> bytes | None:
        """The default picture of an answer."""
        return await self.run(self.do.figure(digest))

    async def events(self, id: str, after: str = "0-0", wait: float = 0.0) -> list[Event]:
        """What happened after an event; all who wait in this process share one reader."""
        call = self.do.events(id, after, 0)  # raises where `after` is no event
        return await (self._following.events(id, after, min(wait, MOST_WAIT)) if wait > 0 else self.run(call))

    async def admit(self, tenant: str, kind: str, size: int = 0) -> None:
        """ADMIT a file."""
        await self.run(self.do.admit(tenant, kind, size))

    async def usage(self, tenant: str) -> Usage:
        """What a tenant stores."""
        return await self.run(self.do.usage(tenant))

    async def put_upload(self, upload: Upload) -> Upload | None:
        """Remember that a tenant has a file."""
        return await self.run(self.do.put_upload(upload))

    async def find_upload(self, tenant: str, kind: str, sha256: str) -> Upload | None:
        """A file that this tenant stored."""
        return await self.run(self.do.find_upload(tenant, kind, sha256))

    async def drop_upload(self, tenant: str, kind: str, sha256: str) -> bool:
        """Forget a tenant's file."""
        return await self.run(self.do.drop_upload(tenant, kind, sha256))

    async def workers(self) -> list[WorkerInfo]:
        """The workers that live."""
        return await self.run(self.do.workers())

    async def fingerprints(self) -> list[Fingerprint]:
        """What decided the bytes of answers lately."""
        return await self.run(self.do.fingerprints())

    async def pulse(self) -> Pulse:
        """Counts, ages and shares."""
        return await self.run(self.do.pulse())

    async def ping(self) -> bool:
        """Whether Redis answers."""
        return await self.run(self.do.ping())

    async def list_uploads(self, tenant: str, kind: str, size: int, token: str | None) -> UploadPage:
        """A page of the files of a kind that a tenant stored."""
        return await self.run(self.do.list_uploads(tenant, kind, size, token))

    async def list(
        self,
        tenant: str,
        size: int = 20,
        token: str | None = None,
        kind: Kind | None = None,
        status: Status | None = None,
    ) -> Page:
        """A page of jobs, newest first."""
        return await self.run(self.do.list(tenant, size, token, kind, status))
