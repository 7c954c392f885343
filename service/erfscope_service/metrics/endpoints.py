"""Route of /metrics: the ledger's counts in Prometheus' text format, read when it asks."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.responses import Response

from erfscope_contract.problem import ProblemError
from erfscope_jobs import stages
from erfscope_jobs.blobs import BlobStore, Disk
from erfscope_jobs.records import Pulse
from erfscope_service.meters import Meters
from erfscope_service.problems import documented
from erfscope_service.services import OperatorDep, ServicesDep

router = APIRouter(tags=["health"])

_GAUGES: dict[str, tuple[str, Callable[[Pulse], float]]] = {
    "workers": ("Live workers.", lambda pulse: pulse.workers),
    "queue_age_seconds": ("Age of the oldest queued job.", lambda pulse: pulse.oldest_queued_seconds),
    "store_memory_share": ("Used part of Redis' maxmemory; 0 without one.", lambda pulse: pulse.memory_share),
}


class LedgerFigures(Collector):
    """One pulse as metrics."""

    def __init__(self, pulse: Pulse, watchers: int, landlock: int | None) -> None:
        self._pulse = pulse
        self._landlock = landlock
        self._watchers = watchers

    def collect(self) -> Iterator[Metric]:
        """All of them, as Prometheus' client wants them."""
        jobs = GaugeMetricFamily("erfscope_jobs_open", "Unfinished jobs by state.", labels=["state"])
        jobs.add_metric(["queued"], self._pulse.queued)
        jobs.add_metric(["running"], self._pulse.running)
        yield jobs
        for name, (text, read) in _GAUGES.items():
            yield GaugeMetricFamily(f"erfscope_{name}", text, value=read(self._pulse))
        yield GaugeMetricFamily("erfscope_watchers", "Event streams and long polls of this replica.", self._watchers)
        if self._pulse.swept_seconds is not None:
            text = "Since a sweep of stored files ended, or a replica began; it grows where no sweeper lives."
            yield GaugeMetricFamily("erfscope_sweep_age_seconds", text, value=self._pulse.swept_seconds)
        if self._landlock is not None:
            text = "Lowest Landlock ABI of the jails of live workers; 0 without a jail."
            yield GaugeMetricFamily("erfscope_worker_landlock_level", text, self._landlock)
        histograms, counters = stages.split(self._pulse.tally)
        took = HistogramMetricFamily("erfscope_stage_seconds", "Seconds by stage of succeeded jobs.", labels=["stage"])
        for one in histograms:
            took.add_metric([one.stage], list(one.buckets), one.seconds)
        yield took
        events = CounterMetricFamily(
            "erfscope_job_events",
            "What happened to jobs since the store began: submitted, cached (hits), succeeded, failed, canceled, "
            "expired, failed:KIND (by problem), crashes (deaths of a job's process), lapses (lost leases), "
            "handbacks (a worker that stops returned its job), "
            "split (into shards), rejoined (shards did not fit together: the job runs in one piece), "
            "outages (of the file store), rung (notifications of a worker that were repeated).",
            labels=["event"],
        )
        for event, count in sorted(counters.items()):
            events.add_metric([event], count)
        yield events


class StoreFigures(Collector):
    """The file store's disk, and its last copy."""

    def __init__(self, disk: Disk | None, backup_age: float | None) -> None:
        self._disk = disk
        self._backup_age = backup_age

    def collect(self) -> Iterator[Metric]:
        """What is known of them: nothing of the disk of a bucket, no age where no copy was ever made."""
        if self._disk is not None:
            text = "Used part of the disk of the data folder, 0 to 1; none where files are in a bucket."
            yield GaugeMetricFamily("erfscope_disk_used_share", text, self._disk.used_share)
            text = "Bytes that are free on the disk of the data folder; none where files are in a bucket."
            yield GaugeMetricFamily("erfscope_disk_free_bytes", text, self._disk.free)
        if self._backup_age is not None:
            text = "Since deploy/backup.sh made its last complete copy; none where it never did."
            yield GaugeMetricFamily("erfscope_backup_age_seconds", text, self._backup_age)


def stored(blobs: BlobStore) -> StoreFigures:
    """The figures now; without a disk where it does not answer, which readiness tells."""
    disk, at = None, blobs.backed_up_at()
    with suppress(ProblemError):
        disk = blobs.disk()
    return StoreFigures(disk, max(0.0, time.time() - at) if at is not None else None)


@router.get(
    "/metrics",
    response_class=Response,
    operation_id="get_metrics",
    summary="Prometheus metrics",
    responses=documented("unauthorized", "forbidden", "unavailable")
    | {200: {"description": "Text format 0.0.4.", "content": {"text/plain": {}}}},
)
async def metrics(request: Request, services: ServicesDep, _: OperatorDep) -> Response:
    """Jobs are those of the whole installation, whichever replica is asked; requests and process its own.

    Where keys are needed, one of `erfscope keys create NAME --metrics`: the figures are about all tenants.
    """
    meters: Meters = request.app.state.meters
    registry = CollectorRegistry()
    level = min((worker.landlock for worker in await services.ledger.workers()), default=None)
    registry.register(LedgerFigures(await services.ledger.pulse(), services.watchers.now, level))
    registry.register(await asyncio.to_thread(stored, services.blobs))
    text = generate_latest(registry) + generate_latest(meters.registry)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})
