"""Weights of an ONNX file moved to a file beside it, on the wire: no ONNX library, and no message in memory."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from erfscope_contract.protobuf import VARINT, fields, write_field, write_varint

SMALLEST = 1024  # bytes; shapes and axes stay in the model
ALIGNED = 64  # bytes: where a tensor begins, as torch's own memory does
GRAPH, INITIALIZER = 7, 5
RAW_DATA, EXTERNAL_DATA, DATA_LOCATION, OUTSIDE = 9, 13, 14, 1


def split(model: Path) -> Path:
    """Move the weights of the file `model` to a file of its name and `.weights`, which is returned.

    Not `.data`: an exporter may have written that. Raises BrokenError for what is not a protocol buffer.
    """
    data, aside = model.with_name(f"{model.name}.weights"), model.with_name(f"{model.name}.new")
    with (
        model.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
        data.open("wb") as weights,
    ):
        aside.write_bytes(b"".join(_model(view, weights, data.name)))
    os.replace(aside, model)
    return data


def _model(view: memoryview, weights: BinaryIO, name: str) -> Iterator[bytes]:
    """The pieces of the model without its weights."""
    for number, begin, end, content in fields(view, 0, len(view)):
        if number == GRAPH and content is not None:
            yield write_field(GRAPH, b"".join(_graph(view, content, end, weights, name)))
        else:
            yield bytes(view[begin:end])


def _graph(view: memoryview, start: int, stop: int, weights: BinaryIO, name: str) -> Iterator[bytes]:
    for number, begin, end, content in fields(view, start, stop):
        raw = _raw_data(view, content, end) if number == INITIALIZER and content is not None else None
        if content is None or raw is None:
            yield bytes(view[begin:end])
        else:
            yield write_field(INITIALIZER, _tensor(view, content, end) + _place(weights, view[raw[0] : raw[1]], name))


def _raw_data(view: memoryview, start: int, stop: int) -> tuple[int, int] | None:
    """Begin and end of a tensor's bytes, if there are enough of them to be worth moving."""
    for number, _, end, content in fields(view, start, stop):
        if number == RAW_DATA and content is not None and end - content >= SMALLEST:
            return content, end
    return None


def _tensor(view: memoryview, start: int, stop: int) -> bytes:
    """Everything of a tensor but its bytes."""
    kept = (view[begin:end] for number, begin, end, _ in fields(view, start, stop) if number != RAW_DATA)
    return b"".join(kept)


def _place(weights: BinaryIO, raw: memoryview, name: str) -> bytes:
    """Write the bytes; the fields that say where they are."""
    weights.write(bytes(-weights.tell() % ALIGNED))
    entries = {"location": name, "offset": str(weights.tell()), "length": str(len(raw))}
    weights.write(raw)
    pairs = (write_field(1, key.encode()) + write_field(2, value.encode()) for key, value in entries.items())
    location = write_varint(DATA_LOCATION << 3 | VARINT) + write_varint(OUTSIDE)
    return b"".join(write_field(EXTERNAL_DATA, pair) for pair in pairs) + location
