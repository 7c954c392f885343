"""Why a rule broke: which layers of the model differ from those that the baseline keeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from erfscope.gate import layers
from erfscope.gate.answers import Means, inspected, tried
from erfscope.gate.baseline import Baseline, Entry
from erfscope.gate.findings import Finding, Rule, Verdict
from erfscope.gate.judge import UPDATE
from erfscope.gate.question import Question
from erfscope.gate.windows import Facts, windows
from erfscope_contract.problem import Problem

SAME = "no layer has another kernel, stride or dilation: look at the weights."
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


def explained(
    findings: Sequence[Finding], questions: Mapping[Key, Question], committed: Baseline, means: Means
) -> list[Finding]:
    """The findings; each that broke and has an entry in the baseline tells what changed in its model."""
    explainer = _Explainer(questions, committed, means, {})
    return [_explained(finding, explainer) for finding in findings]


@dataclass(frozen=True)
class _Explainer:
    """Compares each model once."""

    questions: Mapping[Key, Question]
    committed: Baseline
    means: Means
    known: dict[Key, str]

    def __call__(self, key: Key) -> str:
        """What changed in a model; empty where nothing was committed for it."""
        question = self.questions.get(key)
        entry = self.committed.entry(question.identity) if question else None
        if question is None or entry is None:
            return ""
        if key not in self.known:
            self.known[key] = _comparison(question, entry, self.means)
        return self.known[key]


def _explained(finding: Finding, changes: Callable[[Key], str]) -> Finding:
    is_broken = finding.verdict in (Verdict.FAIL, Verdict.WARN) and finding.rule in (Rule.BOUND, Rule.DRIFT)
    change = changes((finding.check, finding.model)) if is_broken else ""
    if finding.rule is Rule.BOUND and change == SAME:  # the bound may never have held
        return finding
    return replace(finding, change=change)


def _comparison(question: Question, entry: Entry, means: Means) -> str:
    if not entry.layers:
        return f"the baseline has no layers to compare with; `{UPDATE}` writes them."
    now = layers_of(question, means)
    if isinstance(now, Problem):
        return f"the layers could not be compared: {now.detail}"
    return layers.changed(entry.layers, now) or SAME
