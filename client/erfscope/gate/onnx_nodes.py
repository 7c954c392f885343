"""An ONNX file's operators with attributes and small constants, read off its bytes without an ONNX library."""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from erfscope_contract.protobuf import VARINT, fields, read_varint

# Field numbers of onnx.proto.
_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_ATTRIBUTE, _NODE_METADATA = 1, 2, 3, 4, 5, 9
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_STRING, _ATTRIBUTE_TENSOR = 1, 3, 4, 5
_ATTRIBUTE_FLOATS, _ATTRIBUTE_INTS = 7, 8
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_INT64S, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 4, 7, 8, 9
_FLOAT, _INT64 = 1, 7  # element types of a tensor
_SCOPES = "pkg.torch.onnx.name_scopes"  # torch's exporter writes here which module an operator came from
_MOST = 16  # elements of a constant that is read: pads, scales and sizes have two for each axis
Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Node:
    """One operator; an attribute that is a single integer is a row of one."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, Numbers]
    texts: Mapping[str, str]
    scope: str  # the torch module that the file notes


@dataclass(frozen=True)
class Graph:
    """The operators, the shapes of all stored tensors, and the values of the small ones."""

    nodes: tuple[Node, ...]
    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, Numbers]


def graph_of(view: memoryview) -> Graph:
    """What an ONNX file consists of; raises BrokenError for what is not one."""
    nodes: list[Node] = []
    shapes: dict[str, tuple[int, ...]] = {}
    constants: dict[str, Numbers] = {}
    for graph, end in _parts(view, 0, len(view), _GRAPH):
        nodes += [_node(view, *part) for part in _parts(view, graph, end, _NODE)]
        for part in _parts(view, graph, end, _INITIALIZER):
            name = _text(view, *part, _TENSOR_NAME)
            shapes[name] = _integers(view, *part, _TENSOR_DIMS)
            constants[name] = _values(view, *part)
    for node in nodes:
        if node.operator == "Constant":
            constants |= dict.fromkeys(node.outputs, next(iter(node.numbers.values()), ()))
    return Graph(tuple(nodes), shapes, {name: values for name, values in constants.items() if values})


def _node(view: memoryview, start: int, end: int) -> Node:
    attributes = list(_parts(view, start, end, _NODE_ATTRIBUTE))
    names = [_text(view, *part, _ATTRIBUTE_NAME) for part in attributes]
    return Node(
        name=_text(view, start, end, _NODE_NAME),
        operator=_text(view, start, end, _NODE_TYPE),
        inputs=_texts(view, start, end, _NODE_INPUT),
        outputs=_texts(view, start, end, _NODE_OUTPUT),
        numbers={name: _numbers(view, *part) for name, part in zip(names, attributes, strict=True)},
        texts={name: _text(view, *part, _ATTRIBUTE_STRING) for name, part in zip(names, attributes, strict=True)},
        scope=_scope(view, start, end),
    )


def _numbers(view: memoryview, start: int, end: int) -> Numbers:
    """The integers, floats or tensor of an attribute; empty for a text and for a large tensor."""
    return (
        _integers(view, start, end, _ATTRIBUTE_INTS)
        or _integers(view, start, end, _ATTRIBUTE_INT)
        or _floats(view, start, end, _ATTRIBUTE_FLOATS)
        or next((_values(view, *part) for part in _parts(view, start, end, _ATTRIBUTE_TENSOR)), ())
    )


def _values(view: memoryview, start: int, end: int) -> Numbers:
    """The elements of a small tensor of int64 or float32."""
    if prod(_integers(view, start, end, _TENSOR_DIMS)) > _MOST:
        return ()
    is_whole = _integers(view, start, end, _TENSOR_TYPE) == (_INT64,)
    if not is_whole and _integers(view, start, end, _TENSOR_TYPE) != (_FLOAT,):
        return ()
    for begin, stop in _parts(view, start, end, _TENSOR_RAW):
        code, size = ("q", 8) if is_whole else ("f", 4)
        count = (stop - begin) // size
        return struct.unpack(f"<{count}{code}", view[begin : begin + count * size])
    return _integers(view, start, end, _TENSOR_INT64S) if is_whole else _floats(view, start, end, _TENSOR_FLOATS)


def _scope(view: memoryview, start: int, end: int) -> str:
    """`last.1`: the innermost torch module; empty where the file does not tell."""
    for part in _parts(view, start, end, _NODE_METADATA):
        if _text(view, *part, 1) == _SCOPES:
            return _innermost(_text(view, *part, 2))
    return ""


def _innermost(scopes: str) -> str:
    """The last module of `['', 'last', 'last.1', 'conv2d']`, which ends with the operator itself."""
    try:
        names = json.loads(scopes.replace("'", '"'))
    except ValueError:
        return ""
    modules = [one for one in names[:-1] if isinstance(one, str) and one] if isinstance(names, list) else []
    return "".join(modules[-1:]).replace(" ", "")


def _integers(view: memoryview, start: int, end: int, number_of_field: int) -> tuple[int, ...]:
    """A repeated integer, packed or one by one."""
    numbers: list[int] = []
    for number, begin, stop, content in fields(view, start, end):
        if number != number_of_field:
            continue
        position = begin if content is None else content
        if content is None:
            key, position = read_varint(view, begin, stop)
            if key & 7 != VARINT:
                continue
        while position < stop:
            value, position = read_varint(view, position, stop)
            numbers.append(value - (1 << 64) if value >> 63 else value)
    return tuple(numbers)


def _floats(view: memoryview, start: int, end: int, number_of_field: int) -> tuple[float, ...]:
    """A repeated float, packed or one by one."""
    content = b"".join(
        bytes(view[stop - 4 if inside is None else inside : stop])
        for number, _, stop, inside in fields(view, start, end)
        if number == number_of_field
    )
    count = len(content) // 4
    return struct.unpack(f"<{count}f", content[: count * 4])


def _text(view: memoryview, start: int, end: int, number_of_field: int) -> str:
    """The first text of a field; empty where there is none."""
    return "".join(_texts(view, start, end, number_of_field)[:1])


def _texts(view: memoryview, start: int, end: int, number_of_field: int) -> tuple[str, ...]:
    return tuple(bytes(view[a:b]).decode("utf-8", "replace") for a, b in _parts(view, start, end, number_of_field))


def _parts(view: memoryview, start: int, end: int, number_of_field: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the content of every field of that number that has a length."""
    for number, _, stop, content in fields(view, start, end):
        if number == number_of_field and content is not None:
            yield content, stop
