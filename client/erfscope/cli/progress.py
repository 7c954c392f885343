"""A progress bar on stderr; stdout stays the result's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[str, float], None]]:
    """Yields `update(stage, share)`; where stderr is no terminal nothing is drawn."""
    console = Console(stderr=True)
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
            bar.update(task, description=stage, completed=share)

        yield update
