"""Out of memory: first a smaller plan, then words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from erfscope_contract.problem import ProblemError
from erfscope_engine.room import is_out_of_memory

T = TypeVar("T")


def with_less_memory(run: Callable[[int | None], T]) -> T:
    """`run(at most this micro-batch)`: any at first, one sample at a time where that does not fit."""
    try:
        return run(None)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    with memory_errors_explained():
        return run(1)


@contextmanager
def memory_errors_explained() -> Iterator[None]:
    """Turn errors of memory into a resource-limit problem."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ProblemError(
            "resource-limit",
            "The network needs more memory at this input shape than the job may use. Give a smaller input.shape, "
            "an earlier target.layer, or raise the worker's memory limit.",
        ) from error
