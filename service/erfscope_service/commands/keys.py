"""`erfscope keys`: who may call a service, straight from its ledger."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from erfscope._errors import refuse
from erfscope.cli import options, show, up_folder
from erfscope.cli.failure import bad_setting, no_ledger
from erfscope.cli.starting import require
from erfscope_contract.problem import ProblemError

if TYPE_CHECKING:
    from erfscope_jobs.keys import ApiKey
    from erfscope_jobs.ledger import Ledger

keys = typer.Typer(
    name="keys",
    help="Make, list and revoke the API keys of a service. It asks for one on any but a loopback address "
    "(ERFSCOPE_KEYS=auto|on|off).",
    no_args_is_help=True,
)

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


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the key: the person or the machine that it is for.")],
    tenant: Annotated[
        str | None,
        typer.Option(help="Tenant of the key; the keys of a tenant share jobs, models and results (default: NAME)."),
    ] = None,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Make a key for GET /metrics, and nothing else (default: a key for jobs).")
    ] = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it: the only time that it is seen."""
    with _ledger(redis_url, data_dir) as ledger:
        from erfscope_jobs.keys import Scope, add, every, issue

        key, text = issue(name, tenant, Scope.METRICS if metrics else Scope.JOBS)
        earlier = ledger.run(every(ledger.settings.namespace))
        others = [other.id for other in earlier if other.tenant == key.tenant]
        namesakes = [other.id for other in earlier if other.name == key.name]
        ledger.run(add(ledger.settings.namespace, key))
        _leave_note(ledger, "created", key)
        kept = ledger.usage(key.tenant).jobs
    typer.echo(text)
    use = "Prometheus sends it as its bearer token" if metrics else "put it into ERFSCOPE_API_KEY"
    typer.echo(f"Key {key.id} of tenant {key.tenant}; {use}. It is not shown again.", err=True)
    if others:
        typer.echo(f"That tenant has other keys, which go on working: {', '.join(others)}.", err=True)
    if namesakes:
        typer.echo(
            f"There are other keys of the name {key.name}. If this one replaces them, revoke them once it is in use: "
            f"{'; '.join(f'erfscope keys revoke {id}' for id in namesakes)}.",
            err=True,
        )
    if kept and not metrics and not others:
        typer.echo(
            f"That tenant has {kept} job{'s' * (kept != 1)} of earlier keys, which this key sees; "
            "--tenant gives it another one.",
            err=True,
        )


@keys.command("list")
def listing(as_json: options.AsJson = False, redis_url: RedisUrl = None, data_dir: DataDir = None) -> None:
    """List the keys: id, name, tenant, what for, since when, last use (within a minute; of the last year)."""
    with _ledger(redis_url, data_dir) as ledger:
        from erfscope_jobs.key_log import last_use
        from erfscope_jobs.keys import every

        space = ledger.settings.namespace
        rows = [
            (
                key.id,
                key.name,
                key.tenant,
                str(key.scope),
                key.created_at.isoformat(timespec="seconds"),
                ledger.run(last_use(space, key.id)),
            )
            for key in ledger.run(every(space))
        ]
    heads = ("id", "name", "tenant", "for", "created", "used")
    if as_json:
        print(json.dumps([dict(zip(heads, row, strict=True)) for row in rows], indent=2))
        return
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(cell or "never" for cell in row))
    show.console().print(table if rows else "no keys")


@keys.command()
def revoke(
    id: Annotated[str, typer.Argument(help="Id of the key, as `erfscope keys list` shows it.")],
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key: from its next request on it is unknown."""
    with _ledger(redis_url, data_dir) as ledger:
        from erfscope_jobs.keys import find
        from erfscope_jobs.keys import revoke as revoking

        space = ledger.settings.namespace
        key = ledger.run(find(space, id))
        if key is not None and ledger.run(revoking(space, id)):
            _leave_note(ledger, "revoked", key)
        else:
            raise refuse("not-found", f"there is no key {id!r}; `erfscope keys list` shows them")
    typer.echo(f"Key {id} is revoked.")


def _leave_note(ledger: "Ledger", event: Literal["created", "revoked"], key: "ApiKey") -> None:
    """For the log of a service; what was done to the key stays done if the store has no room for that."""
    from erfscope_jobs.key_log import KeyNote, leave

    try:
        for call in leave(ledger.settings.namespace, KeyNote.of(event, key)):
            ledger.run(call)
    except ProblemError as error:
        why = error.problem.context["reason"]
        typer.echo(f"warning: the log of the service will have no line about this ({why})", err=True)


@contextmanager
def _ledger(redis_url: str | None, data_dir: Path | None) -> "Iterator[Ledger]":
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
