"""The generated pages of docs/reference: one function for each, out of what they describe."""

from docs.generate.cli import cli
from docs.generate.engine import engine
from docs.generate.metrics import metrics
from docs.generate.prometheus import prometheus
from docs.generate.rest import rest
from docs.generate.schemas import schema_pages
from docs.generate.sdk import sdk
from docs.generate.table import NOTE


def pages() -> dict[str, str]:
    """File name in docs/reference → text."""
    found = {
        "cli.md": cli(),
        "engine.md": engine(),
        "metrics.md": metrics(),
        "prometheus.md": prometheus(),
        "rest.md": rest(),
        "sdk.md": sdk(),
        **schema_pages(),
    }
    return {name: text.replace("\n", f"\n\n{NOTE}\n", 1).rstrip() + "\n" for name, text in found.items()}
