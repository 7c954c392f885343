"""A check that is there already, measured with other weights: `erfscope init MODEL --weights SCHEME`. Texts alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from erfscope._errors import refuse
from erfscope.gate.config import Check, Gate, gate_of
from erfscope.gate.discovery import ConfigurationError, Source, line_of, source_of
from erfscope.gate.question import subjects
from erfscope.gate.starter import NOTES, Plan
from erfscope_contract.request import Weights

KEY = re.compile(r"\s*(inputs|draws|weights)\s*=")
HEADER = re.compile(r"\s*\[")


def convertible(gate: Gate, files: Sequence[str], asked: Sequence[str], weights: Weights) -> list[Check]:
    """The checks that guard these files by other weights; none where one guards them by these weights already.

    Refuses a check that guards other models than all that are `asked`.
    """
    guards = [check for check in gate.checks if {one.label for one in subjects(gate, check)} & set(files)]
    if any(check.request.weights is weights for check in guards):
        return []
    for check in guards:
        others = sorted({one.label for one in subjects(gate, check)} - set(asked))
        if others:
            raise refuse(
                "bad-request",
                f"the check {check.name!r} guards {', '.join(others[:3])}{' …' * (len(others) > 3)}, too; give all its "
                f"models ({' '.join(map(repr, check.models))}), or give {files[0]} a check of its own",
            )
    return guards


def converted(source: Source, plans: Mapping[int, Plan], used: int) -> str:
    """The text of a configuration with the checks at these places measured as planned; all else stays as it is.

    `used` is the number of inputs of the configuration's defaults. Refuses a check that cannot be changed so.
    """
    text = source.text
    for index, plan in plans.items():
        text = _changed(text, source.header, index, plan.measuring(plan.samples or used))
    before, after = gate_of(source), _parsed(source, text)
    for index, plan in plans.items():
        check = before.checks[index]
        if after is None or not _is_as_planned(check, after.checks[index], plan.weights):
            raise refuse(
                "bad-request",
                f"the check {check.name!r} cannot be converted as it is written. Replace its inputs, draws and "
                f"weights, also those from the defaults, by these lines:\n{plan.measuring(plan.samples or used)}"
                "or call `erfscope init` with --force, which writes a new configuration",
            )
    return text


def _changed(text: str, header: str, index: int, measuring: str) -> str:
    lines = text.splitlines(keepends=True)
    start = line_of(text, header, index)
    end = next((n for n, line in enumerate(lines[start:], start) if HEADER.match(line)), len(lines))
    block = lines[start:end]
    places = [n for n, line in enumerate(block) if KEY.match(line)]
    first = min((n - _note_above(block, n) for n in places), default=0)
    kept = [line for n, line in enumerate(block) if n not in places and not _is_note(block, n, places)]
    above = sum(n not in places and not _is_note(block, n, places) for n in range(first))
    return "".join((*lines[:start], *kept[:above], measuring, *kept[above:], *lines[end:]))


def _note_above(block: Sequence[str], place: int) -> int:
    """How many lines above a key are the comment that `init` wrote to it."""
    top = place
    while top and block[top - 1].lstrip().startswith("#"):
        top -= 1
    return place - top if any(NOTES.match(line) for line in block[top:place]) else 0


def _is_note(block: Sequence[str], place: int, keys: Sequence[int]) -> bool:
    return any(key - _note_above(block, key) <= place < key for key in keys)


def _parsed(source: Source, text: str) -> Gate | None:
    try:
        return gate_of(source_of(source.file, text))
    except ConfigurationError:
        return None


def _is_as_planned(before: Check, after: Check, weights: Weights) -> bool:
    """Whether nothing differs but the weights and how many samples there are."""
    average = before.request.average.model_copy(
        update={"inputs": after.request.average.inputs, "weights": after.request.average.weights}
    )
    request = before.request.model_copy(update={"weights": weights, "average": average})
    return replace(before, request=request, source=after.source) == after
