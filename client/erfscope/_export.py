"""torch.nn.Module → ONNX bytes; the only place of the SDK that needs torch (the caller has it)."""

import io
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from erfscope._errors import refuse

if TYPE_CHECKING:
    import torch


def export(module: "torch.nn.Module", input_shape: Sequence[int] | None) -> bytes:
    """The module in evaluation mode, traced at [1, *input_shape]; its own mode is restored afterwards."""
    import torch

    if not input_shape:
        raise refuse(
            "invalid-request",
            "a torch.nn.Module does not know its input; give input_shape, without the batch: input_shape=(3, 224, 224)",
        )
    first = next(module.parameters(), torch.empty(0))
    sample = torch.zeros(1, *input_shape, dtype=first.dtype, device=first.device)
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        return _write(torch, module, sample)
    except Exception as error:  # the exporters raise whatever the user's forward raises
        raise refuse(
            "unsupported-model",
            f"{type(module).__name__} could not be exported to ONNX at input shape {list(input_shape)}: "
            f"{type(error).__name__}: {str(error).strip()[:2000]}",
        ) from error
    finally:
        for part, mode in modes:
            part.training = mode


def _write(torch: Any, module: "torch.nn.Module", sample: "torch.Tensor") -> bytes:
    # The tracing exporter comes first: it names nodes by module path (/layer4/Add), which is what people ask
    # for, and needs no further package. The dynamo one (onnxscript) is for modules that cannot be traced.
    try:
        return _export_once(torch, module, sample, dynamo=False)
    except Exception as first:
        if find_spec("onnxscript") is None:
            raise
        try:
            return _export_once(torch, module, sample, dynamo=True)
        except Exception:
            raise first from None  # it speaks of the module's own code, the other of the exporter's


def _export_once(torch: Any, module: "torch.nn.Module", sample: "torch.Tensor", *, dynamo: bool) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations are not the caller's
        torch.onnx.export(module, (sample,), buffer, dynamo=dynamo, input_names=["input"], verbose=False)
    return buffer.getvalue()
