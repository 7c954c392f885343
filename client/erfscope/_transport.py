"""The only place that touches the network: runs flows, blocking (`Transport`) or async (`AsyncTransport`).

A flow is a generator that yields what it needs, an `Attempt` at a call or a `Pause`, and returns its answer.
All decisions stand in flows, once; the two transports differ in how they send and wait, and in nothing else.
"""

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias, TypeVar

import httpx2

from erfscope._calls import Call, conclude
from erfscope._errors import ConnectionFailed
from erfscope._retry import RetryPolicy
from erfscope_contract.problem import ProblemError
from erfscope_contract.version import __version__

T = TypeVar("T")
EVENT_LIMIT = 32 << 20  # bytes; the last event of a job carries its whole request and result, a megabyte each
Outcome: TypeAlias = httpx2.Response | httpx2.TransportError


@dataclass(frozen=True)
class Attempt:
    """Send this once; the answer is a response, or the transport error as a value."""

    call: Call[Any]


@dataclass(frozen=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


Flow: TypeAlias = Generator[Attempt | Pause, Any, T]


@dataclass(frozen=True)
class Settings:
    """Where the service is, and how patient to be with it."""

    base_url: str
    api_key: str | None
    timeout: float
    policy: RetryPolicy

    def http(self) -> dict[str, Any]:
        """Keyword arguments of the HTTP client."""
        headers = {"User-Agent": f"erfscope-python/{__version__}", "Accept": "*/*"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        # A proxy from the environment would answer for a service on this very machine.
        url = httpx2.URL(self.base_url)
        is_local = url.host in ("127.0.0.1", "localhost", "::1")
        # Without TLS nobody's certificate is looked at: reading those of the system takes as long as ten calls.
        trusts_nobody = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)} if url.scheme == "http" else {}
        return {
            **trusts_nobody,
            "base_url": self.base_url,
            "headers": headers,
            "timeout": self.timeout,
            "trust_env": not is_local,
        }

    def hidden(self, text: str) -> str:
        """The text without the API key, should it stand there."""
        return text.replace(self.api_key, "…") if self.api_key else text

    def unreachable(self, error: httpx2.TransportError, attempts: int) -> ConnectionFailed:
        """The transport's error in words that help."""
        reason = re.sub(r"\[Errno -?\d+\] ", "", self.hidden(str(error))) or type(error).__name__
        return ConnectionFailed(
            ProblemError(
                "connection",
                f"no answer from {self.base_url} after {attempts} attempt{'s' * (attempts != 1)} ({reason}). "
                "Start a service with `erfscope up`, or name another with base_url, --url or ERFSCOPE_URL.",
                base_url=self.base_url,
            ).problem
        )


def exchange(call: Call[T], settings: Settings) -> Flow[T]:
    """One call with its retries; raises APIError or ConnectionFailed."""
    for attempt in count():
        outcome: Outcome = yield Attempt(call)
        delay = settings.policy.delay(attempt, outcome)
        if delay is not None:
            yield Pause(delay)
        elif isinstance(outcome, httpx2.TransportError):
            raise settings.unreachable(outcome, attempt + 1) from outcome
        else:
            return conclude(call, outcome)
    raise AssertionError("count() does not end")


def _arguments(call: Call[Any], timeout: float) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": call.path,
        "params": call.params,
        "headers": call.headers,
        "timeout": httpx2.Timeout(timeout, read=timeout + call.patience),
    }


class Transport:
    """Sends and waits by blocking."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._http = httpx2.Client(**settings.http())

    def drive(self, flow: Flow[T]) -> T:
        """Run a flow to its answer."""
        answer: Outcome | None = None
        with closing(flow):
            while True:
                try:
                    action = flow.send(answer)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                answer = self._perform(action)

    def call(self, call: Call[T]) -> T:
        """One call with its retries."""
        return self.drive(exchange(call, self.settings))

    @contextmanager
    def open(self, call: Call[Any]) -> Iterator[tuple[httpx2.Response, Iterator[httpx2.ServerSentEvent]]]:
        """A response whose events are read as they come."""
        with self._http.stream(**_arguments(call, self.settings.timeout)) as response:
            if not response.is_success:
                response.read()
            yield response, iter(httpx2.EventSource(response, EVENT_LIMIT))

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _perform(self, action: Attempt | Pause) -> Outcome | None:
        if isinstance(action, Pause):
            self.pause(action.seconds)
            return None
        body = action.call.body
        try:
            content = body() if callable(body) else body
            return self._http.request(**_arguments(action.call, self.settings.timeout), content=content)
        except httpx2.TransportError as error:
            return error


class AsyncTransport:
    """Sends and waits with await."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._http = httpx2.AsyncClient(**settings.http())

    async def drive(self, flow: Flow[T]) -> T:
        """Run a flow to its answer."""
        answer: Outcome | None = None
        with closing(flow):
            while True:
                try:
                    action = flow.send(answer)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                answer = await self._perform(action)

    async def call(self, call: Call[T]) -> T:
        """One call with its retries."""
        return await self.drive(exchange(call, self.settings))

    @asynccontextmanager
    async def open(
        self, call: Call[Any]
    ) -> AsyncIterator[tuple[httpx2.Response, AsyncIterator[httpx2.ServerSentEvent]]]:
        """A response whose events are read as they come."""
        async with self._http.stream(**_arguments(call, self.settings.timeout)) as response:
            if not response.is_success:
                await response.aread()
            yield response, aiter(httpx2.EventSource(response, EVENT_LIMIT))

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _perform(self, action: Attempt | Pause) -> Outcome | None:
        if isinstance(action, Pause):
            await self.pause(action.seconds)
            return None
        body = action.call.body
        try:
            content = _chunks(body) if callable(body) else body
            return await self._http.request(**_arguments(action.call, self.settings.timeout), content=content)
        except httpx2.TransportError as error:
            return error


async def _chunks(body: Callable[[], Iterator[bytes]]) -> AsyncIterator[bytes]:
    for chunk in body():
        yield chunk
