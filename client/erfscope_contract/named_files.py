"""The files that an ONNX file names for its tensors, read off its bytes: no ONNX library, no weight is looked at."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erfscope_contract.data_files import beside
from erfscope_contract.protobuf import VARINT, BrokenError, fields, read_varint

MOST_FIELDS = 3_000_000  # more than any model that is converted; what is behind them is not looked for
# Message → field number → message, on the way to tensors (onnx.proto).
_WITHIN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
}
_EXTERNAL_DATA, _DATA_LOCATION, _OUTSIDE = 13, 14, 1
_KEY, _VALUE = 1, 2


def names_in(model: bytes | Path) -> list[str]:
    """The names as the model writes them, each once, in order; none for what is not an ONNX file."""
    with bytes_of(model) as view:
        names: dict[str, None] = {}
        try:
            for start, end in _tensors(view):
                if (name := _name_of(view, start, end)) is not None:
                    names[name] = None
        except BrokenError:  # whoever reads the model says so
            return []
    return list(names)


def data_beside(model: Path) -> dict[str, Path]:
    """The files that a model on this machine names, by location; raises ProblemError("external-data")."""
    return beside(model, names_in(model))


@contextmanager
def bytes_of(model: bytes | Path) -> Iterator[memoryview]:
    """A file is mapped: weights inside of it are stepped over, not read."""
    if isinstance(model, bytes) or not model.stat().st_size:
        yield memoryview(model if isinstance(model, bytes) else b"")
        return
    with (
        model.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        yield view


def _tensors(view: memoryview) -> Iterator[tuple[int, int]]:
    """Begin and end of every tensor of the model, by a walk without recursion."""
    pending, count = [("model", 0, len(view))], 0
    while pending:
        message, start, end = pending.pop()
        inner: list[tuple[str, int, int]] = []
        for number, _, stop, content in fields(view, start, end):
            count += 1
            if count > MOST_FIELDS:
                return
            kind = _WITHIN[message].get(number)
            if kind == "tensor" and content is not None:
                yield content, stop
            elif kind is not None and content is not None:
                inner.append((kind, content, stop))
        pending += reversed(inner)


def _name_of(view: memoryview, start: int, end: int) -> str | None:
    """The file that a tensor names; None where its data is in the model."""
    outside, name = False, None
    for number, begin, stop, content in fields(view, start, end):
        if number == _DATA_LOCATION and content is None:
            key, at = read_varint(view, begin, stop)
            outside = key == _DATA_LOCATION << 3 | VARINT and read_varint(view, at, stop)[0] == _OUTSIDE
        elif number == _EXTERNAL_DATA and content is not None:
            entry = _entry(view, content, stop)
            name = entry.get(_VALUE, "") if entry.get(_KEY) == "location" else name
    return name if outside else None


def _entry(view: memoryview, start: int, end: int) -> dict[int, str]:
    """Key and value of an entry."""
    return {
        number: bytes(view[content:stop]).decode("utf-8", "replace")
        for number, _, stop, content in fields(view, start, end)
        if content is not None
    }
