"""Strategies: how bytes and JSON that were good go wrong."""

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

EXTREME = [0, 1, -1, 2, 127, 128, 255, 2**15, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**31), -(2**63)]
HOSTILE_TEXT = ["", "\x00", "a\r\nb", "\x1b[2J", "\u202e", "'; --", "../../etc", "n" * 5000, "é", "auto", "previous"]
VARINTS = [b"\xff" * 9 + b"\x01", b"\x80" * 10, b"\xff" * 5, b"\x00", b"\x7f"]


@st.composite
def broken_bytes(draw: st.DrawFn, good: Sequence[bytes]) -> bytes:
    """One of the good files with some places changed, cut, doubled or filled."""
    data = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(0, 12))
        piece = draw(st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(VARINTS)))
        how = draw(st.sampled_from(("flip", "insert", "delete", "double", "cut")))
        if how == "flip":
            data[place : place + len(piece)] = piece
        elif how == "insert":
            data[place:place] = piece
        elif how == "delete":
            del data[place : place + length]
        elif how == "double":
            data[place:place] = data[place : place + 4 * length]
        else:
            del data[place:]
    return bytes(data)


def values() -> st.SearchStrategy[Any]:
    """What JSON may hold where something else was meant."""
    scalars = st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from(EXTREME),
        st.integers(-10, 70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(HOSTILE_TEXT),
        st.text(max_size=8),
    )
    return st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=6)


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, inner in items for place in places(inner, (*here, key)))]


@st.composite
def broken_json(draw: st.DrawFn, good: Sequence[Any]) -> Any:
    """One of the good documents with some values exchanged, removed, doubled or renamed."""
    data = copy.deepcopy(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([place for place in places(data) if place]))
        holder = data
        for key in path[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(("exchange", "exchange", "remove", "double", "swap")))
        if how == "exchange":
            holder[path[-1]] = draw(values())
        elif how == "remove":
            del holder[path[-1]]
        elif how == "double" and isinstance(holder, list):
            holder.insert(path[-1], copy.deepcopy(holder[path[-1]]))
        elif how == "swap" and isinstance(holder, list):
            holder.reverse()
        if not [place for place in places(data) if place]:
            return data
    return data
