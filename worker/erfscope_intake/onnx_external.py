"""Tensors whose data lie beside the model: checked once, then read by us alone; onnx never opens a file.

`attach` takes every such tensor of a model that was parsed. A small one gets its bytes, for passes look at shapes and
axes. A large one keeps a note of where its bytes are, by number of the file, and `DataFiles.array` reads them when the
tensor is needed: the whole of a large model is never in one message. The note has no `location`, so that nothing of
onnx could follow it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from erfscope_contract.data_files import KIND, MOST_FILES, beside, location_of, matched, too_many, unnamed
from erfscope_contract.problem import ProblemError
from erfscope_intake.onnx_tensors import PACKED, raw_bytes

Sent = Mapping[str, Path]  # files by the name under which they came with the model
SMALL = 1 << 16  # bytes: no shape, axis or quantisation parameter is larger
MOST_BYTES = 1 << 62
PART, OFFSET, LENGTH = "part", "offset", "length"


@dataclass(frozen=True)
class DataFiles:
    """The files beside one model, by number."""

    paths: tuple[Path, ...] = ()

    def array(self, tensor: TensorProto) -> NDArray[Any]:
        """The data of an attached tensor, in its ONNX type and shape; raises ProblemError("external-data")."""
        if tensor.data_type in PACKED:  # two elements in a byte: onnx knows how
            embedded = TensorProto()
            embedded.CopyFrom(tensor)
            self.embed(embedded)
            return numpy_helper.to_array(embedded)
        path, offset, length = self._place(tensor)
        element = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        array = np.fromfile(path, element, length // element.itemsize, offset=offset)
        if array.nbytes != length:
            raise _changed(path)
        return array.reshape(tuple(tensor.dims))

    def embed(self, tensor: TensorProto) -> None:
        """Put the data of an attached tensor into it."""
        path, offset, length = self._place(tensor)
        with path.open("rb") as file:
            _embed(tensor, file, offset, length)

    def _place(self, tensor: TensorProto) -> tuple[Path, int, int]:
        entries = {entry.key: int(entry.value) for entry in tensor.external_data}
        return self.paths[entries[PART]], entries[OFFSET], entries[LENGTH]


@dataclass(frozen=True)
class _Outside:
    """A tensor whose data are in another file, as the model says."""

    tensor: TensorProto
    where: str
    location: str
    offset: int
    length: int | None
    size: int  # bytes that its shape and type need


def is_outside(tensor: TensorProto) -> bool:
    """Whether the data of a tensor are not in it."""
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def attach(tensors: Iterable[tuple[str, TensorProto]], model: Path, sent: Sent | None) -> DataFiles:
    """Check every tensor (with words for where it is) whose data lie in another file, and note where they are.

    `sent` are the files that came with the model; without it those in the folder of `model`.
    Raises ProblemError: external-data, invalid-model.
    """
    outside = [_read(tensor, where) for where, tensor in tensors if is_outside(tensor)]
    names = list(dict.fromkeys(one.location for one in outside))
    if len(names) > MOST_FILES:
        raise too_many(len(names))
    files = _files(names, model, sent)
    sizes = {name: path.stat().st_size for name, path in files.items()}
    for one in outside:
        _check_range(one, sizes[one.location])
    _check_apart(outside)
    _take(outside, files)
    return DataFiles(tuple(files[name] for name in names))


def _take(outside: Sequence[_Outside], files: Mapping[str, Path]) -> None:
    """Put small data into their tensors, and a note into the others."""
    numbers = {name: number for number, name in enumerate(files)}
    with ExitStack() as stack:
        opened: dict[str, BinaryIO] = {}
        for one in outside:
            if one.size > SMALL:
                _note(one, numbers[one.location])
                continue
            if one.location not in opened:
                stack.close()  # one at a time: a model may name more files than a process may open
                opened = {one.location: stack.enter_context(files[one.location].open("rb"))}
            _embed(one.tensor, opened[one.location], one.offset, one.size)


def _files(names: Sequence[str], model: Path, sent: Sent | None) -> dict[str, Path]:
    if sent is None:
        places = beside(model, names)
        return {location: places[location] for location in names}
    if not names and sent:
        raise unnamed(sorted(sent), names)
    pairs = matched(sent, names)
    return {location: sent[pairs[location]] for location in names}


def _read(tensor: TensorProto, where: str) -> _Outside:
    if tensor.HasField("raw_data") or tensor.data_type == TensorProto.STRING:
        raise ProblemError("invalid-model", f"{where} has its data in another file and in the model, or is text.")
    entries: dict[str, str] = {entry.key: entry.value for entry in tensor.external_data}
    if not all(isinstance(text, str) for text in (*entries, *entries.values())):
        raise ProblemError("invalid-model", f"{where} names a file that is not text.")
    if len(entries) != len(tensor.external_data):
        raise ProblemError("invalid-model", f"{where} names its file, offset or length twice.")
    return _Outside(
        tensor,
        where,
        location_of(entries.get("location", "")),
        _number(entries.get(OFFSET, "0"), where),
        _number(entries[LENGTH], where) if LENGTH in entries else None,
        raw_bytes(tensor, where),
    )


def _number(text: str, where: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > MOST_BYTES:
        raise ProblemError(
            KIND, f"{where} has the offset or length {text[:40]!r} in another file, not a number of bytes."
        )
    return int(text)


def _check_range(one: _Outside, available: int) -> None:
    length = available - one.offset if one.length is None else one.length
    if one.offset + max(length, one.size) > available:
        raise ProblemError(
            KIND,
            f"{one.where} lies in {one.location!r} at bytes {one.offset} to {one.offset + max(length, one.size)}, "
            f"beyond the end of that file of {available} bytes. Is it cut short, or of another model? "
            "Save model and data anew, together.",
            files=[one.location],
        )
    if length != one.size:
        raise ProblemError(
            KIND,
            f"{one.where} of shape {list(one.tensor.dims)} needs {one.size} bytes, "
            f"the model gives it {length} bytes of {one.location!r}. Save model and data anew, together.",
            files=[one.location],
        )


def _check_apart(outside: Sequence[_Outside]) -> None:
    """Each byte belongs to one tensor: a small file could stand for any amount of memory otherwise."""
    ordered = sorted((one for one in outside if one.size), key=lambda one: (one.location, one.offset))
    for first, second in pairwise(ordered):
        if first.location == second.location and first.offset + first.size > second.offset:
            raise ProblemError(
                KIND,
                f"{first.where} and {second.where[:1].lower()}{second.where[1:]} overlap in {first.location!r} "
                f"(from byte {second.offset} on). Save model and data anew, each tensor with bytes of its own.",
                files=[first.location],
            )


def _note(one: _Outside, part: int) -> None:
    del one.tensor.external_data[:]
    for key, value in ((PART, part), (OFFSET, one.offset), (LENGTH, one.size)):
        one.tensor.external_data.add(key=key, value=str(value))


def _embed(tensor: TensorProto, file: BinaryIO, offset: int, length: int) -> None:
    file.seek(offset)
    data = file.read(length)
    if len(data) != length:
        raise _changed(Path(file.name))
    del tensor.external_data[:]
    tensor.data_location = TensorProto.DEFAULT
    tensor.raw_data = data


def _changed(path: Path) -> ProblemError:
    return ProblemError(KIND, f"{path.name} became shorter while it was read. Try again when nothing writes to it.")


def of_graph(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """The tensors of one graph, those of its subgraphs excepted, each with words for where it is."""
    for tensor in graph.initializer:
        yield f"Weight {tensor.name[:80]!r}", tensor
    for node in graph.node:
        yield from of_node(node)


def of_node(node: NodeProto) -> Iterator[tuple[str, TensorProto]]:
    """The tensors in a node's attributes."""
    for attribute in node.attribute:
        where = words_for(attribute, node)
        if attribute.HasField("t"):
            yield where, attribute.t
        yield from ((where, tensor) for tensor in attribute.tensors)


def words_for(attribute: AttributeProto, node: NodeProto) -> str:
    """Where an attribute is, for people."""
    return f"Attribute {attribute.name[:80]!r} of {node.op_type[:80]} {node.name[:80]!r}"
