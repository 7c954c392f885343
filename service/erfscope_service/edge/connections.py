"""How many connections a replica holds, in all and of one address: who does nothing makes room for who comes."""

import resource
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Protocol

RESERVE = 256  # descriptors for the store, files and event streams' ends
LEAST, MOST = 64, 10_000
MOST_DESCRIPTORS = 65_536


class Connection(Protocol):
    """What is asked of a connection."""

    @property
    def is_idle(self) -> bool:
        """No request of it is being answered."""

    def drop(self) -> None:
        """End it at once."""


class Connections:
    """Counts open connections; over a limit the one that has been idle for longest is dropped, or else the new one."""

    def __init__(self, most: int, most_each: int, proxies: Sequence[str] = ()) -> None:
        self._most, self._most_each = most, most_each
        self._proxies = [ip_network(place) for place in proxies]
        self._open: dict[Connection, str] = {}  # in the order of their last use
        self._each: Counter[str] = Counter()

    def opened(self, connection: Connection, address: str) -> None:
        """Count a new connection, and make room for it."""
        self._open[connection] = address
        self._each[address] += 1
        if self._each[address] > self._most_each and not self._is_proxy(address):
            self._drop_one(connection, address)
        elif len(self._open) > self._most:
            self._drop_one(connection, None)

    def used(self, connection: Connection) -> None:
        """Something came over it: others are dropped before."""
        if address := self._open.pop(connection, None):
            self._open[connection] = address

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        address = self._open.pop(connection, None)
        if address is not None:
            self._each[address] -= 1
            if not self._each[address]:
                del self._each[address]

    def __len__(self) -> int:
        return len(self._open)

    def _drop_one(self, new: Connection, address: str | None) -> None:
        others = (one for one, where in self._open.items() if one is not new and address in (None, where))
        victim = next((one for one in others if one.is_idle), new)
        self.closed(victim)
        victim.drop()

    def _is_proxy(self, address: str) -> bool:
        """All callers come from a proxy's one address."""
        try:
            place = ip_address(address)
        except ValueError:  # a Unix socket
            return True
        return any(place in network for network in self._proxies)


def raise_descriptor_limit() -> int:
    """Take as many descriptors as this process may have; how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def fitting(descriptors: int) -> int:
    """How many connections so many descriptors leave room for."""
    return min(max(descriptors - RESERVE, LEAST), MOST)
