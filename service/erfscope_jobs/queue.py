"""The doorbell: a Celery message says "something of this kind waits", by task name; a lost one loses nothing.

Which job is meant the ledger decides when a worker hears the message, so that tenants take turns.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import celery
import redis
from celery.exceptions import CeleryError
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError, OperationalError

from erfscope_jobs.records import Kind
from erfscope_jobs.settings import Settings
from erfscope_jobs.together import Together
from erfscope_jobs.wire import OUTAGES, connection_options

LOOK = "erfscope.look"
log = logging.getLogger(__name__)


def queue_of(settings: Settings, kind: Kind) -> str:
    """A queue per kind, so that a short inspection never waits behind long measurements of others."""
    return f"{settings.namespace}.{kind}"


def queues(settings: Settings) -> dict[str, str]:
    """The queues that a worker listens to, by kind of job."""
    return {str(kind): queue_of(settings, kind) for kind in Kind}


def bells(settings: Settings) -> list[Any]:
    """The same as kombu declares them; ringers and listeners must agree."""
    queue: Any = Queue  # kombu has no types
    exchange: Any = Exchange
    return [queue(name, exchange(name, type="direct"), routing_key=name) for name in queues(settings).values()]


def messages_url(settings: Settings) -> str:
    """The Redis that has Celery's messages: the ledger's, unless that is a cluster or another one is named."""
    return settings.broker_url or settings.redis_url


def broker_url(settings: Settings) -> str:
    """The Redis of messages as kombu spells it (unix sockets are redis+socket:// there)."""
    url = messages_url(settings)
    if not url.startswith("unix://"):
        return url
    place, _, query = url.removeprefix("unix://").partition("?")
    database = query.removeprefix("db=") if query.startswith("db=") else "0"
    return f"redis+socket://{place}?virtual_host={database}"


def broker_options(settings: Settings) -> dict[str, Any]:
    """Waits that end: kombu's default publish blocks for ever on a frozen Redis."""
    return {
        "socket_timeout": settings.redis_timeout,
        "socket_connect_timeout": settings.redis_timeout,
        "global_keyprefix": "",
        "retry_on_timeout": False,
    }


class Doorbell:
    """Publishes "something of this kind waits" for the workers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lists = redis.Redis.from_url(messages_url(settings), **connection_options(settings))
        self._rounds = Together(self._ring_round)
        self._app = celery.Celery("erfscope", broker=broker_url(settings), set_as_current=False)
        self._app.conf.update(
            broker_transport_options=broker_options(settings),
            broker_connection_timeout=settings.redis_timeout,
            task_queues=bells(settings),
            task_publish_retry=False,
            task_ignore_result=True,
            broker_pool_limit=4,
        )

    def ring(self, id: str, kind: Kind) -> bool:
        """Publish; False when that failed, which is no error: the reaper rings again."""
        return self.ring_all([(id, kind)])

    def ring_all(self, jobs: Sequence[tuple[str, Kind]]) -> bool:
        """Publish for each of several jobs over one connection; False when that failed for one, and those after it."""
        try:
            with self._app.producer_or_acquire() as producer:
                for _, kind in jobs:
                    queue = queue_of(self._settings, kind)
                    options = {"queue": queue, "producer": producer, "retry": False, "ignore_result": True}
                    self._app.send_task(LOOK, args=[str(kind)], **options)
        except (OperationalError, KombuError, CeleryError, *OUTAGES) as error:
            log.warning("could not ring for job %s: %s", jobs[0][0], type(error).__name__)
            return False
        return True

    def missing(self, waiting: Mapping[str, int]) -> dict[str, int]:
        """How many messages fewer of each kind there are than jobs wait; nothing where the broker is away.

        A message says only that something of a kind waits, so any message serves any job of that kind: a list never
        needs more of them than jobs wait. What is beyond that (of jobs that were canceled) is cut off.
        """
        lists = queues(self._settings)
        try:
            with self._lists.pipeline(transaction=False) as pipe:
                for name in lists.values():
                    pipe.llen(name)
                messages = dict(zip(lists, pipe.execute(), strict=True))
                for kind in (kind for kind in lists if messages[kind] > waiting.get(kind, 0)):
                    pipe.ltrim(lists[kind], 1, waiting.get(kind, 0))
                pipe.execute()
        except OUTAGES as error:
            log.warning("could not count messages: %s", type(error).__name__)
            return {}
        return {kind: waiting.get(kind, 0) - count for kind, count in messages.items()}

    async def ring_async(self, id: str, kind: Kind) -> bool:
        """`ring`, off the event loop; those who ring at the same time share a thread and a connection."""
        return await self._rounds.do((id, kind))

    async def _ring_round(self, jobs: list[tuple[str, Kind]]) -> bool:
        return await asyncio.to_thread(self.ring_all, jobs)

    def close(self) -> None:
        """Give the connections back."""
        self._app.close()
        self._lists.close()
