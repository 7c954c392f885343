"""A job at hand: look, follow, wait, cancel. `JobHandle` blocks, `AsyncJobHandle` awaits."""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx2

from erfscope import _calls, _flows
from erfscope._errors import refuse
from erfscope._events import EventCursor
from erfscope._result import AsyncResult, Origin, Result
from erfscope._transport import AsyncTransport, Transport
from erfscope_contract.job import Job, Status
from erfscope_contract.result import ErfResult

Progress = Callable[[str, float], None]


class _Known:
    """The newest `Job` that was seen, and what can be read off it."""

    def __init__(self, job: Job) -> None:
        self.job = job

    @property
    def id(self) -> str:
        """The job's id; `client.job(id)` takes it up again, from anywhere."""
        return self.job.id

    @property
    def status(self) -> Status:
        """The status when last looked at; `refresh()` looks again."""
        return self.job.status

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.job.id} {self.job.status} {self.job.progress:.0%}>"


class JobHandle(_Known):
    """A submitted measurement."""

    def __init__(self, transport: Transport, job: Job) -> None:
        super().__init__(job)
        self._transport = transport

    def refresh(self) -> Job:
        """Look again."""
        self.job = self._transport.call(_calls.job(self.id))
        return self.job

    def cancel(self) -> Job:
        """Ask for an end; a job that has ended stays as it is."""
        self.job = self._transport.call(_calls.cancel(self.id))
        return self.job

    def purge(self) -> None:
        """Remove a job that has ended, with its result."""
        self._transport.call(_calls.purge(self.id))

    def events(self) -> Iterator[Job]:
        """The job after every change until it has ended; a broken connection is taken up where it broke."""
        cursor = EventCursor(self.id, self._transport.settings)
        while not cursor.ended:
            self._transport.pause(cursor.pause())
            try:
                with self._transport.open(cursor.call()) as (response, messages):
                    if not cursor.is_open(response):
                        continue
                    for message in messages:
                        if (job := cursor.read(message)) is not None:
                            self.job = job
                            yield job
                        if cursor.ended:
                            return
            except httpx2.TransportError as error:
                cursor.lost(error)

    def result(self, timeout: float | None = None, progress: Progress | None = None) -> Result:
        """Wait for the result.

        Raises JobFailed, JobCanceled or JobExpired by how the job ended, and ResultTimeout after `timeout`
        seconds (the job goes on). `progress(stage, share)` is called on the way; without a timeout it follows
        the job's events, with one the waiting is by polls.
        """
        if progress is not None and timeout is None:
            for job in self.events():
                progress(job.stage, job.progress)
            progress = None
        settings = self._transport.settings
        self.job = self._transport.drive(_flows.finished(settings, self.id, timeout, progress))
        call = self._transport.call
        origin = Origin(
            lambda unit, layer: call(_calls.map_array(self.id, unit, layer)),
            lambda scale, colormap, overlay: self.heatmap(scale, colormap, overlay=overlay),
        )
        return Result(_result_of(self.job), origin, self.id, self.job.model.name)

    def heatmap(self, scale: str | None = None, colormap: str | None = None, *, overlay: bool = False) -> bytes:
        """The picture as PNG; scale is linear, sqrt or log; `overlay` draws the map over the first image."""
        return self._transport.call(_calls.heatmap(self.id, scale, colormap, overlay))


class AsyncJobHandle(_Known):
    """A submitted measurement."""

    def __init__(self, transport: AsyncTransport, job: Job) -> None:
        super().__init__(job)
        self._transport = transport

    async def refresh(self) -> Job:
        """Look again."""
        self.job = await self._transport.call(_calls.job(self.id))
        return self.job

    async def cancel(self) -> Job:
        """Ask for an end; a job that has ended stays as it is."""
        self.job = await self._transport.call(_calls.cancel(self.id))
        return self.job

    async def purge(self) -> None:
        """Remove a job that has ended, with its result."""
        await self._transport.call(_calls.purge(self.id))

    async def events(self) -> AsyncIterator[Job]:
        """The job after every change until it has ended; a broken connection is taken up where it broke."""
        cursor = EventCursor(self.id, self._transport.settings)
        while not cursor.ended:
            await self._transport.pause(cursor.pause())
            try:
                async with self._transport.open(cursor.call()) as (response, messages):
                    if not cursor.is_open(response):
                        continue
                    async for message in messages:
                        if (job := cursor.read(message)) is not None:
                            self.job = job
                            yield job
                        if cursor.ended:
                            return
            except httpx2.TransportError as error:
                cursor.lost(error)

    async def result(self, timeout: float | None = None, progress: Progress | None = None) -> AsyncResult:
        """Wait for the result.

        Raises JobFailed, JobCanceled or JobExpired by how the job ended, and ResultTimeout after `timeout`
        seconds (the job goes on). `progress(stage, share)` is called on the way; without a timeout it follows
        the job's events, with one the waiting is by polls.
        """
        if progress is not None and timeout is None:
            async for job in self.events():
                progress(job.stage, job.progress)
            progress = None
        settings = self._transport.settings
        self.job = await self._transport.drive(_flows.finished(settings, self.id, timeout, progress))
        call = self._transport.call
        origin = Origin(
            lambda unit, layer: call(_calls.map_array(self.id, unit, layer)),
            lambda scale, colormap, overlay: self.heatmap(scale, colormap, overlay=overlay),
        )
        return AsyncResult(_result_of(self.job), origin, self.id, self.job.model.name)

    async def heatmap(self, scale: str | None = None, colormap: str | None = None, *, overlay: bool = False) -> bytes:
        """The picture as PNG; scale is linear, sqrt or log; `overlay` draws the map over the first image."""
        return await self._transport.call(_calls.heatmap(self.id, scale, colormap, overlay))


def _result_of(job: Job) -> ErfResult:
    if job.result is None:
        raise refuse("internal", f"job {job.id} has succeeded, but the service sent no result")
    return job.result
