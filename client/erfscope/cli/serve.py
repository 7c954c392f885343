"""`erfscope serve` and what it shares with `erfscope worker`: a thin start of the part's own module."""

import os
import sys
from importlib.util import find_spec
from typing import Annotated, NoReturn

import typer

from erfscope._errors import refuse

RedisUrl = Annotated[
    str | None,
    typer.Option("--redis-url", envvar="ERFSCOPE_REDIS_URL", help="Where the ledger is: redis://… or unix://…"),
]


def serve(
    redis_url: RedisUrl = None,
    host: Annotated[str | None, typer.Option(envvar="ERFSCOPE_HOST", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(envvar="ERFSCOPE_PORT", help="Port to listen on.")] = None,
) -> None:
    """Run the HTTP service alone, against a Redis of your own. `erfscope up` runs everything at once.

    All other settings are ERFSCOPE_* variables.
    """
    start("erfscope_service", redis_url, {"ERFSCOPE_HOST": host, "ERFSCOPE_PORT": port})


def start(module: str, redis_url: str | None, settings: dict[str, object]) -> NoReturn:
    """Become the part: same process id, so that signals and service supervisors reach it directly."""
    if not redis_url:
        raise refuse(
            "bad-request",
            "ERFSCOPE_REDIS_URL is not set, and there is no --redis-url. "
            "Name a Redis (redis://host:6379/0), or run `erfscope up`, which brings its own.",
        )
    if find_spec("redis") is None:
        raise ModuleNotFoundError("No module named 'redis'", name="redis")
    given = {name: str(value) for name, value in settings.items() if value is not None}
    environment = {**os.environ, **given, "ERFSCOPE_REDIS_URL": redis_url}
    os.execve(sys.executable, [sys.executable, "-P", "-m", module], environment)
