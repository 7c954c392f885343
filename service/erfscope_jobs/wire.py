"""How we speak with Redis: bounded waits, one retry of a broken connection, one problem for every outage."""

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

from redis import exceptions
from redis.backoff import ConstantBackoff

from erfscope_contract.duration import lasting
from erfscope_contract.problem import ProblemError
from erfscope_jobs.records import Submitted
from erfscope_jobs.settings import Settings

# ResponseErrors that say "not now" rather than "you asked wrongly": redis-py has classes for some of Redis' codes and
# takes the code off their words; of the others the words begin with it, except in a pipeline.
NOT_NOW = (
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,  # MASTERDOWN, too
    exceptions.TryAgainError,
)
NOT_NOW_WORDS = ("OOM ", "BUSY ", "MISCONF ", "NOREPLICAS ", "READONLY ")
BACKOFF = ConstantBackoff(0.05)  # a pooled connection that Redis closed is opened again, once
OUTAGES = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.RedisClusterException,  # no node of a cluster answers, or a slot has none
    OSError,
)


def unavailable(reason: object) -> ProblemError:
    """What callers see of an outage."""
    return ProblemError(
        "unavailable", "The job store cannot be reached; try again soon.", retry_after=2, reason=str(reason)
    )


@contextlib.contextmanager
def outages() -> Iterator[None]:
    """Turn every way in which Redis can be away, or full, into the one problem `unavailable`."""
    try:
        yield
    except OUTAGES as error:
        raise unavailable(type(error).__name__) from error
    except exceptions.ResponseError as error:
        if isinstance(error, NOT_NOW) or any(word in str(error) for word in NOT_NOW_WORDS):
            raise unavailable(str(error)) from error
        raise
    except (AttributeError, RuntimeError) as error:
        if is_closed_meanwhile(error):
            raise unavailable("the connection was closed meanwhile") from error
        raise


def is_closed_meanwhile(error: AttributeError | RuntimeError) -> bool:
    """Whether redis-py stumbled over a connection that was closed under its hands.

    Its cluster client closes the connections to a node that failed, one that another task is opening included, and that
    task finds None where its writer was (redis-py 8.1, `asyncio/connection.py`), or writes to a transport that is
    closed, which uvloop refuses by a RuntimeError.
    """
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, AttributeError):
        return error.obj is None and modules[-1].startswith("redis.")
    return "closed" in str(error) and any(module.startswith("redis.") for module in modules)


@contextlib.asynccontextmanager
async def promptly(seconds: float) -> AsyncIterator[None]:
    """`outages`, and a deadline over all of it.

    redis-py's timeouts hold per socket operation: when Redis is frozen, a call that has to connect again waits for
    the handshake, and once more for its retry (measured: 4 s at a timeout of 2 s, 32 s for a patient connection).
    """
    try:
        async with asyncio.timeout(seconds):
            with outages():
                yield
    except TimeoutError as error:
        raise unavailable(f"no answer within {lasting(seconds)}") from error


def knows_no_waitaof(error: exceptions.ResponseError) -> bool:
    """An older server, or one without AOF: then durability is the operator's affair (appendfsync always)."""
    return "unknown command" in str(error).lower() or "appendonly" in str(error).lower()


def confirm_settled(copies: int) -> None:
    """Raise when the disk did not confirm in time; the job may exist: the same Idempotency-Key finds it."""
    if copies < 1:
        raise unavailable("the disk did not confirm the write in time")


def connection_options(settings: Settings, patience: float = 0.0) -> dict[str, Any]:
    """RESP2 (scripts see the same replies everywhere), bounded waits."""
    return {
        "protocol": 2,
        "socket_timeout": settings.redis_timeout + patience,
        "socket_connect_timeout": settings.redis_timeout,
        "health_check_interval": 15,
    }


def needs_settling(submitted: Submitted) -> bool:
    """Work must outlive a crash, and that it was there before does not say that it is on disk (a repeated call may be
    the answer to a first that the disk did not confirm); an answer can be had again by asking again.
    """
    return not submitted.record.status.is_terminal
