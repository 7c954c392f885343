"""What the baseline was measured from beside what changed models are now, as pictures; or why there is none."""

from collections.abc import Sequence

from erfscope.gate.answers import Means, Outcome, recalled
from erfscope.gate.baseline import Baseline
from erfscope.gate.cache import Answer
from erfscope.gate.findings import Note, Picture
from erfscope.gate.pictures import side_by_side
from erfscope.gate.question import Question

ABSENT = "There is no picture of the model that the baseline was measured from (…-change.png):"
NOT_THERE = (
    "the cache of this machine does not have it. A check of that model with the same versions of erfscope and torch "
    "draws it; in continuous integration that is the run for the main branch, if its cache is shared."
)
SWITCHED_OFF = "it comes from the cache, which --no-cache switches off."


def former(
    asked: Sequence[tuple[Question, Outcome]], committed: Baseline, means: Means
) -> tuple[list[Picture], list[Note]]:
    """What the cache still has, and a note for each model whose picture it lacks."""
    changed = {
        question.digest: (question.subject.label, entry.question, outcome)
        for question, outcome in asked
        if isinstance(outcome, Answer)
        and (entry := committed.entry(question.identity))
        and entry.question not in ("", question.digest)
    }
    answers = recalled([before for _, before, _ in changed.values()], means)
    pictures, notes = [], []
    for digest, (model, before, now) in changed.items():
        picture = side_by_side(model, answers[before], now) if before in answers else None
        if picture is None:
            notes.append(Note(model, f"{ABSENT} {NOT_THERE if means.cache else SWITCHED_OFF}"))
        else:
            pictures.append(Picture(model, now.result.layer.name, digest, picture, is_change=True))
    return pictures, notes
