"""Rules applied to one answer: pure functions from numbers to findings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

from erfscope.gate.config import Check
from erfscope.gate.drift import Direction, Drift
from erfscope.gate.findings import ASSERTION, CONFIGURATION, PASSED, Finding, Rule, Verdict
from erfscope.gate.mends import FIND, UPDATE, accepting, mend_bound, mend_missing
from erfscope.gate.rules import Bound, Level
from erfscope.gate.sampling import enough, wider
from erfscope_contract.flat import flatten
from erfscope_contract.meanings import unit_of
from erfscope_contract.metrics import written
from erfscope_contract.request import Weights
from erfscope_contract.result import ErfResult, Number
from erfscope_contract.roots import geometric_mean
from erfscope_contract.significance import DECIDES, ROUNDING, reach

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
    samples: int = 0  # of this measurement; 0 where they may differ
    unit: str = "inputs"  # what they are

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
        if not self.size:
            return f"{self.metric} is {self.now.value:.4g}{unit} as in {other}; {self._seen(unit)}."
        share = f" ({self.size / abs(self.base.value):+.1%})" if self.base.value else ""
        values = f"{self.base.value:.4g} → {self.now.value:.4g}{unit}"
        told = f"{self.metric} differs by {self.size:+.4g}{unit}{share} from {other}: {values}"
        return f"{told}, the limit is {self.allowed.limit}; {self._seen(unit)}."

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
            share = f" ({self.noise / abs(self.base.value):.1%})" if self.base.value else ""
            return f"{told}{share}, so a smaller change is not told from noise{self._remedy}"
        return told

    @property
    def needed(self) -> int:
        """How many samples see a change of the limit; 0 where the noise, or the number of samples, is not known."""
        return enough(self.samples, self.noise, self.tolerance) if self.is_blind and self.tolerance else 0

    @property
    def sharper(self) -> str:
        """What to do where a change of the limit would not be seen; empty where that is not known."""
        if not self.needed:
            return ""
        more = f"Write `{self.unit} = {self.needed}` into the check (now {self.samples}), and run `{UPDATE}` again."
        if not self.base.value or not isinstance(self.allowed.max, str):
            return more
        return f'{more} Or allow more: `drift = {{ max = "{wider(self.noise / abs(self.base.value)):.0%}" }}`.'

    @property
    def _remedy(self) -> str:
        if not self.tolerance:
            return ""
        if not self.samples:
            times = ceil((self.noise / self.tolerance) ** 2)
            return f"; it takes about {times} times as many `inputs` to see one of {self.allowed}"
        return f"; it takes `{self.unit} = {self.needed}` to see one of {self.allowed} (now {self.samples})"


VERDICTS = {None: Verdict.PASS, Level.OFF: Verdict.PASS, Level.WARN: Verdict.WARN, Level.ERROR: Verdict.FAIL}
NOTHING = Value(None, None)
ACCEPTED = f"The rule accepts a change that way; to hold the new value, run `{UPDATE}`."
NO_BASELINE = "a baseline"  # what is expected of a model that has none
FILLS = "the field fills the input"
FULL = 0.98  # of the input's side or area, from which a field fills it
SIZE = re.compile(r"erf_size\w*|mass_\d+_side")
SHARE = re.compile(r"mass_\d+_ratio|erf_ratio_clipped")


def judge(check: Check, model: str, result: ErfResult, baseline: Mapping[str, Value] | None) -> Iterator[Finding]:
    """All rules of a check; `baseline` holds the committed values, None where there are none for this measurement."""
    found = values(result)
    drift = check.drift if check.is_watched else None
    unit = "draws" if check.request.weights is not Weights.GIVEN else "inputs"
    if drift and baseline is None:
        yield _Rule(check, model, result.layer.name, "").without_baseline(drift)
    for name, bound in check.bounds.items():
        rule = _Rule(check, model, result.layer.name, name)
        if bound.level is Level.OFF:
            continue
        if name not in found:
            yield rule.no_such_metric(len(result.trf.size))
            continue
        if bound.is_bounded:
            before = (baseline or {}).get(name, NOTHING).value if drift else None
            yield _noted(replace(rule.bound(bound, found[name]), before=before), result)
        if drift and baseline is not None and name not in ROUNDING:
            base = baseline.get(name)
            change = Change(name, found[name], base or NOTHING, drift.of(name), result.samples.used, unit)
            judged = rule.drift(change) if base else rule.without_baseline(drift)
            yield _noted(judged, result)


def tells_of_filling(finding: Finding) -> bool:
    """Whether a remark says that the field fills the input."""
    return FILLS in finding.detail


def is_without_baseline(finding: Finding) -> bool:
    """Whether a finding tells that nothing was committed for a model."""
    return finding.expected == NO_BASELINE and not finding.metric


def _noted(finding: Finding, result: ErfResult) -> Finding:
    """With a remark where the rule holds only because the input limits the field: it would not see the field change."""
    if finding.verdict is not Verdict.PASS or not fills_input(finding.metric, finding.found, result):
        return finding
    told = (
        f"{finding.subject} cannot tell: {FILLS} ({shape_of(result)} px), which limits it. Give a larger input_shape."
    )
    return replace(finding, detail=f"{finding.detail} {told}".strip())


def fills_input(metric: str, value: Number, result: ErfResult) -> bool:
    """Whether a size of the effective field is that of the input, and the theoretical field is larger."""
    if value is None or not (result.trf.clipped or result.trf.is_global):
        return False
    if SIZE.fullmatch(metric):
        return value >= FULL * geometric_mean(result.input_shape[1:])
    return bool(SHARE.fullmatch(metric)) and value >= FULL


def shape_of(result: ErfResult) -> str:
    """`48 × 48`: the input without its channels."""
    return " × ".join(map(str, result.input_shape[1:]))


@dataclass(frozen=True)
class _Rule:
    """Whom the findings are about."""

    check: Check
    model: str
    layer: str
    metric: str

    def bound(self, bound: Bound, found: Value) -> Finding:
        """Whether the value lies within its bounds."""
        end = broken_end(bound, found.value)
        expected, near = range_of(self.metric, bound), nearness(bound, found)
        finding = self._finding(Rule.BOUND, bound.level if end else None, expected, found)
        detail = f"{self.metric}: expected {expected}, found {shown(self.metric, found)}. {near}".strip()
        if not end:
            return replace(finding, detail=detail if near else "")
        return replace(finding, message=bound.message or "", detail=detail, mend=mend_bound(self.metric, end))

    def drift(self, change: Change) -> Finding:
        """Whether the value still is the baseline's."""
        drift = change.allowed
        level = drift.of_change(change.size) if change.is_drift else Level.OFF
        expected = f"{shown(self.metric, replace(change.base, stderr=None))} {drift.sign} {drift}"
        finding = self._finding(Rule.DRIFT, level, expected, change.now)
        finding = replace(finding, before=change.base.value, needs=change.needed)
        told = change.told("the baseline")
        if level is not Level.OFF:
            return replace(finding, message=drift.message or "", detail=told, undo=accepting(FIND))
        if change.is_drift:
            return replace(finding, detail=f"{told} {ACCEPTED}")
        return replace(finding, detail=told, mend=change.sharper) if change.is_blind else finding

    def without_baseline(self, drift: Drift) -> Finding:
        """Nothing was committed for this measurement, or for this metric of it."""
        level = drift.of(self.metric).level_of(Direction.BOTH)
        finding = self._finding(Rule.DRIFT, level, NO_BASELINE, NOTHING)
        return replace(finding, detail=f"{self.metric or 'This model'} has no baseline.", mend=mend_missing())

    def no_such_metric(self, rank: int) -> Finding:
        """A metric of another number of dimensions, for example sigma_3 of an image."""
        return replace(
            self._finding(Rule.CONFIGURATION, None, "", NOTHING),
            verdict=Verdict.BROKEN,
            detail=f"{self.metric} does not exist for a model with {rank} spatial dimension{'s' * (rank != 1)}.",
            mend="Take the metric out of this check, or give models of that kind a check of their own.",
            exit_code=CONFIGURATION,
        )

    def _finding(self, rule: Rule, broken: Level | None, expected: str, found: Value) -> Finding:
        verdict = VERDICTS[broken]
        return Finding(
            check=self.check.name,
            model=self.model,
            rule=rule,
            metric=self.metric,
            verdict=verdict,
            expected=expected,
            found=found.value,
            stderr=found.stderr,
            file=str(self.check.source.file),
            line=self.check.line("drift" if rule is Rule.DRIFT else self.metric),
            layer=self.layer,
            unit=unit_of(self.metric) if self.metric else "",
            exit_code=ASSERTION if verdict is Verdict.FAIL else PASSED,
        )
