"""JSON from a child, read so that nothing in it can fail later: finite numbers, whole text, bounded depth."""

import json
import math
from typing import Any, NoReturn

from erfscope_contract.problem import FieldError, Problem

LARGEST = 1 << 63  # whole numbers of the contract fit 64 bits
DEEPEST = 64
NAME = 64  # characters of a key in a problem's context
WORDS = 4000  # characters of a problem's text
ENTRIES = 64  # of a list or mapping in a problem


def loads(text: bytes) -> Any:
    """The value; raises ValueError for what is not strict JSON."""
    try:
        value = json.loads(text, parse_constant=_constant, parse_int=_whole, parse_float=_real)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    check(value)
    return value


def check(value: Any, depth: int = 0) -> None:
    """Raise ValueError for numbers that are not finite or too large, text that is not Unicode, and depth."""
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        value.encode()  # UnicodeEncodeError, a ValueError, for half of a surrogate pair
    elif isinstance(value, dict):
        for name, item in value.items():
            check(name, depth)
            check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check(item, depth + 1)
    elif isinstance(value, int):
        _bounded(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that is not finite")


def clipped(value: Any, depth: int = 0) -> Any:
    """A value for people: text, lists and mappings cut to a length that a page can show."""
    if isinstance(value, str):
        return value[:WORDS]
    if isinstance(value, dict):
        return {str(name)[:NAME]: clipped(item, depth + 1) for name, item in list(value.items())[:ENTRIES] if depth < 3}
    if isinstance(value, list):
        return [clipped(item, depth + 1) for item in value[:ENTRIES] if depth < 3]
    return value if isinstance(value, int | float | bool | None) else str(value)[:WORDS]


def clipped_problem(problem: Problem) -> Problem:
    """A problem with its texts, lists and mappings cut to what a page can show and a frame's header can hold."""
    errors = [FieldError(pointer=one.pointer[:WORDS], detail=one.detail[:WORDS]) for one in problem.errors[:ENTRIES]]
    return Problem(
        type=problem.type[:WORDS],
        title=problem.title[:WORDS],
        status=problem.status,
        detail=problem.detail[:WORDS],
        errors=errors,
        context=clipped(problem.context),
    )


def _bounded(value: int) -> int:
    if not -LARGEST <= value < LARGEST:
        raise ValueError("a whole number of more than 64 bits")
    return value


def _whole(text: str) -> int:
    if len(text) > 20:  # before it is converted: digits cost more than their number
        raise ValueError("a whole number of more than 64 bits")
    return _bounded(int(text))


def _real(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("a number that is not finite")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
