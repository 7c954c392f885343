"""Numbers against bounds and against other numbers: what is broken, what has changed, and the words for it."""

from dataclasses import dataclass

from erfscope.gate.rules import Bound, Drift
from erfscope_contract.flat import flatten
from erfscope_contract.meanings import unit_of
from erfscope_contract.metrics import written
from erfscope_contract.result import ErfResult, Number
from erfscope_contract.significance import DECIDES, reach

EXACT = "trf_"  # start of the metrics that follow from the graph alone and have no standard error


@dataclass(frozen=True)
class Value:
    """A metric with its standard error; None where undefined or, for the error, exact or unknown."""

    value: Number
    stderr: Number


def values(result: ErfResult) -> dict[str, Value]:
    """Every scalar of a result by its flat name."""
    return {name: Value(value, result.stderr.get(name)) for name, value in flatten(result).items()}


def shown(metric: str, found: Value) -> str:
    """`43.32 ± 0.33 px`."""
    return "undefined" if found.value is None else written(metric, found.value, found.stderr)


def range_of(metric: str, bound: Bound) -> str:
    """`≥ 96 px`, `≤ 1`, `60 … 80 px`."""
    unit = f" {unit_of(metric)}".rstrip()
    if bound.min is None or bound.max is None:
        return f"≥ {bound.min:g}{unit}" if bound.min is not None else f"≤ {bound.max:g}{unit}"
    return f"{bound.min:g}{unit}" if bound.min == bound.max else f"{bound.min:g} … {bound.max:g}{unit}"


def broken_end(bound: Bound, value: Number) -> str:
    """Which end is broken: `min`, `max`, `undefined`, or nothing."""
    if value is None:
        return "undefined"
    if bound.min is not None and value < bound.min:
        return "min"
    return "max" if bound.max is not None and value > bound.max else ""


def nearness(bound: Bound, found: Value) -> str:
    """A sentence where the value lies so near to a bound that its standard error matters."""
    if found.value is None or not found.stderr:
        return ""
    away = min(abs(found.value - end) for end in (bound.min, bound.max) if end is not None) / found.stderr
    if away >= DECIDES:
        return ""
    return f"That is {away:.1f} standard errors from the bound: with more `inputs` it may come out otherwise."


@dataclass(frozen=True)
class Change:
    """A metric here and elsewhere: in the baseline, or of another model."""

    metric: str
    now: Value
    base: Value
    allowed: Drift

    @property
    def size(self) -> float | None:
        """Signed, in the metric's unit; None where either is undefined."""
        return None if self.now.value is None or self.base.value is None else self.now.value - self.base.value

    @property
    def tolerance(self) -> float:
        """The largest change that is allowed, in the metric's unit."""
        return self.allowed.tolerance(self.base.value or 0.0)

    @property
    def noise(self) -> float:
        """Two standard errors of the difference of two independent measurements."""
        return reach(self.now.stderr, self.base.stderr)

    @property
    def is_drift(self) -> bool:
        """Beyond the tolerance, and beyond what the standard errors explain; undefined on one side alone counts."""
        if self.size is None:
            return (self.now.value is None) != (self.base.value is None)
        return abs(self.size) > self.tolerance and abs(self.size) > self.noise

    def told(self, other: str) -> str:
        """The change against `other`, what is allowed, and the standard errors, in one sentence."""
        if self.size is None:
            was, now = ("undefined" if one.value is None else f"{one.value:.4g}" for one in (self.base, self.now))
            return f"{self.metric} is {now} and of {other} {was}."
        unit = f" {unit_of(self.metric)}".rstrip()
        share = f" ({self.size / abs(self.base.value):+.1%})" if self.base.value else ""
        told = f"{self.metric} differs by {self.size:+.4g}{unit}{share} from {other}, allowed are {self.allowed}"
        return f"{told}; {self._seen(unit)}."

    @property
    def is_blind(self) -> bool:
        """Whether a change just beyond the tolerance could not be told from noise."""
        return self.noise > self.tolerance

    def _seen(self, unit: str) -> str:
        if self.metric.startswith(EXACT):
            return "both values are exact"
        if self.now.stderr is None and self.base.stderr is None:
            return "their standard errors are not known"
        told = f"two combined standard errors are {self.noise:.2g}{unit}"
        if self.is_blind and not self.is_drift:
            return f"{told}, so that no drift can be seen here, and smaller ones need more `inputs`"
        return told
