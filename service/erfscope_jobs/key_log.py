"""What happens to API keys: when each was last used, and the notes of what was done to them, which a service logs.

Keys are made, limited and revoked by a command, whose own output no collector of logs sees. So the command leaves a
note in Redis, and one of the services takes it out and logs it, within about a second.
"""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

from erfscope_jobs.call import Call, plain
from erfscope_jobs.digest import canonical
from erfscope_jobs.keys import ApiKey

USE_SECONDS = 60.0
"""How exact the time of the last use is: a replica writes it at most so often for each key."""

_YEAR = 365 * 24 * 3600 * 1000  # milliseconds: neither time nor note stays for ever
_MOST = 100  # notes taken at a time


Event = Literal["created", "limited", "revoked"]


@dataclass(frozen=True)
class KeyNote:
    """That a key was created, given another rate or revoked: by which user, when (ISO 8601, UTC)."""

    event: Event
    key: str
    name: str
    tenant: str
    scope: str
    by: str
    at: str

    @classmethod
    def of(cls, event: Event, key: ApiKey) -> Self:
        """A note by this process' user, now; by number, for a container's user has no name."""
        by = f"uid {os.getuid()} on {socket.gethostname()}"
        return cls(event, key.id, key.name, key.tenant, str(key.scope), by, _now())

    @property
    def facts(self) -> dict[str, str]:
        """All but the event, for a log line."""
        return {name: value for name, value in asdict(self).items() if name != "event"}


def leave(space: str, note: KeyNote) -> Iterator[Call[bool]]:
    """The calls, one after the other, that leave a note for the services."""
    yield plain(bool, "RPUSH", _notes(space), canonical(asdict(note)).decode())
    yield plain(bool, "PEXPIRE", _notes(space), _YEAR)


def take(space: str) -> Call[list[KeyNote]]:
    """Take the oldest notes out; each is read once."""
    return plain(_read, "LPOP", _notes(space), _MOST)


def used(space: str, id: str) -> Call[bool]:
    """Note that a key was used now."""
    return plain(bool, "SET", _use(space, id), _now(), "PX", _YEAR)


def last_use(space: str, id: str) -> Call[str | None]:
    """When a key was last used (ISO 8601, UTC); None where it was not within a year."""
    return plain(lambda reply: reply.decode() if reply else None, "GET", _use(space, id))


def forget_use(space: str, id: str) -> Call[bool]:
    """Forget when a key was used."""
    return plain(bool, "DEL", _use(space, id))


def _read(reply: Any) -> list[KeyNote]:
    return [KeyNote(**json.loads(text)) for text in reply or ()]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _notes(space: str) -> str:
    return f"{space}:keynotes"


def _use(space: str, id: str) -> str:
    return f"{space}:keyuse:{id}"
