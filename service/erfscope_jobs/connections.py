"""Clients of one Redis or of a Redis Cluster, for threads and for an event loop; two commands over one connection."""

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.retry
from redis.exceptions import ClusterDownError, ConnectionError, SlotNotCoveredError
from redis.retry import Retry

from erfscope_jobs.call import Plain
from erfscope_jobs.settings import CLUSTER, Settings
from erfscope_jobs.wire import BACKOFF, connection_options

MOVES = 3  # attempts of a call while a cluster gives a slot to another node
Client = Any  # execute_command is untyped in redis-py
Command = tuple[Plain, ...]


class _Cluster(redis.RedisCluster):
    """One that asks a silent node once, as a client of one Redis does: others wait for this thread's next call."""

    ERRORS_ALLOW_RETRY = (ConnectionError, ClusterDownError, SlotNotCoveredError)  # type: ignore[assignment]  # shorter


def node_url(settings: Settings) -> str:
    """The address as redis-py spells it; of a cluster that of one node, which names the others."""
    return settings.redis_url.replace(CLUSTER, "", 1)


def connect(settings: Settings, patience: float) -> Client:
    """A client for threads."""
    options = connection_options(settings, patience)
    if settings.is_cluster:
        return _Cluster.from_url(node_url(settings), retry=Retry(BACKOFF, MOVES), **options)
    retry = Retry(BACKOFF, 1, supported_errors=(ConnectionError,))
    return redis.Redis.from_url(settings.redis_url, retry=retry, **options)


def connect_async(settings: Settings, patience: float, most: int) -> Client:
    """A client for an event loop, of at most so many connections (to each node of a cluster)."""
    options = connection_options(settings, patience)
    if settings.is_cluster:
        again = redis.asyncio.retry.Retry(BACKOFF, MOVES)
        return redis.asyncio.RedisCluster.from_url(node_url(settings), retry=again, max_connections=most, **options)
    retry = redis.asyncio.retry.Retry(BACKOFF, 1, supported_errors=(ConnectionError,))
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        settings.redis_url, max_connections=most, timeout=settings.redis_timeout, retry=retry, **options
    )
    return redis.asyncio.Redis.from_pool(pool)


def on_one_connection(client: Client, first: Command, second: Command) -> Any:
    """The reply to the second of two commands that go to the node of the first one's key, over one connection."""
    if isinstance(client, redis.RedisCluster):
        node = client.get_node_from_key(str(first[1]))  # type: ignore[no-untyped-call]  # redis-py
        client = client.get_redis_connection(node)
    with client.pipeline(transaction=False) as pipe:
        pipe.execute_command(*first)
        pipe.execute_command(*second)
        return pipe.execute()[1]


async def on_one_connection_async(client: Client, first: Command, second: Command) -> Any:
    """`on_one_connection`, for an event loop."""
    if isinstance(client, redis.asyncio.RedisCluster):
        await client.initialize()
        node: Any = client.get_node_from_key(str(first[1]))
        pipe = [redis.asyncio.cluster.PipelineCommand(n, *command) for n, command in enumerate((first, second))]
        await node.execute_pipeline(pipe)
        if isinstance(pipe[1].result, Exception):
            raise pipe[1].result
        return pipe[1].result
    async with client.pipeline(transaction=False) as both:
        both.execute_command(*first)
        both.execute_command(*second)
        return (await both.execute())[1]
