"""The method by gradients: units are started, sampled in teams that share their runs, and averaged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from erfscope_contract.problem import ProblemError
from erfscope_contract.result import Samples, Verify
from erfscope_engine.average import most_units
from erfscope_engine.ensemble import Ensemble
from erfscope_engine.execution.program import Program
from erfscope_engine.gradient import Forward, Probe, Started, executor_for, started, steps_by_autograd
from erfscope_engine.layers import Place
from erfscope_engine.plan import Plan, sharing
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.sampling import Sampled, Sampler, errors_of, errors_of_ratios, new_average
from erfscope_engine.tail import Tail, tails_of
from erfscope_engine.taking import Errors, Order, Taken, geometry_of
from erfscope_engine.units import places_of
from erfscope_engine.verify import verified

Key = tuple[str, tuple[int, ...]]  # a layer's name and a unit


@dataclass(frozen=True)
class ByGradient:
    """Sampled gradients; `sampler` takes the samples, `ensemble` binds draws of the weights."""

    sampler: Sampler
    ensemble: Ensemble | None = None
    begun: dict[Key, Started] = field(default_factory=dict)  # what was looked at before it was decided to measure it

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
        """Units with their channels decided; `doubted`: their gradients may be rounding and nothing else."""
        request, wanted, traced = order.request, order.request.target.channels, order.plan.traced
        key = (places[0].layer.name, places[0].unit)
        if len(places) == 1 and key in self.begun:
            return [self.begun.pop(key)]
        channels = wanted if isinstance(wanted, str) else tuple(wanted)
        executor, tails = executor_for(traced, places), list[Tail | None]([None] * len(places))
        if isinstance(executor, Program) and (doubted or channels == "auto"):
            tails = tails_of(traced, executor, [place.layer.batch for place in places])
            executor = replace(executor, handed=frozenset(k for tail in tails if tail for k in tail.edge))
        forward = Forward(traced, executor, request.average.seed, request.input.source, order.images)
        rectified = request.protocol == "replknet"
        probes = [Probe(forward, n, place, channels, rectified=rectified) for n, place in enumerate(places)]
        return [started(probe, tail) for probe, tail in zip(probes, tails, strict=True)]

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
        probe.channels if isinstance(probe.channels, str) else ", ".join(map(str, probe.channels)), errors,
    )  # fmt: skip
