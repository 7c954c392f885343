"""What this replica counts by itself: how long answers took, and what was refused."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series beside each counter that nobody asks for
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Meters:
    """Prometheus metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._seconds = Histogram(
            "erfscope_request_seconds",
            "Seconds until an answer began, by route.",
            ["route", "method", "status"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "erfscope_rejections",
            "Requests that were answered with a problem, by its type.",
            ["kind"],
            registry=self.registry,
        )

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """An answer began."""
        self._seconds.labels(route, method, status).observe(seconds)

    def refused(self, kind: str) -> None:
        """A request was answered with a problem."""
        self._refused.labels(kind).inc()
