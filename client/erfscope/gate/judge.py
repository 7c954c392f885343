"""Rules applied to one answer: pure functions from numbers to findings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from erfscope.gate.compare import Change, Value, broken_end, nearness, range_of, shown, values
from erfscope.gate.config import Check
from erfscope.gate.findings import ASSERTION, CONFIGURATION, PASSED, Finding, Rule, Verdict
from erfscope.gate.mend import mend_bound, mend_drift, mend_missing
from erfscope.gate.rules import Bound, Drift, Level
from erfscope_contract.meanings import unit_of
from erfscope_contract.result import ErfResult
from erfscope_contract.significance import ROUNDING

VERDICTS = {None: Verdict.PASS, Level.WARN: Verdict.WARN, Level.ERROR: Verdict.FAIL}
NOTHING = Value(None, None)


def judge(check: Check, model: str, result: ErfResult, baseline: Mapping[str, Value] | None) -> Iterator[Finding]:
    """All rules of a check; `baseline` holds the committed values, None where there are none for this measurement."""
    found = values(result)
    drift = None if check.drift is None or check.drift.level is Level.OFF else check.drift
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
            yield rule.bound(bound, found[name])
        if drift and baseline is not None and name not in ROUNDING:
            base = baseline.get(name)
            yield rule.drift(Change(name, found[name], base, drift)) if base else rule.without_baseline(drift)


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
        finding = self._finding(Rule.DRIFT, drift.level, "a baseline", NOTHING)
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
