"""Measuring networks for advice: expected sizes, sizes by gradient, cost, latency."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from erfscope_contract.advice import AdviceRequest, Picture
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import AverageOptions, ErfRequest, TargetOptions
from erfscope_engine.advice.cost import Cost, cost_of
from erfscope_engine.by_expectation import expected_size
from erfscope_engine.layers import Layer
from erfscope_engine.measure import measure_network
from erfscope_engine.measurement import Measurement
from erfscope_engine.metrics.lattice import lattice
from erfscope_engine.metrics.moments import moments
from erfscope_engine.metrics.patch import cut
from erfscope_engine.plan import plan_for
from erfscope_intake.advice.subject import Changed, Subject
from erfscope_intake.answer import images_of
from erfscope_intake.progress import Progress

CELLS = 72  # of a picture along its longer axis
RUNS = 5  # of a latency, after one that is not counted


@dataclass(frozen=True)
class Expected:
    """What the analytic method tells of a network: ERF size, side of the box with half of the mass, gridding, TRF."""

    size: float | None
    half: float | None
    lattice: float | None
    trf_size: list[int]


@dataclass(frozen=True)
class Sized:
    """What a measurement by gradient tells."""

    size: float | None
    stderr: float | None
    half: float | None
    lattice: float | None
    trf_size: list[int]
    picture: Picture


@dataclass(frozen=True)
class State:
    """A network up to the layer: what it costs, and the layer."""

    cost: Cost
    layer: Layer


@dataclass(frozen=True)
class Bench:
    """The question, the network that it is about, and where measurements run."""

    request: AdviceRequest
    subject: Subject
    device: str
    images: Path | None = None

    @property
    def analytic(self) -> ErfRequest:
        """The expected size of the unit."""
        return ErfRequest(
            target=TargetOptions(layer=self.request.layer), method="analytic", weights=self.request.weights
        )

    @property
    def gradient(self) -> ErfRequest:
        """A measurement of it."""
        count = self.request.samples
        inputs, weights = (1, count) if self.subject.drawn else (count, 1)
        average = AverageOptions(inputs=inputs, weights=weights, seed=self.request.seed)
        return ErfRequest(
            target=TargetOptions(layer=self.request.layer),
            average=average,
            weights=self.request.weights,
            input=self.request.input,
        )

    def expected(self, change: Changed | None) -> Expected | None:
        """By the analytic method, size None where it cannot follow the change; None where the change is not valid."""
        try:
            size, row = expected_size(self.subject.network(change, quick=True, place=self.device), self.analytic)
        except ProblemError as problem:
            if problem.kind == "resource-limit":
                raise
            return Expected(None, None, None, []) if problem.kind == "unsupported-feature" else None
        patch = cut(row.map, row.taken.geometry)
        gridding = lattice(patch, moments(patch))
        trf = [high - low for low, high in row.field.box]
        return Expected(size, row.metrics.mass["0.50"].side, None if gridding is None else gridding.score, trf)

    def sized(self, change: Changed | None, progress: Progress) -> Sized:
        """By gradient."""
        network = self.subject.network(change, place=self.device)
        images = images_of(self.request.input, self.images, network)
        measured = measure_network(network, self.gradient, images=images, progress=progress)
        result = measured.result
        return Sized(
            result.erf.size, result.stderr.get("erf_size"), result.mass["0.50"].side, result.shape.lattice,
            result.trf.size, picture_of(measured),
        )  # fmt: skip

    def state(self, change: Changed | None) -> State:
        """Cost and layer at full width."""
        plan = plan_for(self.subject.network(change, place=self.subject.outline), self.request.layer, samples=1)
        return State(cost_of(plan.traced, plan.layer), plan.layer)

    @torch.no_grad()
    def milliseconds(self, change: Changed | None) -> float:
        """The median time of one input through the whole network, on this machine with its threads."""
        network = self.subject.network(change, place=self.device)
        batch = torch.zeros(network.batch or 1, *network.input_shape, dtype=network.dtype, device=network.device)
        seconds = []
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            network.run(batch, lambda name, operator, value: None)
            seconds.append(time.perf_counter() - start)
        return round(1000 * statistics.median(seconds[1:]), 3)


def picture_of(measured: Measurement) -> Picture:
    """The map's root in at most CELLS cells along an axis, each the mean of its pixels; of a volume the middle."""
    plane: NDArray[np.float64] = np.asarray(measured.map, np.float64)
    while plane.ndim > 2:
        plane = plane[plane.shape[0] // 2]
    plane = np.atleast_2d(plane)
    steps = [-(-n // CELLS) for n in plane.shape]
    padded = np.pad(plane, [(0, -n % step) for n, step in zip(plane.shape, steps, strict=True)])
    rows, columns = (n // step for n, step in zip(padded.shape, steps, strict=True))
    cells = np.sqrt(padded.reshape(rows, steps[0], columns, steps[1]).mean((1, 3)))
    scaled = np.rint(255 * cells / (cells.max() or 1)).astype(int)
    return Picture(cells=scaled.tolist(), pixels=[float(step) for step in steps])
