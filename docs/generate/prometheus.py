"""reference/prometheus.md: every metric of GET /metrics, from what the service collects."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from docs.generate.table import joined, prose, table
from erfscope_jobs.blobs import Disk
from erfscope_jobs.records import Pulse
from erfscope_jobs.stages import BOUNDS, NAMES
from erfscope_service.meters import Meters
from erfscope_service.metrics.endpoints import LedgerFigures, StoreFigures

HEAD = """# Prometheus metrics

`GET /metrics` of any replica, in Prometheus' text format. Where callers need a key, it takes one of
`erfscope keys create NAME --metrics`. Alarms on them are in deploy/prometheus/alerts.yml, panels in
deploy/grafana/dashboard.json; [Operating](../operations.md#figures-and-alarms) tells which to watch.

A counter's name ends in `_total`. A histogram has `_bucket`, `_sum` and `_count`. Those of the process and of Python
(`process_*`, `python_*`) are prometheus_client's own."""
OF_ALL = "Of the whole installation: every replica answers the same, so take the maximum over replicas, not the sum."
OF_ONE = "Of the replica that answers, since it began: take the sum over replicas."
LEDGERS = frozenset({"erfscope_watchers"})  # counted with the ledger's, and yet of one replica
HEADS = ("metric", "type", "labels", "meaning")
SEEN = Pulse(0, 0, 0, 0, 0.0, 0.0, {f"stage:{NAMES[0]}:{BOUNDS[0]:g}": 1, "submitted": 1}, swept_seconds=0.0)


def prometheus() -> str:
    """The page, in two tables."""
    metrics = [*LedgerFigures(SEEN, 0, 0).collect(), *StoreFigures(Disk(0.0, 0), 0.0).collect()]
    of_all = [metric for metric in metrics if metric.name not in LEDGERS]
    of_one = [*(metric for metric in metrics if metric.name in LEDGERS), *_own()]
    return joined([
        HEAD,
        "## The installation", OF_ALL, table(HEADS, map(_row, of_all)),
        "## One replica", OF_ONE, table(HEADS, map(_row, of_one)),
    ])  # fmt: skip


def _own() -> Iterator[Metric]:
    meters = Meters()
    meters.answered("/", "GET", 200, 0.0)  # labels are seen where something was counted
    meters.refused("not-found")
    registry: CollectorRegistry = meters.registry
    yield from (metric for metric in registry.collect() if metric.name.startswith("erfscope_"))


def _row(metric: Metric) -> tuple[str, str, str, str]:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    labels = dict.fromkeys(label for sample in metric.samples for label in sample.labels if label != "le")
    return f"`{name}`", metric.type, ", ".join(f"`{label}`" for label in labels), prose(metric.documentation)
