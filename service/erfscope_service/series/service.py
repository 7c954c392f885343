"""What happens to series: every point is a job of its own, the series says which belong together."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from erfscope_contract.flat import flatten
from erfscope_contract.hashing import sha256_of
from erfscope_contract.job import Status
from erfscope_contract.problem import ProblemError
from erfscope_contract.result import ErfResult
from erfscope_contract.series import ListedSeries, Series, SeriesLinks, SeriesPage, SeriesPoint, SeriesRequest
from erfscope_contract.trends import trend_of
from erfscope_jobs import series as ledger
from erfscope_jobs.digest import canonical
from erfscope_jobs.records import Record, new_id
from erfscope_service.erf import service as erf
from erfscope_service.preferences import Page
from erfscope_service.reading import read_result
from erfscope_service.series.expand import Point
from erfscope_service.services import Services

GONE = "This point's job is gone: it was removed, or its time to live has passed. Submit it again to have its numbers."
AT_ONCE = 8  # records that are read at a time


async def submit(
    services: Services, tenant: str, wanted: SeriesRequest, points: Sequence[Point], key: str | None
) -> Series:
    """Submit every point, then write down that they belong together.

    A point that is refused ends those before it, and the series is refused. A key makes the series repeatable, and each
    of its jobs (by a key that no caller can give: it has a space).
    """
    id = _id_of(tenant, key) if key else new_id()
    body = sha256_of(canonical(wanted.model_dump(mode="json")))
    known = await _payload(services, tenant, id) if key else None
    if known is None:
        jobs = await _submit_points(services, tenant, points, key)
        payload = {
            "body": body,
            "created": time.time(),
            "x_label": wanted.x_label,
            "metrics": wanted.metrics,
            "points": [{"label": p.label, "x": p.x, "job": job} for p, job in zip(points, jobs, strict=True)],
        }
        if not await services.ledger.run(ledger.remember(services.settings, tenant, id, json.dumps(payload))):
            known = await _payload(services, tenant, id)  # another call with this key was faster
    if known is not None and known["body"] != body:
        raise ProblemError(
            "idempotency-mismatch", "This Idempotency-Key came with another series before; use a new one."
        )
    await services.ledger.settle(
        tenant
    )  # once for all points: where the disk syncs every second, each would wait for one
    return await look(services, tenant, id)


async def _submit_points(services: Services, tenant: str, points: Sequence[Point], key: str | None) -> list[str]:
    """The ids of their jobs; where a point is refused, those before it end again."""
    jobs: list[str] = []
    holder = new_id()
    for n, point in enumerate(points):
        name = f"series {key}/{n}" if key else None
        try:
            job = await erf.submit(services, tenant, point.asked, name, settle=False, holder=holder)
        except ProblemError as error:
            await _undo(services, tenant, jobs, holder)
            raise _of_point(error, n) from None
        jobs.append(job.record.id)
    return jobs


async def _undo(services: Services, tenant: str, jobs: Sequence[str], holder: str) -> None:
    """End and remove jobs of a series that is refused, but those that another call with its key was given meanwhile."""
    for id in jobs:
        with suppress(ProblemError):  # the store is away: they run as ordinary jobs
            await services.ledger.withdraw(id, tenant, holder)


def _of_point(error: ProblemError, n: int) -> ProblemError:
    """The refusal of point `n`, its pointers leading into the body of the series."""
    problem = error.problem
    at = [f"/models/{n}" if one.pointer.startswith("/model") else "/request" for one in problem.errors]
    errors = [
        one.model_copy(update={"pointer": start + one.pointer}) for start, one in zip(at, problem.errors, strict=True)
    ]
    detail = "; ".join(f"{one.pointer}: {one.detail}" for one in errors) or problem.detail
    return ProblemError(error.kind, detail, errors=errors, **problem.context)


def _id_of(tenant: str, key: str) -> str:
    return sha256_of(f"{tenant}\0{key}")[:22]


async def look(services: Services, tenant: str, id: str) -> Series:
    """The series as its jobs stand now; `not-found` for an unknown one, and another tenant's alike."""
    payload = await _payload(services, tenant, id)
    if payload is None:
        raise unknown(id)
    records = await _records(services, tenant, [point["job"] for point in payload["points"]])
    return await asyncio.to_thread(_series, id, payload, records)


def unknown(id: str) -> ProblemError:
    """The 404 of a series."""
    return ProblemError("not-found", f"There is no series {id[:64]!r} (any more; results have a time to live).")


async def _payload(services: Services, tenant: str, id: str) -> dict[str, Any] | None:
    stored = await services.ledger.run(ledger.recall(services.settings, tenant, id))
    return json.loads(stored) if stored else None


async def _records(services: Services, tenant: str, jobs: Sequence[str]) -> list[Record | None]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(job: str) -> Record | None:
        async with room:
            return await services.ledger.get(job, tenant)

    return list(await asyncio.gather(*(one(job) for job in jobs)))


def _series(id: str, payload: dict[str, Any], records: Sequence[Record | None]) -> Series:
    metrics = payload["metrics"]
    points = [_point(stored, record, metrics) for stored, record in zip(payload["points"], records, strict=True)]
    shares = [record.progress if record else 1.0 for record in records]
    return Series(
        id=id,
        status=_status([point.status for point in points]),
        progress=sum(shares) / len(shares),
        created_at=datetime.fromtimestamp(payload["created"], UTC),
        x_label=payload["x_label"],
        metrics=metrics,
        points=points,
        trends={metric: trend_of(points, metric) for metric in metrics},
        links=_links(id),
    )


def _point(stored: dict[str, Any], record: Record | None, metrics: Sequence[str]) -> SeriesPoint:
    point = SeriesPoint(**stored, status=record.status if record else Status.EXPIRED)
    if record is None:
        return point.model_copy(update={"error": ProblemError("not-found", GONE).problem})
    if not record.result:
        return point.model_copy(update={"error": record.problem})
    try:
        result = read_result(ErfResult, record.id, record.result)
    except ProblemError as error:
        return point.model_copy(update={"error": error.problem})
    flat = flatten(result)
    return point.model_copy(
        update={
            "metrics": {name: flat.get(name) for name in metrics},
            "stderr": {name: result.stderr.get(name) for name in metrics},
        }
    )


def _status(states: Sequence[Status]) -> Status:
    """The worst that happened, once all have ended; until then whether anything moves."""
    if all(state.is_terminal for state in states):
        worst = (Status.FAILED, Status.EXPIRED, Status.CANCELED)
        return next((state for state in worst if state in states), Status.SUCCEEDED)
    return Status.QUEUED if all(state is Status.QUEUED for state in states) else Status.RUNNING


async def wait(services: Services, tenant: str, id: str, seconds: float) -> Series:
    """The series once every job has ended, or as it is after `seconds`."""
    until = time.monotonic() + seconds
    series = await look(services, tenant, id)
    for point in series.points:
        left = until - time.monotonic()
        if not point.status.is_terminal and left > 0:
            record = await services.ledger.get(point.job, tenant)
            if record is not None:
                await erf.wait(services, tenant, record, left)
    return await look(services, tenant, id) if not series.status.is_terminal else series


async def page(services: Services, tenant: str, asked: Page) -> SeriesPage:
    """One page of a tenant's series, newest first, without what their jobs would say."""
    known = await services.ledger.run(ledger.listing(services.settings, tenant, asked.size, asked.token))
    return SeriesPage(
        series=[_listed(id, json.loads(payload)) for id, payload in known.series], next_page_token=known.next_token
    )


def _listed(id: str, payload: dict[str, Any]) -> ListedSeries:
    return ListedSeries(
        id=id,
        created_at=datetime.fromtimestamp(payload["created"], UTC),
        x_label=payload["x_label"],
        metrics=payload["metrics"],
        points=len(payload["points"]),
        links=_links(id),
    )


def _links(id: str) -> SeriesLinks:
    return SeriesLinks(self=f"/series/{id}", chart=f"/series/{id}/chart.png")


async def cancel(services: Services, tenant: str, id: str) -> tuple[Series, bool]:
    """Ask for the end of every job that has not ended; True where all had ended already."""
    series = await look(services, tenant, id)
    if series.status.is_terminal:
        return series, True
    for point in series.points:
        if not point.status.is_terminal:
            await services.ledger.cancel(point.job, tenant)
    return await look(services, tenant, id), False


async def purge(services: Services, tenant: str, id: str) -> None:
    """Remove a series and its jobs; raises `conflict` where one of them has not ended, and `not-found`."""
    series = await look(services, tenant, id)
    if not series.status.is_terminal:
        raise ProblemError("conflict", "Jobs of the series have not ended; cancel it first (DELETE without purge).")
    for point in series.points:
        await services.ledger.purge(point.job, tenant)  # one that is gone already is as good
    await services.ledger.run(ledger.forget(services.settings, tenant, id))
