"""How much memory a measurement may use, and a refusal in words before a run that has no room begins."""

import os
from contextlib import suppress
from pathlib import Path

import torch

from erfscope_contract.problem import ProblemError
from erfscope_engine.execution.memory import peak_bytes
from erfscope_engine.execution.program import Program
from erfscope_engine.heap import data_bytes
from erfscope_engine.layers import Layer, Traced

CGROUP = Path("/sys/fs/cgroup/memory.max")
GIB = 1 << 30


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python or torch could not get memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def memory_limit(device: torch.device) -> int | None:
    """Bytes that this process may use on a device, the least of what is set; None where nothing is known.

    On a CPU: the machine's memory, the container's limit, and the process' own limit of data beyond what it has. Never
    what happens to be free: the same question is planned alike whatever else runs.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    if device.type != "cpu":
        return None
    limits = [_physical(), _of_container(), _of_process()]
    return min((limit for limit in limits if limit is not None), default=None)


def steady(size: int) -> int:
    """A size in eighths of a power of two, downward: what differs a little between processes gives one plan."""
    step = 1 << max(size.bit_length() - 3, 0)
    return size // step * step


def _physical() -> int | None:
    with suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _of_container() -> int | None:
    with suppress(ValueError, OSError):
        return int(CGROUP.read_text(encoding="ascii"))
    return None  # "max", or no such file


def _of_process() -> int | None:
    """What RLIMIT_DATA leaves beyond what the process has."""
    with suppress(ImportError, OSError):
        import resource  # not on Windows

        soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
        used = data_bytes()
        return None if soft == resource.RLIM_INFINITY or used is None else max(soft - used, 0)
    return None


def refuse_without_room(traced: Traced, program: Program, layer: Layer) -> None:
    """Raise ProblemError("resource-limit") where a run needs more memory than there is at all."""
    limit, needed = memory_limit(traced.network.device), peak_bytes(program)
    if limit is None or needed <= limit:
        return
    raise ProblemError(
        "resource-limit",
        f"Layer {layer.name!r} at input shape {list(traced.network.input_shape)} needs about {needed / GIB:.1f} GiB of "
        f"memory for {traced.tape.batch} sample(s) at once, and this process may use {limit / GIB:.1f} GiB. Give a "
        "smaller input.shape, an earlier target.layer, or raise the memory limit.",
        layer=layer.name,
    )
