"""The analytic method: the expected squared gradient of every unit in one pass forward and one back."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, Source, Statistic
from erfscope_contract.result import Samples, Verify
from erfscope_engine.execution.box import lengths
from erfscope_engine.execution.program import Program, Run
from erfscope_engine.gradient import listed
from erfscope_engine.layers import Layer, Place
from erfscope_engine.moments.program import OutOfRangeError, moment_program
from erfscope_engine.moments.state import Moments
from erfscope_engine.network import Network
from erfscope_engine.plan import plan_for, sharing
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.report import Measured
from erfscope_engine.taking import Order, Taken, geometry_of
from erfscope_engine.units import places_of

Array = NDArray[np.float64]
EXPECTED = {"drawn": "the expectation is over weights drawn by their schemes, independently",
            "given": "given weights are squared: the expectation is over independent signs of them"}  # fmt: skip
SIGNED = "the channel sum is taken as its expectation over random signs of the channels"
GAUSSIAN = "statistic '{statistic}' is that of a Gaussian gradient of the expected square"
NORMAL = math.sqrt(2 / math.pi)  # E|g| of a Gaussian of variance 1

# From expected squares (channels first) to a map; a Gaussian gradient is taken for what is not a mean square.
STATISTICS: dict[Statistic, Callable[[Array], Array]] = {
    Statistic.RMS: lambda squares: np.sqrt(squares.mean(axis=0)),
    Statistic.ABS: lambda squares: NORMAL * np.sqrt(squares).mean(axis=0),
    Statistic.RELU: lambda squares: NORMAL / 2 * np.sqrt(squares).mean(axis=0),
}


@dataclass(frozen=True)
class ByExpectation:
    """Weights that a scheme draws are random: the map is the root of the mean square gradient over their draws.

    Exact for linear networks and for chains of convolutions and ReLUs. Given weights are squared. Nothing is sampled:
    samples are 0, and there are no standard errors (Luo et al. 2016, section 2).
    """

    drawn: bool

    def take(self, order: Order, places: Sequence[Place]) -> Iterator[tuple[int, Taken]]:
        """Every unit's map; units that see much of the same share the forward pass."""
        self._say(order)
        teams = sharing(order.plan.traced, places)
        for number, team in enumerate(teams):
            order.progress("measure", number / len(teams))
            yield from zip(team, self._team(order, [places[n] for n in team]), strict=True)

    def autograd(self, order: Order) -> list[tuple[str, str]]:
        """None: what has no rule is refused."""
        return []

    def verified(self, order: Order, place: Place) -> Verify | None:
        """There is no sample to compare."""
        return None

    def _say(self, order: Order) -> None:
        request = order.request
        words = [EXPECTED["drawn" if self.drawn else "given"]]
        if request.average.statistic is not Statistic.RMS:
            words.append(GAUSSIAN.format(statistic=request.average.statistic.value))
        if request.target.channels == "sum":
            words.append(SIGNED)
        order.notes.update(dict.fromkeys(f"Analytic: {word}." for word in words))

    def _team(self, order: Order, places: Sequence[Place]) -> list[Taken]:
        """Float32 unless the request is wider, or the squares leave its range."""
        if order.request.dtype != "float64":
            try:
                return self._squares(order, places, torch.float32)
            except OutOfRangeError:
                pass
        return self._squares(order, places, torch.float64)

    @torch.no_grad()
    def _squares(self, order: Order, places: Sequence[Place], dtype: torch.dtype) -> list[Taken]:
        traced = order.plan.traced
        targets = [(place.layer.value, place.box) for place in places]
        program = moment_program(traced.geometry, targets, dtype, drawn=self.drawn)
        order.notes.update(dict.fromkeys(f"Analytic: {note}." for note in program.notes))
        passed = program.run(_input(order, dtype))
        return [_taken(order, program, passed, n, place, dtype) for n, place in enumerate(places)]


def _taken(order: Order, program: Program, passed: Run, n: int, place: Place, dtype: torch.dtype) -> Taken:
    """The map of expected squares of one unit."""
    if not passed.is_differentiable(n):
        raise ProblemError(
            "no-gradient",
            f"Layer {place.layer.name!r} is computed from the input only through operators without a gradient "
            "(comparison, rounding, search, detach). Name an earlier layer.",
            layer=place.layer.name,
        )
    squares = passed.back(n, _seed(order, place, dtype))
    field = receptive_field_of(order.plan.traced, place)
    window = [program.boxes[0][k] for k in order.plan.traced.space]
    raw = np.zeros(order.plan.traced.spatial_shape)
    if squares is not None:
        raw[tuple(slice(lo, hi) for lo, hi in window)] = _reduced(order, squares[:1].double().cpu().numpy()[0], window)
    if not np.isfinite(raw).all():
        raise ProblemError(
            "non-finite-output", f"The expected gradient of layer {place.layer.name!r} is infinite or NaN."
        )
    wanted = order.request.target.channels
    channels = ("random" if wanted == "auto" else wanted) if isinstance(wanted, str) else "list"
    return Taken(
        place, field, geometry_of(field), raw, 0, Samples(used=0, dead=0), channels, lambda briefly: {}
    )  # fmt: skip


def _reduced(order: Order, squares: Array, window: Sequence[tuple[int, int]]) -> Array:
    """Expected squares on the input's box → the statistic on its spatial axes."""
    space = [k - 1 for k in order.plan.traced.space]
    others = [k for k in range(squares.ndim) if k not in space]
    ordered = squares.transpose([*others, *space]).reshape(-1, *lengths(tuple(window)))
    return STATISTICS[order.request.average.statistic](ordered)


def _seed(order: Order, place: Place, dtype: torch.dtype) -> Tensor:
    """1 on the unit's channels, or on the listed ones, of sample 0."""
    device = order.plan.traced.network.device
    seed = torch.zeros(lengths(place.box), dtype=dtype, device=device)
    wanted, layer = order.request.target.channels, place.layer
    first = seed.narrow(layer.batch, 0, 1)
    first.fill_(1) if isinstance(wanted, str) else first.copy_(listed(tuple(wanted), layer, first))
    return seed


def _input(order: Order, dtype: torch.dtype) -> Moments:
    """Mean and variance of each number of the input."""
    network, source = order.plan.traced.network, order.request.input.source
    shape = (order.plan.traced.tape.batch, *network.input_shape)

    def flat(value: float) -> Tensor:
        return torch.full(shape, value, dtype=dtype, device=network.device)

    if source is Source.IMAGES:
        images = np.stack(order.images).astype(np.float64)
        mean, variance = (torch.from_numpy(a).to(flat(0)).expand(shape) for a in (images.mean(0), images.var(0)))
        return Moments(mean, variance)
    means = {Source.NORMAL: None, Source.ZEROS: None, Source.UNIFORM: flat(0.5), Source.ONES: flat(1)}
    variances = {Source.NORMAL: 1.0, Source.UNIFORM: 1 / 12}
    return Moments(means[source], flat(variances.get(source, 0.0)))


@contextmanager
def expecting(network: Network, request: ErfRequest, *, restore: bool = True) -> Iterator[ByExpectation]:
    """The method for a request, while the network's weights stand for the standard deviations of their draws.

    Afterwards they are those of draw 0 again, unless nobody needs them (`restore`).

    Raises ProblemError("unsupported-feature") where the request asks for what only samples have.
    """
    _refuse(request)
    drawn = network.spread is not None
    try:
        if network.spread is not None:
            network.spread()
        yield ByExpectation(drawn)
    finally:
        if drawn and restore and network.redraw is not None:
            network.redraw(0)


def _refuse(request: ErfRequest) -> None:
    if request.average.statistic is Statistic.SIGNED:
        raise ProblemError(
            "unsupported-feature",
            "average.statistic 'signed' has the expectation 0 under method 'analytic'; ask for rms or abs.",
        )
    if request.average.weights > 1 or request.average.until is not None:
        asked = "until" if request.average.until is not None else "weights > 1 (draws)"
        raise ProblemError(
            "unsupported-feature",
            f"average.{asked} is for sampled gradients, and method 'analytic' samples nothing: its expectation is over "
            "all draws at once. Leave it out, or use method 'gradient'.",
        )
    if request.protocol != "erfscope":
        raise ProblemError(
            "unsupported-feature",
            f"protocol {request.protocol!r} is defined on sampled gradients; use it with method 'gradient'.",
        )
    if request.verify:
        raise ProblemError(
            "unsupported-feature",
            "verify compares one sample with plain autograd, and method 'analytic' samples nothing; use 'gradient'.",
        )


def expected_size(network: Network, request: ErfRequest) -> tuple[float | None, Measured]:
    """Luo's ERF size of the wanted unit alone, by the analytic method, and its row: what a search asks many times.

    Drawn weights are left as the standard deviations of their draws. Raises ProblemError as a measurement does.
    """
    with expecting(network, request, restore=False) as method:
        plan = plan_for(network, request.target.layer, samples=1)
        order = Order(request, plan, (), lambda stage, share: None)
        ((_, taken),) = method.take(order, places_of(request.target, plan.layer)[:1])
    if taken.is_dead:
        layer: Layer = taken.layer
        raise ProblemError("no-gradient", f"No gradient reaches the input from layer {layer.name!r}.", layer=layer.name)
    row = Measured.of(taken, briefly=True)
    return row.metrics.erf.size, row
