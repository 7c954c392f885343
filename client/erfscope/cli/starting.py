"""What the commands share that run a part of the service in this process: its Redis, and a thin start of its module."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from erfscope.cli.failure import bad_setting

RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="ERFSCOPE_REDIS_URL",
        help="Address of the Redis that holds the jobs: redis://… or unix://… (default: ERFSCOPE_REDIS_URL).",
    ),
]

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="ERFSCOPE_DATA_DIR",
        help="Folder of models, images and maps, the same for service and workers (default: erfscope-data in the "
        "folder where it is started).",
    ),
]


def require(*modules: str) -> None:
    """Everything that a command needs, before it starts anything; raises ModuleNotFoundError for what is missing."""
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def start(module: str, redis_url: str | None, settings: dict[str, object]) -> NoReturn:
    """Become the part: same process id, so that signals and service supervisors reach it directly."""
    if not redis_url:
        raise bad_setting(
            "ERFSCOPE_REDIS_URL is not set, and there is no --redis-url. "
            "Name a Redis (redis://host:6379/0), or run `erfscope up`, which brings its own."
        )
    require("redis")
    given = {name: str(value) for name, value in settings.items() if value is not None}
    environment = {**os.environ, **given, "ERFSCOPE_REDIS_URL": redis_url}
    os.execve(sys.executable, [sys.executable, "-P", "-m", module], environment)
