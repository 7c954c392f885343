"""`erfscope history`: how the committed baseline changed along the commits of this branch."""

import json
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from erfscope._errors import refuse
from erfscope.cli import options, show
from erfscope.cli.check import Config
from erfscope_contract.text import for_terminal

if TYPE_CHECKING:
    from erfscope.gate.history import Step

Models = Annotated[
    list[str] | None,
    Argument(metavar="MODELS…", help="Only these models, named as in the configuration (default: all)."),
]
Last = Annotated[int, Option("--last", min=1, help="How many commits of the baseline are looked at (default 20).")]
HEADINGS = ("model", "metric", "before", "after", "change")


def history(models: Models = None, config: Config = None, last: Last = 20, as_json: options.AsJson = False) -> None:
    """Show which commits of this branch changed the baseline: author, metrics before and after, layers."""
    from erfscope.gate.config import load
    from erfscope.gate.git import is_shallow
    from erfscope.gate.history import DEEPEN, SHALLOW
    from erfscope.gate.history import history as read

    gate = load(config, Path.cwd())
    found = read(gate.baseline, last)
    wanted = [_known(one, found.models, [check.name for check in gate.checks]) for one in models or ()]
    steps = [one for one in found.steps if not wanted or one.model in wanted]
    if is_shallow(gate.baseline):
        print(f"erfscope: {SHALLOW}. {DEEPEN}", file=sys.stderr)
    if as_json:
        print(json.dumps([asdict(one) for one in steps], indent=2, ensure_ascii=False))
        return
    if not steps:
        show.print_lines(show.console(), ["No value changed in the commits that were looked at."])
        return
    columns = os.environ.get("COLUMNS", "")
    out = Console(width=int(columns)) if columns.isdecimal() and int(columns) else show.console()
    for (commit, date, author, subject), changed in groupby(steps, _commit):
        out.print(_block(f"{commit}  {date}  {author}  {subject}", list(changed)))


def _known(name: str, models: Collection[str], checks: Sequence[str]) -> str:
    """The model as the baseline names it."""
    from erfscope.gate.rules import nearest

    for spelled in (name, os.path.normpath(name).replace(os.sep, "/")):
        if spelled in models:
            return spelled
    what = "is the name of a check; give its models" if name in checks else "no such model in the baseline's commits"
    raise refuse("bad-request", f"{name}: {what}; {nearest(name, models)}")


def _commit(step: "Step") -> tuple[str, str, str, str]:
    return step.commit, step.date, step.author, step.subject


def _block(title: str, steps: "Sequence[Step]") -> Group:
    """A commit: its values, and once for each model which of its layers it changed."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for one in steps:
        if one.metric:
            table.add_row(*map(show.cell, _cells(one)))
    changes = dict.fromkeys((one.model, one.change) for one in steps if one.change)
    layers = (Text(f"{for_terminal(model)}: {for_terminal(change)}.") for model, change in changes)
    parts: list[Table | Text] = [*([table] if table.rows else []), *layers]
    return Group(Text(for_terminal(title), style="bold"), *(Padding(part, (0, 0, 0, 2)) for part in parts), Text(""))


def _cells(step: "Step") -> tuple[str, ...]:
    from erfscope.gate.judge import shown

    before, after = (None if one is None else shown(step.metric, one) for one in (step.before, step.value))
    return step.model, step.metric, before or "new", after or "gone", step.share
