"""Large imports, without a search for garbage meanwhile, and without one among what they made later on."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

_alone = Event()


def claim_process() -> None:
    """Say that this process is erfscope's alone: what it imports stays, so that nobody needs to look through it again.

    Not for the process of a user, whose own objects would never be collected either.
    """
    _alone.set()


@contextmanager
def uncollected() -> Iterator[None]:
    """Imports of hundreds of thousands of objects: the search for garbage takes a third of the time of all of them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _alone.is_set():
            gc.freeze()
        if enabled:
            gc.enable()
