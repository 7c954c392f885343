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
SLOW = 10.0  # seconds between two lines where stderr is no terminal; a command that ends before writes none
WORDS = {"load": "loading the model", "trace": "tracing the network"}  # in which the first stages are told
STEPS = 10  # lines for each stage of a whole run at most


@contextmanager
def progress_bar(label: str, *, lines: bool = False) -> Iterator[Callable[[str, float], None]]:
    """Yields `update(stage, share)`: a bar in a terminal.

    If stderr is no terminal, it writes a line every SLOW seconds. With `lines` it writes one for each stage instead.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        with (plain_lines if lines else slow_lines)(label) as update:
            yield update
        return
    columns = (
        TextColumn("{task.fields[label]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("[dim]{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, label=label)

        def update(stage: str, share: float) -> None:
            bar.update(task, description=escape(WORDS.get(stage, stage)), completed=share)

        yield update


@contextmanager
def plain_lines(label: str, alive: float = ALIVE) -> Iterator[Callable[[str, float], None]]:
    """For logs: a line for each new stage and for each tenth of the whole, `checking net.onnx measure: 40 %`.

    While nothing new is told the last line is repeated with the time since the start, every `alive` seconds.
    """
    last, told, start = ("starting", 0), Event(), time.monotonic()

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

    def sign() -> None:
        if not told.is_set():
            say(f", for {time.monotonic() - start:.0f} s")
        told.clear()

    with _repeated(sign, alive):
        yield update


@contextmanager
def slow_lines(label: str, every: float = SLOW) -> Iterator[Callable[[str, float], None]]:
    """How far it is, `looking at net.onnx: search 17 tried, 40 %, after 20 s`, every so many seconds.

    A command that ends sooner writes no line.
    """
    last, start = ("starting", 0.0), time.monotonic()

    def update(stage: str, share: float) -> None:
        nonlocal last
        last = (stage, share)

    def write() -> None:
        stage, share = last
        done = f", {100 * share:.0f} %" if share else ""
        line = f"{label}: {WORDS.get(stage, stage)}{done}, after {time.monotonic() - start:.0f} s"
        print(for_terminal(line), file=sys.stderr, flush=True)

    with _repeated(write, every):
        yield update


@contextmanager
def _repeated(action: Callable[[], None], seconds: float) -> Iterator[None]:
    """Do it every so many seconds, in a thread, until the block ends."""
    ended = Event()

    def run() -> None:
        while not ended.wait(seconds):
            action()

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
