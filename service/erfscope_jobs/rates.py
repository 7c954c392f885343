"""Rate limits: how often each caller may call, counted in Redis, so that all replicas count together."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import redis.asyncio
import redis.asyncio.retry
from limits import RateLimitItem, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from erfscope_contract.problem import ProblemError
from erfscope_jobs.queue import messages_url
from erfscope_jobs.settings import Settings
from erfscope_jobs.wire import connection_options

PATIENCE = 0.25  # seconds; the answer of a service whose Redis is away must not wait for its counters as well
MOST_CALLS = 16
OFF = "off"  # the rate of those whose calls are not counted
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Allowance:
    """A caller has `left` of `most` calls in a window of so many seconds, and more of them in `seconds`."""

    most: int
    window: int
    left: int
    seconds: int


class TooManyRequestsError(ProblemError):
    """`too-many-requests`, with what is left."""

    def __init__(self, allowance: Allowance | None, limit: RateLimitItem, wait: int) -> None:
        super().__init__(
            "too-many-requests",
            f"Rate limit of {limit.amount} requests per {_window(limit)} exceeded. Retry in {wait} s.",
            retry_after=wait,
            limit=str(limit),
        )
        self.allowance = allowance


class Rates:
    """Counts the calls of an installation; a caller's window slides, so bursts at its edge do not count half."""

    def __init__(self, settings: Settings) -> None:
        self._pool = redis.asyncio.BlockingConnectionPool.from_url(
            messages_url(settings),  # counters live for minutes, and their script reads two keys: a plain Redis
            max_connections=MOST_CALLS,
            timeout=PATIENCE,
            retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
            **connection_options(settings),
        )
        storage = RedisStorage(
            "async+redis://",  # only names the kind: the connections are the pool's
            implementation="redispy",
            key_prefix=f"{settings.namespace}:rate",
            connection_pool=self._pool,  # type: ignore[arg-type]  # the bridge takes it out of its typed options
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def admit(self, caller: str, limits: Sequence[RateLimitItem], beyond: int = 0) -> Allowance | None:
        """Count one call; or, of one that has been counted, what it is worth `beyond` that, at most the whole limit.

        What is left of the one of `limits` that is nearest to its end; None without limits. Where Redis does not
        answer, the call passes: what it is about to do needs Redis too and says so better.

        Raises:
            ProblemError: `too-many-requests`, with `retry_after` in seconds.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                full = await self._full(caller, limits, beyond)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("calls are not counted: %s", type(error).__name__)
            return None
        allowance = await self._left_in_time(caller, limits)
        if full is not None:
            limit, wait = full
            raise TooManyRequestsError(allowance, limit, wait)
        return allowance

    async def _left_in_time(self, caller: str, limits: Sequence[RateLimitItem]) -> Allowance | None:
        """What is left, where Redis says so soon: only a header depends on it."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._left(caller, limits)
        except (RedisError, OSError, TimeoutError):
            return None

    async def _left(self, caller: str, limits: Sequence[RateLimitItem]) -> Allowance | None:
        """What the caller has left under each limit, the least of it."""
        allowances = []
        for limit in limits:
            stats = await self._limiter.get_window_stats(limit, caller)
            seconds = max(1, math.ceil(stats.reset_time - time.time()))
            allowances.append(Allowance(limit.amount, limit.get_expiry(), max(0, stats.remaining), seconds))
        return min(allowances, key=lambda one: one.left / one.most, default=None)

    async def _full(
        self, caller: str, limits: Sequence[RateLimitItem], beyond: int
    ) -> tuple[RateLimitItem, int] | None:
        for limit in limits:
            cost = min(beyond, limit.amount - 1) if beyond else 1
            if cost and not await self._limiter.hit(limit, caller, cost=cost):
                stats = await self._limiter.get_window_stats(limit, caller)
                first = stats.reset_time - time.time()  # when one call has room; the others come at the limit's pace
                return limit, max(1, math.ceil(first + (cost - 1) * limit.get_expiry() / limit.amount))
        return None

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.aclose()


def _window(limit: RateLimitItem) -> str:
    """`minute`, or `5 minutes`."""
    return limit.GRANULARITY.name if limit.multiples == 1 else f"{limit.multiples} {limit.GRANULARITY.name}s"


@lru_cache(maxsize=1024)  # each call of a key with a rate needs it
def parse(text: str) -> tuple[RateLimitItem, ...]:
    """`600/minute`, or several: `20/second; 600/minute`; `off` is none. ValueError says what a rate is."""
    try:
        return () if text == OFF else tuple(parse_many(text))
    except ValueError:
        raise ValueError(
            "must be off, or calls per second, minute, hour or day such as 600/minute; several with ; between them"
        ) from None
