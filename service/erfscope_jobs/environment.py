"""Settings read from the environment at a part's start: what cannot be used is named, and so is a misspelt name."""

import difflib
import os
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from erfscope_contract.invalid import in_words
from erfscope_jobs.settings import Settings

S = TypeVar("S", bound=Settings)
PREFIX = "ERFSCOPE_"
CLIENTS = ("URL", "API_KEY", "CACHE_DIR", "DEBUG")  # variables that are no settings of a service or worker
SECRETS = ("redis_url", "broker_url", "blob_url")  # may hold a password, so their values are not shown
BAD_INPUT = 2  # exit code


class BadSettings(Exception):  # noqa: N818 – says what is bad
    """Settings that cannot be used; one line for each."""


def read(kind: type[S], **given: Any) -> S:
    """The settings of the environment with `given` over them; raises BadSettings."""
    try:
        return kind(**given)
    except ValidationError as error:
        lines = [_line(one) for one in error.errors(include_url=False)]
        raise BadSettings("\n".join(dict.fromkeys(lines))) from None


def misspelt(kind: type[Settings], environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that is no setting, and nearly one."""
    known = [*kind.model_fields, *map(str.lower, CLIENTS)]
    names = [name.removeprefix(PREFIX).lower() for name in environment if name.startswith(PREFIX)]
    near = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.85) for name in names if name not in known}
    return [
        f"{PREFIX}{name.upper()} is no setting and does nothing; did you mean {PREFIX}{found[0].upper()}?"
        for name, found in near.items()
        if found
    ]


def read_or_exit(kind: type[S]) -> S:
    """For a part's start: the settings, or words on stderr and exit code 2."""
    for line in misspelt(kind, os.environ):
        print(f"warning: {line}", file=sys.stderr)
    try:
        return read(kind)
    except BadSettings as error:
        print(f"erfscope cannot start:\n{error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def _line(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    option = " (--redis-url)" if name == "redis_url" else ""
    value = "" if name in SECRETS else f" is {error['input']!r}; it"
    return f"{PREFIX}{name.upper()}{option}{value} {in_words(error)}"
