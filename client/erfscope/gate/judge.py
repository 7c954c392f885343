"""Rules applied to one answer: pure functions from numbers to findings, and what to do about a broken rule."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from erfscope.gate.config import Check
from erfscope.gate.findings import ASSERTION, CONFIGURATION, PASSED, Finding, Rule, Verdict
from erfscope.gate.rules import Bound, Drift, Level
from erfscope_contract.flat import flatten
from erfscope_contract.meanings import unit_of
from erfscope_contract.metrics import written
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
        values = f"{self.base.value:.4g} → {self.now.value:.4g}{unit}"
        told = f"{self.metric} differs by {self.size:+.4g}{unit}{share} from {other}: {values}"
        return f"{told}, the limit is {self.allowed}; {self._seen(unit)}."

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
            times = ceil((self.noise / self.tolerance) ** 2) if self.tolerance else 0
            more = f"; it takes about {times} times as many `inputs` to see one of {self.allowed}" if times else ""
            return f"{told}, so a smaller change is not told from noise{more}"
        return told


WIDER = (
    "Let the layer see more: larger kernels or dilation before it, an earlier stride, or a later layer. "
    "Trained weights usually see more than fresh ones."
)
NARROWER = "Let the layer see less: smaller kernels, less dilation or stride before it, or an earlier layer."
THEORETICAL = (
    "The theoretical size follows from kernels, strides and dilations alone; weights and samples do not move it."
)

# (start of the metric's name, broken end) → what to do; the first row that fits is taken.
MENDS: Sequence[tuple[str, str, str]] = (
    ("trf_", "min", f"{THEORETICAL} Add or enlarge one of them before this layer."),
    ("trf_", "max", f"{THEORETICAL} Remove or shrink one of them before this layer."),
    ("erf_ratio", "min", "Few of the pixels that can reach the unit do: fewer, larger or dilated kernels use more."),
    ("erf_ratio", "max", "The field fills its TRF: check that no layer weighs its border as much as its centre."),
    ("erf_", "min", WIDER),
    ("erf_", "max", NARROWER),
    ("mass_", "min", WIDER),
    ("mass_", "max", NARROWER),
    ("r50", "min", WIDER), ("r50", "max", NARROWER),
    ("r90", "min", WIDER), ("r90", "max", NARROWER),
    ("r99", "min", WIDER), ("r99", "max", NARROWER),
    ("sigma", "min", WIDER),
    ("sigma", "max", NARROWER),
    ("r2", "min", "The map is not a Gaussian: look at its picture (--pictures) for holes, a grid, or a cut border."),
    ("lattice", "max", "Gridding: use dilations without a common factor (1, 2, 3), smooth after strided or transposed "
     "convolutions, or overlap kernels (kernel size divisible by the stride)."),
    ("dead_fraction", "max", "Samples without any gradient: another unit, channels = \"random\", real images, "
     "or an activation that does not die."),
    ("border_mass", "max", "The field reaches beyond the input: a larger input_shape, or a unit nearer to the centre."),
    ("offset", "", "The field lies beside its unit: look for uneven padding or a shifted resize."),
    ("mass_before", "undefined", "Only a causal field has it, one that reads nothing behind its own place."),
    ("verify_difference", "undefined", "It is computed only with verify = true."),
    ("verify_difference", "max", "The measured gradient is not plain autograd's. Allow more only where rounding "
     "explains it (in float32 a ReLU near 0 may flip); otherwise the measurement is wrong, and worth a report."),
    ("anisotropy", "max", "The field is longer one way: look for kernels, strides or pools that are not square."),
)  # fmt: skip
OTHERWISE = "Change the network, or this bound where the new value is meant."
UNDEFINED = "The metric is undefined for this map; look at its picture (--pictures) and at the result's notes."
UPDATE = "erfscope check --update-baseline"
FIND = "Find the change to the model that did it."
UNDO = "Undo that change to the model."  # where it is told
RESTORE = "Restore the former weights."  # where nothing else changed
RETRAINED = (  # where weights of a file changed and nothing else
    "If the model was trained again, other values are usual: update the baseline, or let the check guard the "
    'architecture alone by drawn weights (`weights = "kaiming_normal"`, `draws = 128`, `inputs = 1` in the check, then '
    "a new baseline; `erfscope init --weights random` writes this, with as many draws as it needs). If it was not, "
    "restore the former weights."
)


def mend_bound(metric: str, end: str) -> str:
    """What to do about a metric that is under its `min`, over its `max`, or `undefined`."""
    ends = (end,) if end == "undefined" else ("", end)
    text = next((text for start, which, text in MENDS if metric.startswith(start) and which in ends), None)
    if end == "undefined":
        return text or UNDEFINED
    return f"{text} Where the value is meant, change the bound." if text else OTHERWISE


def mend_drift(metric: str) -> str:
    """What to do about a metric that is not the baseline's any more."""
    exact = f" {THEORETICAL}" if metric.startswith("trf_") else ""
    return f"{FIND}{exact} Where it is meant: `{UPDATE}`, and commit the file."


def mend_missing() -> str:
    """What to do where nothing was committed yet."""
    return f"Run `{UPDATE}`, look at the file and commit it."


VERDICTS = {None: Verdict.PASS, Level.WARN: Verdict.WARN, Level.ERROR: Verdict.FAIL}
NOTHING = Value(None, None)
NO_BASELINE = "a baseline"  # what is expected of a model that has none
FILLS = "the field fills the input"
FULL = 0.98  # of the input's side or area, from which a field fills it
SIZE = re.compile(r"erf_size\w*|mass_\d+_side")
SHARE = re.compile(r"mass_\d+_ratio|erf_ratio_clipped")


def judge(check: Check, model: str, result: ErfResult, baseline: Mapping[str, Value] | None) -> Iterator[Finding]:
    """All rules of a check; `baseline` holds the committed values, None where there are none for this measurement."""
    found = values(result)
    drift = check.drift if check.is_watched else None
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
            yield _noted(rule.bound(bound, found[name]), result)
        if drift and baseline is not None and name not in ROUNDING:
            base = baseline.get(name)
            judged = rule.drift(Change(name, found[name], base, drift)) if base else rule.without_baseline(drift)
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
        drift, is_drift = change.allowed, change.is_drift
        expected = f"{shown(self.metric, replace(change.base, stderr=None))} ± {drift}"
        finding = self._finding(Rule.DRIFT, drift.level if is_drift else None, expected, change.now)
        told = change.told("the baseline")
        if not is_drift:
            return replace(finding, detail=told if change.is_blind else "")
        return replace(finding, message=drift.message or "", detail=told, mend=mend_drift(self.metric))

    def without_baseline(self, drift: Drift) -> Finding:
        """Nothing was committed for this measurement, or for this metric of it."""
        finding = self._finding(Rule.DRIFT, drift.level, NO_BASELINE, NOTHING)
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
