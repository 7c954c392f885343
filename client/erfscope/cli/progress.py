"""Progress on stderr, as a bar or as plain lines; stdout stays the result's."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from erfscope_contract.text import for_terminal

STEPS = 10  # lines for each stage of a whole run at most


@contextmanager
def progress_bar(label: str, *, lines: bool = False) -> Iterator[Callable[[str, float], None]]:
    """Yields `update(stage, share)`; where stderr is not a terminal nothing is drawn, or plain `lines` are written."""
    console = Console(stderr=True)
    if lines and not console.is_terminal:
        yield plain_lines(label)
        return
    columns = (
        TextColumn("{task.fields[label]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("[dim]{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0, label=label)

        def update(stage: str, share: float) -> None:
            bar.update(task, description=escape(stage), completed=share)

        yield update


def plain_lines(label: str) -> Callable[[str, float], None]:
    """For logs: a line for each new stage and for each tenth of the whole, `checking net.onnx measure: 40 %`."""
    last = ("", -1)

    def update(stage: str, share: float) -> None:
        nonlocal last
        now = (stage, int(STEPS * share))
        if now != last:
            print(for_terminal(f"{label} {stage}: {100 * now[1] // STEPS} %"), file=sys.stderr, flush=True)
        last = now

    return update
