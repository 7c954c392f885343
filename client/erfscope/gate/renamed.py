"""A model that is not there any more: which one now has the content that the baseline was measured from."""

from collections.abc import Mapping
from pathlib import Path

from erfscope._errors import ErfscopeError
from erfscope.gate.baseline import Baseline
from erfscope.gate.config import Check, Gate
from erfscope.gate.question import Question, Subject, beside


def former_name(model: str, committed: Baseline, questions: Mapping[str, Question]) -> str:
    """Which model of the run, one that the baseline lacks, has the content of this one of it; empty where none has."""
    digests = [entry.question for entry in committed.entries.values() if entry.model == model]
    labels = [questions[digest].subject.label for digest in digests if digest in questions]
    return next((one for one in labels if one not in committed.models), "")


def new_name(gate: Gate, check: Check, model: str, committed: Baseline) -> str:
    """Which file beside a model that is not there, one that the baseline lacks, has its content; empty where none."""
    entry = committed.entry(_question(gate, check, model).identity)
    if entry is None or not entry.question:
        return ""
    files = [one for one in beside(gate.root, model) if one not in committed.models]
    return next((one for one in files if _digest(_question(gate, check, one)) == entry.question), "")


def _question(gate: Gate, check: Check, name: str) -> Question:
    return Question(Subject(Path(name).as_posix(), gate.root / name), check.request, check.images)


def _digest(question: Question) -> str:
    """Empty for a file that is no model."""
    try:
        return question.digest
    except (ErfscopeError, OSError):
        return ""
