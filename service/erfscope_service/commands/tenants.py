"""`erfscope tenants`: who stores what in a service, and the deletion of a tenant, straight from its ledger."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from erfscope._errors import refuse
from erfscope.cli import options, show
from erfscope_contract.duration import lasting
from erfscope_service.commands.keys import leave_note
from erfscope_service.commands.reaching import DataDir, RedisUrl, reached

if TYPE_CHECKING:
    from erfscope_jobs.tenants import Tenant

tenants = typer.Typer(
    name="tenants",
    help="List the tenants of a service with what they store, and delete one with all that it has.",
    no_args_is_help=True,
)


@tenants.command("list")
def listing(as_json: options.AsJson = False, redis_url: RedisUrl = None, data_dir: DataDir = None) -> None:
    """List the tenants: number of keys, jobs, unfinished jobs, bytes stored, last use of a key (within a minute)."""
    with reached(redis_url, data_dir) as ledger:
        from erfscope_jobs.tenants import every

        rows = [_row(tenant) for tenant in every(ledger)]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(*HEADS, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("never" if cell is None else str(cell) for cell in row.values()))
    show.console().print(table if rows else "no tenants")


HEADS = ("tenant", "keys", "jobs", "open_jobs", "model_bytes", "image_bytes", "result_bytes", "used")


def _row(tenant: "Tenant") -> dict[str, Any]:
    stored = tenant.usage
    cells = (stored.jobs, stored.open_jobs, stored.models, stored.images, stored.results, tenant.used)
    return dict(zip(HEADS, (tenant.name, len(tenant.keys), *cells), strict=True))


@tenants.command()
def delete(
    name: Annotated[str, typer.Argument(help="Name of the tenant, as `erfscope tenants list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first (default: ask).")] = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke the tenant's keys and delete its jobs, results, models, image files and series.

    Jobs that run are canceled. This cannot be undone. It prints what was deleted, and what stays where.
    """
    with reached(redis_url, data_dir) as ledger:
        from erfscope_jobs.tenants import delete as deletion
        from erfscope_jobs.tenants import look

        tenant = look(ledger, name)
        if tenant is None:
            raise refuse("not-found", f"there is no tenant {name!r}; `erfscope tenants list` shows them")
        if not yes:
            stored = f"keys: {len(tenant.keys)}, jobs: {tenant.usage.jobs}"
            typer.confirm(f"Delete the tenant {name} ({stored}) with all its files?", abort=True, err=True)
        gone = deletion(ledger, tenant, lambda key: leave_note(ledger, "revoked", key))
        life = lasting(ledger.settings.result_ttl + ledger.settings.job_deadline)
    deleted = ", ".join(f"{noun}: {count}" for noun, count in sorted(gone.items()))
    typer.echo(f"Tenant {name} is deleted ({deleted or 'it had lists alone'}).")
    typer.echo(STAYS.format(life=life), err=True)


STAYS = (
    "What stays: the bytes of its models, images and maps in the file store, named by their sha256 and out of reach of "
    "callers, until a sweep removes them, at the latest {life} after their last use (ERFSCOPE_RESULT_TTL and "
    "ERFSCOPE_JOB_DEADLINE together); copies in backups; names, ids and addresses in logs. A new tenant of this name "
    "starts empty."
)
