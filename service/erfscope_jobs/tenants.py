"""Which tenants an installation has, what each stores, and the deletion of one with all that it has."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from erfscope_contract.problem import ProblemError
from erfscope_jobs import key_log, keys, series
from erfscope_jobs.call import Call, scripted
from erfscope_jobs.keys import ApiKey
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.partitions import partition_of, space_of
from erfscope_jobs.records import Kind, Record, Usage
from erfscope_jobs.settings import Settings

PAGE = 100
ROUNDS = 20  # of a deletion: requests that were let in before the keys went may still bring something
FILES = {"model": "models", "file": "image files"}


@dataclass(frozen=True)
class Tenant:
    """A tenant: its keys, what it stores, and when a key of it was last used (ISO 8601, UTC)."""

    name: str
    keys: tuple[ApiKey, ...]
    usage: Usage
    used: str | None


def every(ledger: Ledger) -> list[Tenant]:
    """All tenants that have a key or something stored, by name."""
    space = ledger.settings.namespace
    by_tenant: dict[str, list[ApiKey]] = {name: [] for name in ledger.stored_tenants()}
    for key in ledger.run(keys.every(space)):
        by_tenant.setdefault(key.tenant, []).append(key)
    return [_tenant(ledger, name, held) for name, held in sorted(by_tenant.items())]


def look(ledger: Ledger, name: str) -> Tenant | None:
    """One of them; None where there is nothing of that name."""
    return next((tenant for tenant in every(ledger) if tenant.name == name), None)


def _tenant(ledger: Ledger, name: str, held: list[ApiKey]) -> Tenant:
    uses = [ledger.run(key_log.last_use(ledger.settings.namespace, key.id)) for key in held]
    return Tenant(name, tuple(held), ledger.usage(name), max(filter(None, uses), default=None))


def delete(ledger: Ledger, tenant: Tenant, revoked: Callable[[ApiKey], object]) -> Mapping[str, int]:
    """Revoke its keys, end and remove its jobs, forget its files and series; how many of each kind.

    `revoked` gets each key. What other processes still write for it meanwhile is removed as well. Bytes in the file
    store go by the next sweeps once nothing needs them.

    Raises:
        ProblemError: `conflict` where something of the tenant comes back again and again; `unavailable`.
    """
    gone: Counter[str] = Counter(_keys(ledger, tenant, revoked))
    for _ in range(ROUNDS):
        gone.update(_jobs(ledger, tenant.name))
        gone.update(_files(ledger, tenant.name))
        gone.update(_series(ledger, tenant.name))
        if ledger.run(_forget(ledger.settings, tenant.name)):
            return gone
    raise ProblemError(
        "conflict",
        f"Something of the tenant {tenant.name} is stored again and again. Its keys are revoked; does a service run "
        "without keys (ERFSCOPE_KEYS=off)? Repeat the command.",
    )


def _forget(settings: Settings, name: str) -> Call[bool]:
    """FORGET what is left of a tenant whose jobs and files are gone; False while it has any."""
    space = space_of(settings, partition_of(settings, name))
    return scripted("forget", space, {"tenant": name, "kinds": list(Kind)}, bool)


def _keys(ledger: Ledger, tenant: Tenant, revoked: Callable[[ApiKey], object]) -> Iterator[str]:
    space = ledger.settings.namespace
    for key in tenant.keys:
        if ledger.run(keys.revoke(space, key.id)):
            revoked(key)
            yield "keys"
        ledger.run(key_log.forget_use(space, key.id))


def _jobs(ledger: Ledger, name: str) -> Iterator[str]:
    for record in _records(ledger, name):
        if not record.status.is_terminal:
            ledger.cancel(record.id, name)
        ledger.purge(record.id, name)
        yield f"jobs of /{record.kind}"


def _records(ledger: Ledger, name: str) -> Iterator[Record]:
    token: str | None = None
    while True:
        page = ledger.list(name, PAGE, token)
        yield from page.records
        token = page.next_token
        if token is None:
            return


def _files(ledger: Ledger, name: str) -> Iterator[str]:
    for kind, noun in FILES.items():
        while uploads := ledger.list_uploads(name, kind, PAGE, None).uploads:
            for upload in uploads:
                ledger.drop_upload(name, kind, upload.sha256)
                yield noun


def _series(ledger: Ledger, name: str) -> Iterator[str]:
    settings = ledger.settings
    while listed := ledger.run(series.listing(settings, name, PAGE, None)).series:
        for id, _ in listed:
            ledger.run(series.forget(settings, name, id))
            yield "series"
