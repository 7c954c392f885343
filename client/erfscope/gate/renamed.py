"""A model that is not there any more: which one now has its content or, exported anew, its layers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from erfscope._errors import ErfscopeError
from erfscope.gate import layers
from erfscope.gate.answers import Means
from erfscope.gate.baseline import Baseline, Entry
from erfscope.gate.config import Check, Gate
from erfscope.gate.explain import layers_of
from erfscope.gate.question import Question, Subject, beside
from erfscope_contract.problem import Problem


@dataclass(frozen=True)
class Successor:
    """The model of another name, and how it is known to be the same one."""

    model: str
    why: str

    def __str__(self) -> str:
        return f"It looks renamed: {self.model} has {self.why}."


SAME_CONTENT = "the same content"
SAME_LAYERS = "the same input shape and layers, with other bytes (exported or trained anew)"


def among(model: str, committed: Baseline, questions: Iterable[Question], means: Means) -> Successor | None:
    """The successor of a model of the baseline, of the models of a run."""
    entries = [entry for entry in committed.entries.values() if entry.model == model]
    return _successor(entries, list(questions), committed, means)


def beside_it(gate: Gate, check: Check, model: str, committed: Baseline, means: Means) -> Successor | None:
    """The successor of a file that is not there, of those beside it."""
    entry = committed.entry(_question(gate, check, model).identity)
    files = [_question(gate, check, one) for one in beside(gate.root, model)]
    return _successor([entry] if entry else [], files, committed, means)


def _question(gate: Gate, check: Check, name: str) -> Question:
    return Question(Subject(Path(name).as_posix(), gate.root / name), check.request, check.images)


def _successor(entries: list[Entry], questions: list[Question], committed: Baseline, means: Means) -> Successor | None:
    """A model that the baseline lacks; the layers are read only where no model has the content."""
    new = [one for one in questions if one.subject.label not in committed.models]
    digests = {entry.question for entry in entries} - {""}
    for one in new:
        if _digest(one) in digests:
            return Successor(one.subject.label, SAME_CONTENT)
    known = [entry.layers for entry in entries if entry.layers]
    return next((Successor(one, SAME_LAYERS) for one in _of_layers(known, new, means)), None)


def _of_layers(known: list[dict[str, str]], new: list[Question], means: Means) -> Iterator[str]:
    for one in new if known else []:
        now = layers_of(one, means)
        if not isinstance(now, Problem) and any(not layers.changed(was, now) for was in known):
            yield one.subject.label


def _digest(question: Question) -> str:
    """Empty for a file that is no model."""
    try:
        return question.digest
    except (ErfscopeError, OSError):
        return ""
