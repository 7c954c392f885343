"""Verification: one sample as it is measured, beside plain autograd on the whole network."""

from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray

from erfscope_contract.problem import ProblemError
from erfscope_contract.result import Verify
from erfscope_engine.eager import WholeNetwork
from erfscope_engine.execution.box import cut, full
from erfscope_engine.gradient import Forward, Probe, executor_for, sample_gradients, seed_of, started
from erfscope_engine.layers import Place
from erfscope_engine.network import Network
from erfscope_engine.plan import MISFITS, plan_for
from erfscope_engine.taking import Order


def verified(order: Order, place: Place) -> Verify:
    """The relative L2 difference of the first sample's gradient from plain autograd's.

    Both in float64 where the network can be had so: in float32 a ReLU near 0 flips between kernels, which would hide
    whether the same thing is computed (4e-3 on a ResNet-50). Raises what the network raises.
    """
    network = order.plan.traced.network
    wide = network.wide()
    if wide is not None:
        with suppress(*MISFITS):
            return _compared(order, place, wide)
    return _compared(order, place, network)


def _compared(order: Order, place: Place, network: Network) -> Verify:
    request = order.request
    plan = plan_for(network, place.layer.name, samples=1, at_most=1)
    layer = plan.traced.layer(place.layer.name)
    same = Place(layer, place.unit, place.by_index)
    wanted = request.target.channels
    forward = Forward(
        plan.traced, executor_for(plan.traced, [same]), request.average.seed, request.input.source, order.images
    )
    channels = wanted if isinstance(wanted, str) else tuple(wanted)
    probe = started(Probe(forward, 0, same, channels, rectified=request.protocol == "replknet")).probe
    rows = network.batch or 1
    ours = np.zeros((rows, *network.input_shape))
    inside = tuple(slice(lo, hi) for lo, hi in probe.box)
    ours[inside] = sample_gradients(probe, range(rows))
    truth = _by_autograd(probe, network, rows)
    size = float(np.linalg.norm(truth))
    difference = float(np.linalg.norm(ours - truth))
    return Verify(relative_difference=difference / size if size else difference)


def _by_autograd(probe: Probe, network: Network, rows: int) -> NDArray[np.float64]:
    """Plain autograd on the whole network, with the same seed on the same unit."""
    box = probe.place.box
    run = WholeNetwork(network, ((probe.layer.name, full(probe.layer.shape)),), rows).run(
        probe.forward.inputs(range(rows))
    )
    graph = run.graphs[0]
    if tuple(graph.shape) != probe.layer.shape:
        raise ProblemError("internal", f"layer {probe.layer.name!r} has shape {list(graph.shape)} by autograd")
    seed = torch.zeros_like(graph)
    part = cut(seed, full(probe.layer.shape), box)
    part.copy_(seed_of(probe, cut(graph.detach(), full(probe.layer.shape), box), range(rows)))
    g = run.back(0, seed)
    return np.zeros((rows, *network.input_shape)) if g is None else g.double().cpu().numpy()
