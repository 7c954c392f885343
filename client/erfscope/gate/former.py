"""What the baseline was measured from beside what changed models are now, as pictures; or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

from erfscope.gate.answers import Means, Outcome, recalled
from erfscope.gate.baseline import Baseline
from erfscope.gate.cache import Answer
from erfscope.gate.findings import Finding, Note, Picture
from erfscope.gate.pictures import side_by_side
from erfscope.gate.question import Question

ABSENT = "There is no picture of the model that the baseline{} was measured from (…-change.png):"
NOT_THERE = (
    "the cache of this machine does not have it. A check of that model with the same versions of erfscope and torch "
    "draws it; in continuous integration that is the run for the main branch, if its cache is shared."
)
SWITCHED_OFF = "it comes from the cache, which --no-cache switches off."


@dataclass(frozen=True)
class Former:
    """A baseline, and what its side of a picture is called: `baseline`, or the branch that it is of."""

    name: str
    baseline: Baseline


def pictured(
    asked: Sequence[tuple[Question, Outcome]], formers: Sequence[Former], trouble: Sequence[Finding], means: Means
) -> tuple[list[Picture], list[Note]]:
    """What the cache still has, and a note for each model whose picture it lacks.

    The first of `formers` that was measured from another model counts: where a branch commits its own values, that is
    the base's. Captions have the metrics of `trouble`.
    """
    changed = {
        question.digest: (question.subject.label, former, outcome)
        for question, outcome in asked
        if isinstance(outcome, Answer) and (former := _former(question, formers))
    }
    answers = recalled([before for _, (_, before), _ in changed.values()], means)
    pictures, notes = [], []
    for digest, (model, (name, before), now) in changed.items():
        metrics = tuple(dict.fromkeys(one.metric for one in trouble if one.model == model and one.metric))
        sides = {name: answers.get(before), "now": now}
        picture = side_by_side(model, sides, metrics)
        if picture is None:
            whose = "" if name == formers[0].name else f" of {name}"
            notes.append(Note(model, f"{ABSENT.format(whose)} {NOT_THERE if means.cache else SWITCHED_OFF}"))
        else:
            pictures.append(Picture(model, now.result.layer.name, digest, picture, is_change=True))
    return pictures, notes


def _former(question: Question, formers: Sequence[Former]) -> tuple[str, str] | None:
    """The name of the first baseline that was measured from another model, and the digest of that question."""
    entries = ((one.name, one.baseline.entry(question.identity)) for one in formers)
    return next(
        ((name, entry.question) for name, entry in entries if entry and entry.question not in ("", question.digest)),
        None,
    )
