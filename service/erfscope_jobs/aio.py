"""The ledger's face for an event loop; see `ledger.py` for the one for threads, `operations.py` for what they do."""

from typing import Any, Self, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from erfscope_contract.job import Status
from erfscope_jobs.call import Call
from erfscope_jobs.connections import connect_async, on_one_connection_async
from erfscope_jobs.digest import Fingerprint
from erfscope_jobs.following import SLICE, Following
from erfscope_jobs.operations import MOST_WAIT, Operations
from erfscope_jobs.partitions import Partitions
from erfscope_jobs.records import (
    Event,
    Glance,
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
    merged,
)
from erfscope_jobs.replies import FingerprintsChangedError
from erfscope_jobs.settings import Settings
from erfscope_jobs.together import Together
from erfscope_jobs.wire import (
    confirm_settled,
    knows_no_waitaof,
    needs_settling,
    promptly,
)
from erfscope_jobs.workers import WorkerInfo

T = TypeVar("T")
MOST_CALLS = 64  # connections of one event loop; further calls wait their turn
WRITE_SECONDS = 2.5  # a record, and its way to the disk
MOST_CHANGES = 4  # of the kinds of workers, during one submission
MOST_READERS = 4  # of events: one, and those that are on their way out


class AsyncLedger:
    """The ledger for an event loop, never late: each call has one deadline, so that the service answers within 3 s."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._parts = Partitions(settings)
        self._durable = settings.durable_submit
        self._fingerprints: list[Fingerprint] = []
        self._brisk = connect_async(settings, 0.0, MOST_CALLS)
        self._patient = connect_async(settings, SLICE, MOST_READERS + settings.partitions)
        self._following = [self._followers_of(at) for at in self._parts.all]
        self._settling = {at: self._settler_of(at) for at in self._parts.all}

    def _followers_of(self, at: Operations) -> Following:
        """One reader of events for each partition: one command reads keys of one slot only."""
        return Following(lambda after, wait: self.run(at.news(after, wait)))

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

    def _settler_of(self, at: Operations) -> Together[None, None]:
        """One wait for the disk for all who have written to a partition."""
        return Together(lambda _: self._settle(at))

    async def settle(self, tenant: str) -> None:
        """Wait until what was written before for a tenant is on disk; who waits at the same time shares the wait."""
        if self._durable:
            await self._settling[self._parts.of(tenant)].do(None)

    async def _settle(self, at: Operations) -> None:
        write, wait = at.settle()
        try:
            async with promptly(WRITE_SECONDS):
                reply = await on_one_connection_async(self._brisk, tuple(write.arguments), tuple(wait.arguments))
                confirm_settled(wait.parse(reply))
        except ResponseError as error:
            if not knows_no_waitaof(error):
                raise
            self._durable = False

    async def close(self) -> None:
        """Give the connections back."""
        for following in self._following:
            await following.close()
        await self._brisk.aclose()
        await self._patient.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def submit(self, job: Submission, *, settle: bool = True) -> Submitted:
        """SUBMIT, and wait until it is on disk, unless the caller calls `settle` for several."""
        async with promptly(WRITE_SECONDS):
            submitted = await self._submitted(self._parts.placed(job))
            if settle and needs_settling(submitted):
                await self.settle(job.tenant)
        return submitted

    async def _submitted(self, job: Submission) -> Submitted:
        """SUBMIT, with answers that workers of known kinds gave: one round trip while the kinds are the same."""
        at = self._parts.of(job.tenant)
        for _ in range(MOST_CHANGES):
            try:
                return await self.run(at.submit(job, self._fingerprints))
            except FingerprintsChangedError as change:
                self._fingerprints = change.known
        return await self.run(at.submit(job))  # they change all the time: then without looking for an answer

    async def get(self, id: str, tenant: str) -> Record | None:
        """The record with its result."""
        return await self.run(self._parts.of(tenant).get(id, tenant))

    async def glance(self, id: str, tenant: str) -> Glance | None:
        """What a 304 about a job depends on."""
        return await self.run(self._parts.of(tenant).glance(id, tenant))

    async def cancel(self, id: str, tenant: str) -> Record | None:
        """CANCEL; a terminal job comes back unchanged."""
        return await self.run(self._parts.of(tenant).cancel(id, tenant))

    async def purge(self, id: str, tenant: str) -> Purge:
        """PURGE a terminal job."""
        return await self.run(self._parts.of(tenant).purge(id, tenant))

    async def withdraw(self, id: str, tenant: str, holder: str) -> bool:
        """WITHDRAW a job that was submitted with this holder."""
        return await self.run(self._parts.of(tenant).withdraw(id, tenant, holder))

    async def figure(self, tenant: str, digest: str) -> bytes | None:
        """The default picture of an answer of a tenant."""
        return await self.run(self._parts.of(tenant).figure(digest))

    async def events(self, id: str, after: str = "0-0", wait: float = 0.0) -> list[Event]:
        """What happened after an event; all who wait in this process share one reader."""
        call = self._parts.of_job(id).events(id, after, 0)  # raises where `after` is no event
        if wait <= 0:
            return await self.run(call)
        return await self._following[self._parts.number_of_job(id)].events(id, after, min(wait, MOST_WAIT))

    async def admit(self, tenant: str, kind: str, size: int = 0) -> None:
        """ADMIT a file."""
        await self.run(self._parts.of(tenant).admit(tenant, kind, size))

    async def usage(self, tenant: str) -> Usage:
        """What a tenant stores."""
        return await self.run(self._parts.of(tenant).usage(tenant))

    async def put_upload(self, upload: Upload) -> Upload | None:
        """Remember that a tenant has a file."""
        return await self.run(self._parts.of(upload.tenant).put_upload(upload))

    async def find_upload(self, tenant: str, kind: str, sha256: str) -> Upload | None:
        """A file that this tenant stored."""
        return await self.run(self._parts.of(tenant).find_upload(tenant, kind, sha256))

    async def drop_upload(self, tenant: str, kind: str, sha256: str) -> bool:
        """Forget a tenant's file."""
        return await self.run(self._parts.of(tenant).drop_upload(tenant, kind, sha256))

    async def workers(self) -> list[WorkerInfo]:
        """The workers that live."""
        return await self.run(self._parts.first.workers())

    async def fingerprints(self) -> list[Fingerprint]:
        """What decided the bytes of answers lately."""
        return await self.run(self._parts.first.fingerprints())

    async def pulse(self) -> Pulse:
        """Counts, ages and shares."""
        return merged([await self.run(at.pulse()) for at in self._parts.all])

    async def ping(self) -> bool:
        """Whether Redis answers."""
        return await self.run(self._parts.first.ping())

    async def list_uploads(self, tenant: str, kind: str, size: int, token: str | None) -> UploadPage:
        """A page of the files of a kind that a tenant stored."""
        return await self.run(self._parts.of(tenant).list_uploads(tenant, kind, size, token))

    async def list(
        self,
        tenant: str,
        size: int = 20,
        token: str | None = None,
        kind: Kind | None = None,
        status: Status | None = None,
    ) -> Page:
        """A page of jobs, newest first."""
        return await self.run(self._parts.of(tenant).list(tenant, size, token, kind, status))
