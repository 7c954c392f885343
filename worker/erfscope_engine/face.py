"""The library's face: any torch.nn.Module in, receptive fields out."""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from erfscope.contract.problem import FieldError, ProblemError
from erfscope.contract.request import ErfRequest
from erfscope_engine.arithmetic import torch_dtype
from erfscope_engine.measure import Measurement, measure_network
from erfscope_engine.module import network_of
from erfscope_engine.plan import trace_network
from erfscope_engine.receptive import ReceptiveField, receptive_field_of
from erfscope_engine.units import center_of


def measure(
    module: nn.Module,
    input_shape: tuple[int, ...],
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[str, float], None] = lambda stage, share: None,
    **fields: Any,
) -> Measurement:
    """Measure the ERF of a unit of `module` for inputs of `input_shape` ([C, H, W], no batch).

    `fields` are those of ErfRequest: target={"layer": "layer4", "unit": [3, 3]}, average={"inputs": 64}.
    Layers are named as in `module.named_modules()`. Raises ProblemError.
    """
    try:
        request = ErfRequest.model_validate(fields)
    except ValidationError as error:
        found = [FieldError(pointer="/" + "/".join(map(str, e["loc"])), detail=e["msg"]) for e in error.errors()]
        words = "; ".join(f"{one.pointer}: {one.detail}" for one in found)
        raise ProblemError("invalid-request", f"{words}. Fields are those of ErfRequest.", errors=found) from None
    dtype = torch_dtype(request.dtype)
    return measure_network(network_of(module, input_shape, dtype=dtype, device=device), request, progress=progress)


def receptive_field(
    module: nn.Module,
    input_shape: tuple[int, ...],
    *,
    layer: str = "auto",
    unit: tuple[int, ...] | None = None,
) -> ReceptiveField:
    """The exact theoretical receptive field of a unit (the centre by default), from one forward run."""
    traced, found = trace_network(network_of(module, input_shape), layer, samples=1)
    return receptive_field_of(traced, found, center_of(found) if unit is None else unit)
