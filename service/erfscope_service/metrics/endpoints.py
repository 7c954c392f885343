"""Route of /metrics: the ledger's counts in Prometheus' text format, read when it asks."""

from collections.abc import Callable, Iterator

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.responses import Response

from erfscope_jobs.records import Pulse
from erfscope_service.problems import documented
from erfscope_service.services import ServicesDep

router = APIRouter(tags=["health"])

_GAUGES: dict[str, tuple[str, Callable[[Pulse], float]]] = {
    "workers": ("Live workers.", lambda pulse: pulse.workers),
    "queue_age_seconds": ("Age of the oldest queued job.", lambda pulse: pulse.oldest_queued_seconds),
    "store_memory_share": ("Used part of Redis' maxmemory; 0 without one.", lambda pulse: pulse.memory_share),
}


class _Ledger(Collector):
    """One pulse as metrics."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("erfscope_jobs_open", "Unfinished jobs by state.", labels=["state"])
        jobs.add_metric(["queued"], self._pulse.queued)
        jobs.add_metric(["running"], self._pulse.running)
        yield jobs
        for name, (text, read) in _GAUGES.items():
            yield GaugeMetricFamily(f"erfscope_{name}", text, value=read(self._pulse))
        events = CounterMetricFamily(
            "erfscope_job_events",
            "What happened to jobs since the store began: submitted, cached, succeeded, failed, crashes, …",
            labels=["event"],
        )
        for event, count in sorted(self._pulse.tally.items()):
            events.add_metric([event], count)
        yield events


@router.get(
    "/metrics",
    response_class=Response,
    summary="Prometheus metrics",
    responses=documented("unavailable") | {200: {"description": "Text format 0.0.4.", "content": {"text/plain": {}}}},
)
async def metrics(services: ServicesDep) -> Response:
    """Of the whole installation, whichever replica is asked; process figures are this replica's own."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_Ledger(await services.ledger.pulse()))
    return Response(
        generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"}
    )
