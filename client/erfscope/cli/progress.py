"""Progress on stderr, as a bar or as plain lines; stdout stays the result's."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from erfscope_contract.text import for_terminal

ALIVE = 30.0  # seconds after which a log has a sign of life
STEPS = 10  # lines for each stage of a whole run at most


@contextmanager
def progress_bar(label: str, *, lines: bool = False) -> Iterator[Callable[[str, float], None]]:
    """Yields `update(stage, share)`; where stderr is not a terminal nothing is drawn, or plain `lines` are written."""
    console = Console(stderr=True)
    if lines and not console.is_terminal:
        with plain_lines(label) as update:
            yield update
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


@contextmanager
def plain_lines(label: str, alive: float = ALIVE) -> Iterator[Callable[[str, float], None]]:
    """For logs: a line for each new stage and for each tenth of the whole, `checking net.onnx measure: 40 %`.

    While nothing new is told the last line is repeated with the time since the start, every `alive` seconds.
    """
    last, told, ended, start = ("starting", 0), Event(), Event(), time.monotonic()

    def say(more: str = "") -> None:
        stage, tenths = last
        print(for_terminal(f"{label} {stage}: {100 * tenths // STEPS} %{more}"), file=sys.stderr, flush=True)

    def update(stage: str, share: float) -> None:
        nonlocal last
        now = (stage, int(STEPS * share))
        if now != last:
            last = now
            told.set()
            say()

    def watch() -> None:
        while not ended.wait(alive):
            if not told.is_set():
                say(f", for {time.monotonic() - start:.0f} s")
            told.clear()

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield update
    finally:
        ended.set()
        watcher.join()
