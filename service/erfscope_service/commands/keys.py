"""`erfscope keys`: who may call a service, straight from its ledger."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from erfscope._errors import refuse
from erfscope.cli import options, show
from erfscope_contract.problem import ProblemError
from erfscope_service.commands.reaching import DataDir, RedisUrl, reached

if TYPE_CHECKING:
    from erfscope_jobs.key_log import Event
    from erfscope_jobs.keys import ApiKey
    from erfscope_jobs.ledger import Ledger

keys = typer.Typer(
    name="keys",
    help="Make, list, limit and revoke the API keys of a service. It asks for one on any but a loopback address "
    "(ERFSCOPE_KEYS=auto|on|off).",
    no_args_is_help=True,
)

UNKNOWN = "there is no key {id!r}; `erfscope keys list` shows them"
UNSET = {"rate": "default", "used": "never"}  # what the table shows for a key that has none


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
    rate: Annotated[
        str | None,
        typer.Option(
            help="Calls that this key may make, as 60/minute, or off for any number; they are counted for this key "
            "alone (default: ERFSCOPE_RATE_LIMIT of the service, counted for all keys of the tenant together)."
        ),
    ] = None,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it: the only time that it is seen."""
    if metrics and rate:
        raise typer.BadParameter("calls of GET /metrics are not counted, so a key for them has no --rate.")
    with reached(redis_url, data_dir) as ledger:
        from erfscope_jobs.keys import Scope, add, every, issue

        key, text = issue(name, tenant, Scope.METRICS if metrics else Scope.JOBS, rate)
        earlier = ledger.run(every(ledger.settings.namespace))
        others = [other.id for other in earlier if other.tenant == key.tenant]
        namesakes = [other.id for other in earlier if other.name == key.name]
        ledger.run(add(ledger.settings.namespace, key))
        leave_note(ledger, "created", key)
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
    """List the keys: id, name, tenant, what for, rate, since when, last use (within a minute; of the last year)."""
    with reached(redis_url, data_dir) as ledger:
        from erfscope_jobs.key_log import last_use
        from erfscope_jobs.keys import every

        space = ledger.settings.namespace
        rows = [
            (
                key.id,
                key.name,
                key.tenant,
                str(key.scope),
                key.rate,
                key.created_at.isoformat(timespec="seconds"),
                ledger.run(last_use(space, key.id)),
            )
            for key in ledger.run(every(space))
        ]
    heads = ("id", "name", "tenant", "for", "rate", "created", "used")
    if as_json:
        print(json.dumps([dict(zip(heads, row, strict=True)) for row in rows], indent=2))
        return
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(cell or UNSET.get(head) for head, cell in zip(heads, row, strict=True)))
    show.console().print(table if rows else "no keys")


@keys.command()
def limit(
    id: Annotated[str, typer.Argument(help="Id of the key, as `erfscope keys list` shows it.")],
    rate: Annotated[
        str,
        typer.Argument(help="Calls that it may make, as 60/minute; off for any number; default for the service's own."),
    ],
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Change how often a key may call, from its next request on."""
    with reached(redis_url, data_dir) as ledger:
        from erfscope_jobs.keys import Scope, change_rate, find

        space = ledger.settings.namespace
        key = ledger.run(find(space, id))
        if key is None:
            raise refuse("not-found", UNKNOWN.format(id=id))
        if key.scope is Scope.METRICS:
            raise refuse("invalid-request", f"the key {id!r} is for GET /metrics, whose calls are not counted")
        if not ledger.run(change_rate(space, key, None if rate == "default" else rate)):
            raise refuse("conflict", f"the key {id!r} was revoked or changed meanwhile; look at `erfscope keys list`")
        leave_note(ledger, "limited", key)
    typer.echo(f"Key {id} of tenant {key.tenant} has the rate {rate}.")


@keys.command()
def revoke(
    id: Annotated[str, typer.Argument(help="Id of the key, as `erfscope keys list` shows it.")],
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key: from its next request on it is unknown."""
    with reached(redis_url, data_dir) as ledger:
        from erfscope_jobs.keys import find
        from erfscope_jobs.keys import revoke as revoking

        space = ledger.settings.namespace
        key = ledger.run(find(space, id))
        if key is not None and ledger.run(revoking(space, id)):
            leave_note(ledger, "revoked", key)
        else:
            raise refuse("not-found", UNKNOWN.format(id=id))
    typer.echo(f"Key {id} is revoked.")


def leave_note(ledger: "Ledger", event: "Event", key: "ApiKey") -> None:
    """For the log of a service; what was done to the key stays done if the store has no room for that."""
    from erfscope_jobs.key_log import KeyNote, leave

    try:
        for call in leave(ledger.settings.namespace, KeyNote.of(event, key)):
            ledger.run(call)
    except ProblemError as error:
        why = error.problem.context["reason"]
        typer.echo(f"warning: the log of the service will have no line about this ({why})", err=True)
