"""Files that are whole or not there: a training may be stopped at any time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(place: Path) -> Iterator[Path]:
    """A path to write to; the file takes its place when the block ends without an error."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.partial")
    yield partial
    os.replace(partial, place)
