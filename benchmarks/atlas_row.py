"""One row of the atlas: the receptive fields and the cost of one network, with random weights."""

import copy
import warnings
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.atlas_networks import SIDE, Entry, built
from benchmarks.timm_networks import opened
from erfscope_contract.problem import ProblemError
from erfscope_engine import measure
from erfscope_engine.advice.border import border_of
from erfscope_engine.measurement import Measurement
from erfscope_engine.module import network_of
from erfscope_engine.plan import plan_for

SHAPE = (3, SIDE, SIDE)
SAMPLES, FEWER, COSTLY = 8, 4, 1_000_000_000  # samples of a network, of one with more multiply-adds than COSTLY
METRICS = ("erf_size", "mass_50_side")
MEMORY = 8 << 30  # bytes of the process of one network
MEMORY_WORDS = f"{MEMORY >> 30} GiB"


def measured(entry: dict[str, Any], most_macs: int) -> dict[str, Any]:
    """The row of one network; it is the function of a child process.

    A network of more than `most_macs` multiply-adds is not measured, and its row says so.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    module = built(Entry(**entry)).requires_grad_(False)  # torch's counter stumbles over views of trainable weights
    try:
        macs = macs_of(module)
    except (AssertionError, RuntimeError, ValueError) as error:
        words = str(error).strip().split("\n", 1)[0] or type(error).__name__
        return {"refused": f"does not run on {SIDE}×{SIDE} in {MEMORY_WORDS}: {words}"}
    parameters = sum(p.numel() for p in module.parameters())
    row = {"redrawn": opened(module), "parameters": parameters, "macs": macs}
    if macs > most_macs:
        return row | {"refused": f"left out: {macs / 1e9:.1f} G multiply-adds, more than {most_macs / 1e9:g} G"}
    try:
        return row | fields_of(module, FEWER if macs > COSTLY else SAMPLES)
    except ProblemError as problem:
        return row | {"refused": f"{problem.kind}: {problem.problem.detail}"}


def macs_of(module: nn.Module) -> int:
    """Multiply-adds of the network for one image, by torch's own counter, on shapes alone where that is possible."""
    try:
        return _counted(copy.deepcopy(module).to("meta"), torch.zeros(1, *SHAPE, device="meta"))
    except (RuntimeError, NotImplementedError, TypeError):  # operators without a rule for shapes, or values in Python
        return _counted(module, torch.zeros(1, *SHAPE))


def _counted(module: nn.Module, image: torch.Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(image)
    return int(counter.get_total_flops()) // 2


def fields_of(module: nn.Module, samples: int) -> dict[str, Any]:
    """Fields of the centre unit of the layer that `auto` takes, with the gradient of one sample verified."""
    measurement = measure(module, SHAPE, average={"inputs": samples}, verify=True)
    result = measurement.result
    trf, verify = result.trf, result.verify
    if verify is None:
        raise AssertionError("a row without verification")
    return {
        "layer": result.layer.name,
        "unit": result.unit,
        "trf": trf.size,
        "global": trf.is_global,
        "stride": trf.stride,
        "alignment": trf.alignment,
        "center": trf.center,
        "erf": result.erf.size,
        "mass_50": result.mass["0.50"].side,
        "r": {share: area.ratio for share, area in result.mass.items()},
        "stderr": {name: result.stderr.get(name) for name in METRICS},
        "samples": samples,
        "channels": result.provenance.channels,
        "verify": verify.relative_difference,
    } | _layers_of(module, measurement)


def _layers_of(module: nn.Module, measurement: Measurement) -> dict[str, Any]:
    """Depth and border layers up to the measured layer (Richter et al. 2021); positions count layers with weights."""
    plan = plan_for(network_of(module, SHAPE), measurement.result.layer.name, samples=1)
    border = border_of(plan.traced, plan.layer)
    return {
        "depth": border.depth,
        "weighted_layers": len(border.layers),
        "border": None if border.longest is None else border.layers[border.longest],
        "border_at": border.longest,
        "border_shortest": None if border.shortest is None else border.layers[border.shortest],
        "border_shortest_at": border.shortest,
    }
