"""The ways to have the gradient of the centre unit: a research script's, a careful engineer's, and ours.

The script runs the whole image, one at a time. The expert crops the image to the TRF, folds normalisations into the
convolutions before them, freezes the weights, keeps channels last, and takes the best batch of 1, 4 and 8; both by
plain autograd. Ours is a whole measurement: draws, averages, errors and the result, all that a sample costs.
"""

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from math import ceil
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from benchmarks.cone import bare_cone, clocked_measurement
from erfscope_engine import ReceptiveField, network_of, receptive_field
from erfscope_engine.heap import kept_heap

BATCHES = (1, 4, 8)
LEAST_SECONDS = 0.4  # of a timing: shorter runs are repeated
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


class Way(Protocol):
    """One way on one body: `seconds()` of a sample, when the process is warm."""

    def seconds(self) -> float: ...


def center_gradient(body: nn.Module, x: Tensor, unit: Sequence[int] | None = None) -> Tensor:
    """Gradient of the ReLU of a unit's channels, summed (the RepLKNet script's); the centre is shape // 2."""
    x = x.clone().requires_grad_()
    out = body(x)
    at = tuple(n // 2 for n in out.shape[2:]) if unit is None else tuple(unit)
    (g,) = torch.autograd.grad(nn.functional.relu(out[(slice(None), slice(None), *at)]).sum(), x)
    return g


class Script:
    """One whole image after the other."""

    def __init__(self, body: nn.Module, shape: tuple[int, ...], device: str) -> None:
        self.body, self.x = body, torch.randn(1, *shape, device=device)

    def __call__(self) -> Tensor:
        return center_gradient(self.body, self.x)

    def seconds(self) -> float:
        return timed(self, self.x.device.type)


class Expert:
    """A crop, folded normalisations, channels last, several samples at once; `multiple`: see `bodies.Row`."""

    def __init__(self, body: nn.Module, shape: tuple[int, ...], device: str, multiple: int) -> None:
        self.device = device
        self.crop = crop_of(receptive_field(body, shape), multiple)
        self.unit = unit_in(body, shape, device, self.crop)
        self.format = FORMATS.get(len(shape) + 1, torch.contiguous_format)
        self.body = folded(deepcopy(body).eval()).requires_grad_(False).to(memory_format=self.format)
        self.shape = (shape[0], *(hi - lo for lo, hi in self.crop))
        self.batch = min(BATCHES, key=self._seconds_at)

    def __call__(self, x: Tensor) -> Tensor:
        """The gradient on the crop, of a batch of crops."""
        return center_gradient(self.body, x.contiguous(memory_format=self.format), self.unit)

    def _seconds_at(self, batch: int) -> float:
        x = torch.randn(batch, *self.shape, device=self.device, dtype=next(self.body.parameters()).dtype)
        return timed(lambda: self(x), self.device) / batch

    def seconds(self) -> float:
        return self._seconds_at(self.batch)


class Ours:
    """A measurement of many samples, from the first draw to the result; `planning` is paid once, before them."""

    def __init__(self, body: nn.Module, shape: tuple[int, ...], device: str, inputs: int) -> None:
        self.inputs, self.network = inputs, network_of(body, shape, device=device)
        clocked_measurement(self.network, 1)  # imports that the first measurement of a process pays
        self.plannings: list[float] = []

    def seconds(self) -> float:
        planning, sampling = clocked_measurement(self.network, self.inputs)
        self.plannings.append(planning)
        return sampling / self.inputs


class Cone:
    """The engine's arithmetic alone, by its own micro-batch."""

    def __init__(self, body: nn.Module, shape: tuple[int, ...], device: str, inputs: int) -> None:
        self.device, self.cone = device, bare_cone(body, shape, samples=inputs, device=device)
        self.x = torch.randn(self.cone.batch, *shape, device=device)

    def __call__(self) -> Tensor:
        return self.cone.gradient(self.x, torch.ones_like)

    def seconds(self) -> float:
        return timed(self, self.device) / self.cone.batch


def crop_of(field: ReceptiveField, multiple: int) -> tuple[tuple[int, int], ...]:
    """The part of the image that holds the TRF and begins and ends at multiples; all of it where the TRF is global."""
    if field.is_global:
        return tuple((0, n) for n in field.shape)
    return tuple(
        (max(lo // multiple * multiple, 0), min(-(-hi // multiple) * multiple, n))
        for (lo, hi), n in zip(field.box, field.shape, strict=True)
    )


def unit_in(body: nn.Module, shape: tuple[int, ...], device: str, crop: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The index of the centre unit in the output on a crop."""
    with torch.no_grad():
        like = next(body.parameters())
        extents = body(torch.zeros(1, *shape, device=device, dtype=like.dtype)).shape[2:]
    return tuple(m // 2 - lo * m // n for m, n, (lo, _) in zip(extents, shape[1:], crop, strict=True))


def folded(body: nn.Module) -> nn.Module:
    """The body with every normalisation that follows a convolution alone taken into it (torch.fx)."""
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in body.modules()):
        return body
    traced = torch.fx.symbolic_trace(body)
    modules: dict[str, Any] = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        norm, before = modules.get(str(node.target)), node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(norm, nn.modules.batchnorm._BatchNorm):
            continue
        name = str(before.target) if isinstance(before, torch.fx.Node) and len(before.users) == 1 else ""
        if isinstance(modules.get(name), (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            modules[name] = nn.utils.fuse_conv_bn_eval(modules[name], norm)
            traced.set_submodule(name, modules[name])
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def timed(run: Callable[[], object], device: str) -> float:
    """Seconds of a run behind another that warms heap and caches, the mean of as many as LEAST_SECONDS hold.

    The heap is kept as in our measurements, so that what one of them has handed back slows nobody.
    """
    with kept_heap():
        count = max(ceil(LEAST_SECONDS / clocked(run, device)), 1)
        return clocked(lambda: [run() for _ in range(count)], device) / count


def clocked(run: Callable[[], object], device: str) -> float:
    """Seconds until a run is done, on a GPU too."""
    wait(device)
    begun = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - begun


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
