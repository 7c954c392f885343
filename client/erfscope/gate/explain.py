"""What changed in a model: which of its layers differ from those that the baseline keeps, told where a rule broke."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from erfscope.gate import layers
from erfscope.gate.answers import Means, inspected, tried
from erfscope.gate.baseline import Baseline, Entry
from erfscope.gate.findings import Finding, Rule, Verdict
from erfscope.gate.judge import FIND, UNDO, UPDATE
from erfscope.gate.question import Question
from erfscope.gate.windows import Facts, windows
from erfscope_contract.problem import Problem

SAME = (
    "the input's shape and every layer's kernel, stride, dilation, padding, groups, channels and mode are as in the "
    "baseline: look at the weights."
)
Key = tuple[str, str]  # check and model


def layers_of(question: Question, means: Means) -> dict[str, str] | Problem:
    """The layers of a question's model, each a line of facts; the problem where they cannot be read."""
    architecture = question.subject.ref.architecture
    if architecture is not None:
        return layers.of_spec(architecture)
    inspection = tried(partial(inspected, question, means))
    return inspection if isinstance(inspection, Problem) else layers.of_inspection(inspection, _windows(question))


def _windows(question: Question) -> Mapping[str, Facts]:
    """None of a model that only the service has."""
    content = question.subject.prepared.content
    source = None if content is None else content.source
    return windows(source) if isinstance(source, bytes | Path) else {}


@dataclass(frozen=True)
class Comparison:
    """What changed in a model since the baseline; where no change can be told, why."""

    change: str = ""
    otherwise: str = ""


@dataclass(frozen=True)
class Explainer:
    """Compares each model with its entry of the baseline, once."""

    questions: Mapping[Key, Question]
    committed: Baseline
    means: Means
    _known: dict[Key, Comparison] = field(default_factory=dict)

    def entry(self, key: Key) -> Entry | None:
        """What was committed for a check and its model."""
        question = self.questions.get(key)
        return self.committed.entry(question.identity) if question else None

    def __call__(self, key: Key) -> Comparison:
        """What changed in a model; nothing where nothing was committed for it."""
        entry = self.entry(key)
        if entry is None:
            return Comparison()
        if key not in self._known:
            self._known[key] = _comparison(self.questions[key], entry, self.means)
        return self._known[key]


def explained(findings: Sequence[Finding], explainer: Explainer) -> list[Finding]:
    """The findings; each that broke and has an entry in the baseline tells what changed in its model."""
    return [_explained(finding, explainer) for finding in findings]


def _explained(finding: Finding, explainer: Explainer) -> Finding:
    if finding.verdict not in (Verdict.FAIL, Verdict.WARN) or finding.rule not in (Rule.BOUND, Rule.DRIFT):
        return finding
    comparison = explainer((finding.check, finding.model))
    if finding.rule is Rule.BOUND and comparison.otherwise == SAME:  # the bound may never have held
        return finding
    mend = finding.mend.replace(FIND, UNDO) if comparison.change else finding.mend
    return replace(finding, change=comparison.change or comparison.otherwise, mend=mend)


def _comparison(question: Question, entry: Entry, means: Means) -> Comparison:
    if not entry.layers:
        return Comparison(otherwise=f"the baseline has no layers to compare with; `{UPDATE}` writes them.")
    now = layers_of(question, means)
    if isinstance(now, Problem):
        return Comparison(otherwise=f"the layers could not be compared: {now.detail}")
    change = layers.changed(entry.layers, now)
    return Comparison(change, "" if change else SAME)
