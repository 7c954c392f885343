"""Rate limits: how often each caller may call, counted in Redis, so that all replicas count together."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence

import redis.asyncio
import redis.asyncio.retry
from limits import RateLimitItem, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from erfscope_contract.problem import ProblemError
from erfscope_jobs.settings import Settings
from erfscope_jobs.wire import connection_options

PATIENCE = 0.25  # seconds; the answer of a service whose Redis is away must not wait for its counters as well
MOST_CALLS = 16
log = logging.getLogger(__name__)


class Rates:
    """The limits of one installation; a caller's window slides, so bursts at its edge do not count half."""

    def __init__(self, settings: Settings, limits: Sequence[RateLimitItem]) -> None:
        self._limits = limits
        self._pool = redis.asyncio.BlockingConnectionPool.from_url(
            settings.redis_url,
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

    async def admit(self, caller: str, beyond: int = 0) -> None:
        """Count one call; or, of one that has been counted, what it is worth `beyond` that, at most the whole limit.

        Where Redis does not answer, the call passes: what it is about to do needs Redis too and says so better.

        Raises:
            ProblemError: `too-many-requests`, with `retry_after` in seconds.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                full = await self._full(caller, beyond)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("calls are not counted: %s", type(error).__name__)
            return
        if full is not None:
            limit, wait = full
            raise ProblemError(
                "too-many-requests", f"More than {limit}; come again in {wait} s.", retry_after=wait, limit=str(limit)
            )

    async def _full(self, caller: str, beyond: int) -> tuple[RateLimitItem, int] | None:
        for limit in self._limits:
            cost = min(beyond, limit.amount - 1) if beyond else 1
            if cost and not await self._limiter.hit(limit, caller, cost=cost):
                stats = await self._limiter.get_window_stats(limit, caller)
                first = stats.reset_time - time.time()  # when one call has room; the others come at the limit's pace
                return limit, max(1, math.ceil(first + (cost - 1) * limit.get_expiry() / limit.amount))
        return None

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.aclose()


def parse(text: str) -> list[RateLimitItem]:
    """`600/minute`, or several: `20/second; 600/minute`; ValueError says what is wrong."""
    return parse_many(text)
