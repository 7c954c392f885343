"""One exchange with Redis as a value: what to send, and how to read the reply. Does no input or output."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")
SCRIPTS = Path(__file__).parent / "scripts"
Plain = bytes | str | int | float


@dataclass(frozen=True)
class Script:
    """A Lua script and its sha1, by which the server knows it."""

    text: str
    sha1: str

    @classmethod
    def of(cls, text: str) -> "Script":
        """A script by its text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def script(name: str) -> Script:
    """scripts/<name>.lua behind the common part."""
    return Script.of("".join((SCRIPTS / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name)))


@dataclass(frozen=True)
class Call(Generic[T]):
    """A script (or, without one, a plain command), its arguments, and the reader of its reply.

    `patience` is how many seconds the server may hold the reply back (XREAD BLOCK).
    """

    script: Script | None
    arguments: Sequence[Plain]
    parse: Callable[[Any], T]
    patience: float = 0.0


def scripted(name: str, namespace: str, named: Mapping[str, Any], parse: Callable[[Any], T], *raw: bytes) -> Call[T]:
    """A call of scripts/<name>.lua; a named argument that is None is left out (cjson's null is truthy)."""
    given = {key: value for key, value in named.items() if value is not None}
    return Call(script(name), (1, namespace, json.dumps(given), *raw), parse)


def plain(parse: Callable[[Any], T], *command: Plain, patience: float = 0.0) -> Call[T]:
    """A call of an ordinary command."""
    return Call(None, command, parse, patience)
