"""`erfscope presets`."""

import json
from collections.abc import Callable
from typing import Any

from rich.table import Table

from erfscope.cli import options, show
from erfscope_contract.architecture.spec import expanded_count
from erfscope_contract.presets import PRESETS, about


def presets(as_json: options.AsJson = False) -> None:
    """List the architecture specs that ship with erfscope; measure one with preset:NAME."""
    rows = [_row(name, builder) for name, builder in PRESETS.items()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("name", "input", "layers", "about", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(row["name"], show.by(row["input"]), str(row["layers"]), row["about"])
    show.console().print(table)


def _row(name: str, builder: Callable[[], Any]) -> dict[str, Any]:
    architecture = builder()
    size = [architecture.input.channels, *architecture.input.size]
    return {"name": name, "input": size, "layers": expanded_count(architecture.layers), "about": about(builder)}
