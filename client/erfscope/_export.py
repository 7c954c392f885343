"""torch.nn.Module → ONNX, in memory or in files; the only place of the SDK that needs torch (the caller has it)."""

import inspect
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from erfscope._errors import refuse
from erfscope._split import split

if TYPE_CHECKING:
    import torch


InputShape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]
"""The shape of the only input, or that of each by the name of forward's argument; without the batch."""
Target = Callable[[], io.BytesIO | str]  # where the next attempt writes to
ONLY = "input"
LARGE = 256 << 20  # bytes of weights above which they are written beside the model: a message holds 2 GiB at most


def is_large(module: "torch.nn.Module") -> bool:
    """Whether the weights of a module are to be written beside the model."""
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) > LARGE


def export(module: "torch.nn.Module", input_shape: InputShape | None) -> bytes:
    """The module in evaluation mode, traced at [1, *input_shape]; its own mode is restored afterwards."""
    buffers: list[io.BytesIO] = []

    def target() -> io.BytesIO:
        buffers.append(io.BytesIO())
        return buffers[-1]

    _export(module, input_shape, target)
    return buffers[-1].getvalue()


def export_to(module: "torch.nn.Module", input_shape: InputShape | None, path: Path) -> None:
    """Like `export`, into a file, with the weights in files beside it."""
    _export(module, input_shape, lambda: str(path))
    split(path)


def _export(module: "torch.nn.Module", input_shape: InputShape | None, target: Target) -> None:
    import torch

    if not input_shape:
        raise refuse(
            "invalid-request",
            "a torch.nn.Module does not know its input; give input_shape, without the batch: input_shape=(3, 224, 224)",
        )
    first = next(module.parameters(), torch.empty(0))
    samples = {
        name: torch.zeros(1, *shape, dtype=first.dtype, device=first.device)
        for name, shape in _named(module, input_shape).items()
    }
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        _write(torch, module, samples, target)
    except Exception as error:  # the exporters raise whatever the user's forward raises
        raise refuse(
            "unsupported-model",
            f"{type(module).__name__} could not be exported to ONNX at input shape {_words(input_shape)}: "
            f"{type(error).__name__}: {str(error).strip()[:2000]}",
        ) from error
    finally:
        for part, mode in modes:
            part.training = mode


def _write(torch: Any, module: "torch.nn.Module", samples: "Mapping[str, torch.Tensor]", target: Target) -> None:
    # The tracing exporter comes first: it names nodes by module path (/layer4/Add), which is what people ask
    # for, and needs no further package. The dynamo one (onnxscript) is for modules that cannot be traced.
    try:
        _export_once(torch, module, samples, target(), dynamo=False)
    except Exception as first:
        if find_spec("onnxscript") is None:
            raise
        try:
            _export_once(torch, module, samples, target(), dynamo=True)
        except Exception:
            raise first from None  # it speaks of the module's own code, the other of the exporter's


def _export_once(
    torch: Any,
    module: "torch.nn.Module",
    samples: "Mapping[str, torch.Tensor]",
    file: io.BytesIO | str,
    *,
    dynamo: bool,
) -> None:
    with warnings.catch_warnings(), torch.no_grad(), _taking(module, list(samples)):
        warnings.simplefilter("ignore")  # the exporter's own deprecations are not the caller's
        torch.onnx.export(
            module, tuple(samples.values()), file, dynamo=dynamo, input_names=list(samples), verbose=False
        )


@contextmanager
def _taking(module: "torch.nn.Module", names: list[str]) -> Iterator[None]:
    """While forward takes these arguments alone, in this order: exporters make inputs of defaults."""
    forward = module.forward
    parameters = list(inspect.signature(forward).parameters)
    if len(parameters) == len(names) and names in ([ONLY], parameters):
        yield
        return

    def by_name(*tensors: "torch.Tensor") -> object:
        return forward(*tensors) if names == [ONLY] else forward(**dict(zip(names, tensors, strict=True)))

    module.forward = by_name
    try:
        yield
    finally:
        del module.forward


def _named(module: "torch.nn.Module", input_shape: InputShape) -> dict[str, Sequence[int]]:
    """The shape of each input by name, in the order of forward's arguments; the only one is called "input"."""
    if not isinstance(input_shape, Mapping):
        return {ONLY: input_shape}
    parameters = inspect.signature(module.forward).parameters
    unknown = [name for name in input_shape if name not in parameters]
    if unknown:
        raise refuse(
            "invalid-request",
            f"input_shape names {unknown[0]!r}, which {type(module).__name__}.forward does not take; it takes "
            f"{', '.join(map(repr, parameters))}",
        )
    return {name: input_shape[name] for name in parameters if name in input_shape}


def _words(input_shape: InputShape) -> str:
    if not isinstance(input_shape, Mapping):
        return str(list(input_shape))
    return ", ".join(f"{name} {list(shape)}" for name, shape in input_shape.items())
