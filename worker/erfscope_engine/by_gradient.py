"""The method by gradients: units are started, sampled in teams that share their runs, and averaged."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from erfscope_contract.problem import ProblemError
from erfscope_contract.result import Samples, Verify
from erfscope_engine.average import most_units
from erfscope_engine.ensemble import Ensemble
from erfscope_engine.gradient import (
    Channels,
    Forward,
    Probe,
    Started,
    executor_for,
    started,
    steps_by_autograd,
)
from erfscope_engine.layers import Layer, Place, Traced
from erfscope_engine.plan import MISFITS, Plan, plan_for, sharing
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.recording.tape import Call
from erfscope_engine.sampling import Sampled, Sampler, errors_of, errors_of_ratios, new_average
from erfscope_engine.taking import Errors, Order, Taken, geometry_of
from erfscope_engine.units import places_of
from erfscope_engine.verify import verified

Key = tuple[str, tuple[int, ...]]  # a layer's name and a unit
MIXES_CHANNELS = ("softmax", "norm", "var_mean", "mean", "logsumexp", "sum")


@dataclass(frozen=True)
class ByGradient:
    """Sampled gradients; `sampler` takes the samples, `ensemble` binds draws of the weights."""

    sampler: Sampler
    ensemble: Ensemble | None = None
    begun: dict[Key, Started] = field(default_factory=dict)  # what was looked at before it was decided to measure it
    wide: dict[int, Plan | None] = field(default_factory=dict)  # by the id of a tape: its network in float64

    def take(self, order: Order, places: Sequence[Place]) -> Iterator[tuple[int, Taken]]:
        """Every place's average; those that see much of the same share their forward runs."""
        adaptive = order.request.average.until is not None
        teams = [[n] for n in range(len(places))] if adaptive else _teams(order.plan, places)
        for number, team in enumerate(teams):
            units = self._begun(order, [places[n] for n in team])
            self.sampler(units, order.request, partial(_report, order, number, len(teams)))
            for n, unit in zip(team, units, strict=True):
                yield n, _taken(places[n], unit)

    def is_dead(self, order: Order, place: Place) -> str:
        """Why a unit has no gradient, judged by the first samples; "" where it has one."""
        try:
            start = self._starts(order, [place], doubted=True)[0]
        except ProblemError as problem:
            if problem.kind != "no-gradient":
                raise
            return "its centre unit has no gradient with respect to the input"
        self.begun[place.layer.name, place.unit] = start
        if not start.first.any():
            return "its gradient is exactly zero (dead, or saturated)"
        return "its gradient is lost in rounding (saturated)" if start.is_noise else ""

    def autograd(self, order: Order) -> list[tuple[str, str]]:
        """Operators that autograd ran on whole tensors, and why."""
        main = places_of(order.request.target, order.plan.layer)[:1]
        return list(dict.fromkeys(steps_by_autograd(executor_for(order.plan.traced, main))))

    def channels(self, order: Order, place: Place) -> str | tuple[int, ...]:
        """What is put on a unit's channels, once `auto` is decided."""
        return self._starts(order, [place])[0].probe.channels

    def verified(self, order: Order, place: Place) -> Verify | None:
        """One sample by plain autograd on the whole network."""
        return verified(order, place) if order.request.verify else None

    def _starts(self, order: Order, places: Sequence[Place], *, doubted: bool = False) -> list[Started]:
        """Units with their channels decided; in float64 as well where `doubted`, or where `auto` depends on it."""
        request, wanted, traced = order.request, order.request.target.channels, order.plan.traced
        key = (places[0].layer.name, places[0].unit)
        if len(places) == 1 and key in self.begun:
            return [self.begun.pop(key)]
        channels = wanted if isinstance(wanted, str) else tuple(wanted)
        executor = executor_for(traced, places)
        forward = Forward(traced, executor, request.average.seed, request.input.source, order.images)
        rectified = request.protocol == "replknet"
        probes = [Probe(forward, n, place, channels, rectified=rectified) for n, place in enumerate(places)]
        unsure = (doubted or channels == "auto") and _mixes(order.plan, places[0].layer)
        exact = self._in_float64(order, places, channels) if unsure else None
        return [started(p, None if exact is None else exact[n]) for n, p in enumerate(probes)]

    def _in_float64(self, order: Order, places: Sequence[Place], channels: Channels) -> list[Probe] | None:
        """The same units of the same network in float64, where that can be had; None where it is in float64 already."""
        tape = id(order.plan.traced.tape)
        if tape not in self.wide:  # one recording for all layers of a profile
            self.wide[tape] = _wide_plan(order.plan, places)
        plan, request = self.wide[tape], order.request
        if plan is None:
            return None
        try:
            same = [Place(plan.traced.layer(p.layer.name), p.unit, p.by_index) for p in places]
        except MISFITS:
            return None
        executor = executor_for(plan.traced, same)
        forward = Forward(plan.traced, executor, request.average.seed, request.input.source, order.images)
        return [Probe(forward, n, p, channels, rectified=request.protocol == "replknet") for n, p in enumerate(same)]

    def _begun(self, order: Order, places: Sequence[Place]) -> list[Sampled]:
        units = []
        for start, place in zip(self._starts(order, places), places, strict=True):
            field = receptive_field_of(order.plan.traced, place)
            geometry = geometry_of(field)
            average = new_average(start.probe, order.request, geometry, len(places))
            units.append(Sampled(start, field, geometry, average, self.ensemble))
        return units


def _report(order: Order, number: int, teams: int, share: float) -> None:
    order.progress("measure", (number + share) / teams)


def _teams(plan: Plan, places: Sequence[Place]) -> list[list[int]]:
    """Which units run together; no more at once than their sums have room for."""
    most = most_units(plan.traced.spatial_shape)
    return [team[n : n + most] for team in sharing(plan.traced, places) for n in range(0, len(team), most)]


def _taken(place: Place, unit: Sampled) -> Taken:
    probe, average = unit.start.probe, unit.average

    def errors(briefly: bool) -> Errors:
        found = errors_of(average, unit.geometry, briefly=briefly)
        return found | errors_of_ratios(average, probe.scale) if probe.rectified and found else found

    return Taken(
        place, unit.field, unit.geometry, average.map(), probe.scale,
        Samples(used=average.used, dead=average.dead),
        probe.channels if isinstance(probe.channels, str) else "list", errors,
    )  # fmt: skip


def _mixes(plan: Plan, layer: Layer) -> bool:
    """Whether what leads to a layer mixes channels such that their sum may vanish but for rounding."""
    if plan.traced.eager:
        return False
    tape, value, seen = plan.traced.tape, layer.value, 0
    while seen < 12 and tape.values[value].made is not None:  # the calls right before it
        call = tape.calls[tape.values[value].made or 0]
        if _mixes_channels(plan.traced, call):
            return True
        if not call.refs:
            return False
        value, seen = call.refs[0].index, seen + 1
    return False


def _mixes_channels(traced: Traced, call: Call) -> bool:
    """Whether an operator relates the channels of a place, such that their sum may be the same whatever the input."""
    if "batch_norm" in call.name or not any(name in call.name for name in MIXES_CHANNELS) or not call.refs:
        return False
    frame = traced.geometry.frames[call.refs[0].index]
    dims = call.arg("dim") if call.has("dim") else None
    axes = [dims] if isinstance(dims, int) else list(dims or range(1, len(frame.axes)))
    runs = [frame.axes[k] for k in axes if frame.axes[k] != traced.geometry.frames[0].axes[0]]
    return any(digit.extent > 1 and not digit.follows for run in runs for digit in run)


def _wide_plan(plan: Plan, places: Sequence[Place]) -> Plan | None:
    """The plan's network recorded in float64, as far as its layers and these places go; None where it cannot be."""
    wide = plan.traced.network.wide()
    if wide is None:
        return None
    last = max([*(place.layer for place in places), *plan.traced.layers], key=lambda layer: layer.value)
    with suppress(*MISFITS):
        return plan_for(wide, last.name, samples=1, at_most=1)
    return None
