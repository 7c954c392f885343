"""What changed in a model: which of its layers differ from those that the baseline keeps, told where a rule broke."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from shlex import quote

from erfscope.gate import layers
from erfscope.gate.answers import Means, inspected, tried
from erfscope.gate.baseline import Baseline, Entry
from erfscope.gate.findings import Finding, Rule, Verdict
from erfscope.gate.mends import FIND, GREW, LENGTHS, RESTORE, RETRAINED, UNDO, UPDATE, accepting
from erfscope.gate.question import Question
from erfscope.gate.rows import Layers
from erfscope.gate.windows import reads, windows
from erfscope_contract.problem import Problem
from erfscope_contract.request import Weights

SAME = (
    "the weights alone; the input's shape, every layer's kernel, stride, dilation, padding, groups, channels and mode, "
    "and which layer reads which are as in the baseline."
)
UNWIRED = (
    "the weights, or which layer reads which: that could not be compared{why}. The input's shape and every layer's "
    "kernel, stride, dilation, padding, groups, channels and mode are as in the baseline."
)
OLDER = f" (the baseline does not have it yet; `{UPDATE}` writes it)"
Key = tuple[str, str]  # check and model


def layers_of(question: Question, means: Means) -> dict[str, str] | Problem:
    """The layers of a question's model, each a line of facts; the problem where they cannot be read."""
    architecture = question.subject.ref.architecture
    if architecture is not None:
        return tried(partial(layers.of_spec, architecture))
    inspection = tried(partial(inspected, question, means))
    if isinstance(inspection, Problem):
        return inspection
    content = question.subject.prepared.content
    source = None if content is None else content.source
    if not isinstance(source, bytes | Path):  # a model that only the service has
        return layers.of_inspection(inspection, {}, {})
    names = [row.name for row in inspection.layers]
    return layers.of_inspection(inspection, windows(source), reads(source, names, inspection.input))


@dataclass(frozen=True)
class Comparison:
    """What changed in a model since the baseline; where no change can be told, why."""

    change: str = ""
    otherwise: str = ""
    is_same: bool = False  # no layer differs


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

    def measures_trained(self, key: Key) -> bool:
        """Whether a check measures the weights of a file, and draws none."""
        question = self.questions.get(key)  # none for a model that no check finds any more
        if question is None:
            return False
        return question.subject.ref.architecture is None and question.request.weights is Weights.GIVEN

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
    if finding.rule is Rule.BOUND and comparison.is_same:  # the bound may never have held
        return finding
    is_trained = explainer.measures_trained((finding.check, finding.model))
    change = comparison.change or comparison.otherwise
    if not change:  # nothing was committed for it
        return finding
    return replace(finding, change=change, undo=_undo(finding, comparison, is_trained))


def _undo(finding: Finding, comparison: Comparison, is_trained: bool) -> str:
    """What to do about the change of the model."""
    if finding.rule is Rule.BOUND:
        return UNDO if comparison.change else ""
    if comparison.change:
        return GREW if (finding.moved or 0) > 0 and LENGTHS.fullmatch(finding.metric) else accepting(UNDO)
    if comparison.otherwise != SAME:
        return accepting(FIND)
    return RETRAINED.format(model=quote(finding.model)) if is_trained else accepting(RESTORE)


def _comparison(question: Question, entry: Entry, means: Means) -> Comparison:
    if not entry.layers:
        return Comparison(otherwise=f"the baseline has no layers to compare with; `{UPDATE}` writes them.")
    now = layers_of(question, means)
    if isinstance(now, Problem):
        return Comparison(otherwise=f"the layers could not be compared: {now.detail}")
    change = layers.changed(entry.layers, now)
    return Comparison(change) if change else Comparison(otherwise=_same(entry.layers, now), is_same=True)


def _same(before: Layers, now: Layers) -> str:
    if layers.is_wired(before) and layers.is_wired(now):
        return SAME
    return UNWIRED.format(why=OLDER if layers.is_wired(now) else "")
