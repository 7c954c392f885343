"""`erfscope history`: how the committed baseline changed along the commits of this branch."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Argument, Option

from erfscope.cli import options, show
from erfscope.cli.check import Config

if TYPE_CHECKING:
    from erfscope.gate.history import Step

Models = Annotated[
    list[str] | None,
    Argument(metavar="MODELS", help="Only these models, named as in the configuration; (default: all)."),
]
Last = Annotated[int, Option("--last", min=1, help="How many commits of the baseline are looked at (default 20).")]
HEADINGS = ("commit", "date", "model", "metric", "before", "after", "subject")


def history(models: Models = None, config: Config = None, last: Last = 20, as_json: options.AsJson = False) -> None:
    """Show which commits of this branch changed the baseline: model, metric, value before and after."""
    from erfscope.gate.config import load
    from erfscope.gate.history import DEEPEN, SHALLOW, is_shallow
    from erfscope.gate.history import history as read

    baseline = load(config, Path.cwd()).baseline
    steps = [one for one in read(baseline, last) if not models or one.model in models]
    if is_shallow(baseline):
        print(f"erfscope: {SHALLOW}. {DEEPEN}", file=sys.stderr)
    if as_json:
        print(json.dumps([asdict(one) for one in steps], indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for one in steps:
        table.add_row(*map(show.cell, _cells(one)))
    show.console().print(table)


def _cells(step: "Step") -> tuple[str, ...]:
    from erfscope.gate.judge import shown

    before = "" if step.before is None else shown(step.metric, step.before)
    after = shown(step.metric, step.value)
    return step.commit, step.date, step.model, step.metric, before, after, step.subject
