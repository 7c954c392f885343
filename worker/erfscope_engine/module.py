"""Any torch.nn.Module as a Network: names come from its submodules."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from erfscope.contract.problem import ProblemError
from erfscope_engine.network import Mark, Network


def network_of(
    module: nn.Module,
    input_shape: tuple[int, ...],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Network:
    """Wrap a copy of `module`, frozen and in evaluation mode, for inputs of `input_shape` (without the batch)."""
    module = deepcopy(module).eval().requires_grad_(False).to(device=device, dtype=dtype)

    def run(x: Tensor, mark: Mark) -> object:
        with _hooks(module, mark):
            try:
                return module(x)
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                words = str(error).split("\n", 1)[0]
                raise ProblemError(
                    "shape-mismatch", f"The module does not take an input of {list(input_shape)}: {words}"
                ) from error

    return Network(type(module).__name__, run, "input", tuple(input_shape), dtype, torch.device(device))


@contextmanager
def _hooks(module: nn.Module, mark: Mark) -> Iterator[None]:
    calls: Counter[str] = Counter()
    with ExitStack() as stack:
        for name, child in module.named_modules():
            handle = child.register_forward_hook(partial(_name_output, mark, calls, name or "output"))
            stack.callback(handle.remove)
        yield


def _name_output(mark: Mark, calls: Counter[str], name: str, module: nn.Module, args: object, out: object) -> None:
    """A module that is called again marks its later outputs as name:2, name:3 …"""
    calls[name] += 1
    label = name if calls[name] == 1 else f"{name}:{calls[name]}"
    if isinstance(out, Tensor):
        mark(label, type(module).__name__, out)
    elif isinstance(out, (tuple, list, dict)):
        items = out.items() if isinstance(out, dict) else enumerate(out)
        for key, item in items:
            if isinstance(item, Tensor):
                mark(f"{label}.{key}", type(module).__name__, item)
