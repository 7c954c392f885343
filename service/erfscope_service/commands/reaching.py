"""The ledger of a service, as its administrator's commands reach it: by the address of Redis, or of a running `up`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erfscope.cli import up_folder
from erfscope.cli.failure import bad_setting, no_ledger
from erfscope.cli.starting import require
from erfscope_contract.problem import ProblemError

if TYPE_CHECKING:
    from erfscope_jobs.ledger import Ledger

RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="ERFSCOPE_REDIS_URL",
        help="Address of the service's Redis (default: that of a running `up`).",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data folder of that `up` (default: ERFSCOPE_DATA_DIR, else the user's)."),
]


@contextmanager
def reached(redis_url: str | None, data_dir: Path | None) -> "Iterator[Ledger]":
    """The ledger, which answers; raises where it cannot be asked."""
    require("redis", "pydantic_settings")
    from erfscope_jobs.environment import BadSettings, read
    from erfscope_jobs.ledger import Ledger
    from erfscope_jobs.settings import Settings

    url = redis_url if redis_url and not data_dir else up_folder.running(data_dir)
    try:
        settings = read(Settings, redis_url=url)
    except BadSettings as error:
        raise bad_setting(str(error)) from None
    with Ledger(settings) as ledger:
        try:
            ledger.ping()
        except ProblemError as error:
            words = UNANSWERED.format(url=settings.redis_shown, why=error.problem.context["reason"])
            raise no_ledger(words) from None
        yield ledger


UNANSWERED = (
    "The Redis at {url} cannot be asked ({why}). That address is from --redis-url or ERFSCOPE_REDIS_URL, or that of "
    "the running `erfscope up`. Start the Redis, or correct the address or its password; `redis-cli -u URL ping` tries "
    "them."
)
