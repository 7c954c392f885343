"""JSON as the standard means it: no NaN, no duplicate keys, bounded depth and numbers.

Python's parser takes all of these silently, and two readers that disagree about a duplicate key are a hole.
"""

import json
import math
import re
from itertools import accumulate, repeat
from typing import Any

from erfscope_contract.problem import ProblemError

MAX_DEPTH = 100  # the deepest architecture spec takes two thirds of it
MAX_WHOLE = 2**53  # the largest range in which every integer is a float
MAX_DIGITS = 40  # a 64-bit seed has 20; the cost of int() grows with the square of the digits

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # the optional end keeps broken strings linear
_STEP: dict[str, int] = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse(body: bytes) -> Any:
    """The value of a JSON body; `bad-request` says what is wrong with it."""
    text = _decode(body)
    _refuse_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as error:
        raise ProblemError(
            "bad-request", f"The JSON is broken at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    _refuse_surrogates(text, value)
    return value


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProblemError("bad-request", f"The JSON is not UTF-8 (byte {error.start}).") from None


def _refuse_depth(text: str) -> None:
    outside = _STRING.sub("", text)
    if max(accumulate(map(_STEP.get, outside, repeat(0))), default=0) > MAX_DEPTH:  # 40 ns a character
        raise ProblemError("bad-request", f"The JSON is nested deeper than {MAX_DEPTH} levels.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add returns None, which is the point
        raise ProblemError("bad-request", f"The key {twice[:100]!r} is in one JSON object twice.")
    return built


def _refuse_constant(name: str) -> Any:
    raise ProblemError("bad-request", f"{name} is not JSON.")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ProblemError("bad-request", f"A number has {len(digits)} digits; the limit is {MAX_DIGITS}.")
    return int(digits)


def _float(digits: str) -> float:
    """JSON has one kind of number: 4.0 and 1e3 are integers where one is asked for (an int is a float, too)."""
    value = float(digits)
    if math.isinf(value):
        raise ProblemError("bad-request", f"The number {digits[:40]} is out of range.")
    return int(value) if value.is_integer() and abs(value) <= MAX_WHOLE else value


def _refuse_surrogates(text: str, value: Any) -> None:
    if "\\ud" not in text and "\\uD" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ProblemError("bad-request", "The JSON has half of a surrogate pair in a string.") from None
