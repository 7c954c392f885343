"""Doors to the network and to services on this machine."""

import os
import socket
from collections.abc import Callable

from erfscope_worker.doors.door import Door, Place, libc

CHANNEL = 3


def tcp() -> socket.socket:
    """A TCP socket; no name is looked up, for that would import modules in the jail."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def datagram(place: Place) -> object:
    """A datagram to this machine."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", place.port))


def unix_stream(place: Place) -> object:
    """A connection to a Unix socket."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(place.address)
    return place.address


def send_elsewhere(place: Place) -> object:
    """Bytes through the channel to another address."""
    return libc("sendto", CHANNEL, b"", 0, 0x4000, 0, 0)


def send_descriptor(place: Place) -> object:
    """A descriptor through the channel."""
    return libc("sendmsg", CHANNEL, 0, 0x4000)


def of_family(family: int) -> Callable[[Place], object]:
    """A socket of a family that few think of."""
    return lambda place: libc("socket", family, DATAGRAM, 0)


DATAGRAM = 2
FAMILIES = {10: "IPv6", 15: "keys", 17: "packets", 31: "Bluetooth", 38: "the kernel's ciphers", 40: "virtual machines"}

DOORS = [
    Door("network", "connect to a port", lambda place: tcp().connect(("127.0.0.1", place.port))),
    Door("network", "listen at a port", lambda place: tcp().bind(("127.0.0.1", 0))),
    Door("network", "send a datagram", datagram),
    Door("network", "connect to a Unix socket", unix_stream),
    Door("network", "a pair of sockets", lambda place: socket.socketpair()),
    Door("network", "a netlink socket", lambda place: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    *(Door("network", f"a socket of family {family} ({name})", of_family(family)) for family, name in FAMILIES.items()),
    Door("network", "send through the channel (sendto)", send_elsewhere),
    Door("network", "send a descriptor (sendmsg)", send_descriptor),
    Door("network", "receive a descriptor (recvmsg)", lambda place: libc("recvmsg", CHANNEL, 0, 0x40)),
    Door("network", "options of the channel", lambda place: libc("setsockopt", CHANNEL, 1, 8, 0, 0)),
    Door("network", "close the channel for others", lambda place: libc("shutdown", os.dup(0), 0)),
]
