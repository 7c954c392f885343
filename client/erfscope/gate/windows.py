"""Kernel, stride, dilation and torch module of an ONNX file's operators, read off its bytes without an ONNX library."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from erfscope_contract.named_files import bytes_of
from erfscope_contract.protobuf import VARINT, BrokenError, fields, read_varint

# Field numbers of onnx.proto.
_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_ATTRIBUTE, _NODE_METADATA = 1, 2, 3, 4, 5, 9
_ATTRIBUTE_NAME, _ATTRIBUTE_INTS = 1, 8
_TENSOR_DIMS, _TENSOR_NAME = 1, 8
_SCOPES = "pkg.torch.onnx.name_scopes"  # torch's exporter writes here which module an operator came from
# ONNX's attribute → the word for it here. What a file leaves out is 1 along each axis.
WORDS = {"kernel_shape": "kernel", "strides": "step", "dilations": "dilation"}
_CONVOLUTIONS = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv")
_WEIGHT_PLACE = {"QLinearConv": 3}  # which input is the weight; 1 for the others
_WEIGHT = ".weight"  # how torch's modules end the name of it: `last.0.weight`
Facts = dict[str, str]  # "dilation" → "4", or "1×4" where the axes differ


@dataclass(frozen=True)
class _Node:
    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ints: Mapping[str, tuple[int, ...]]
    scope: str  # the module that the file notes

    @property
    def module(self) -> str:
        """The module that owns a convolution's weight; of any other operator its scope.

        The exporter folds a BatchNorm into the convolution before it, and notes the BatchNorm's module for both; a
        measurement takes either as the name of a layer.
        """
        weight = _weight(self)
        return weight.removesuffix(_WEIGHT).replace(" ", "") if self.scope and weight.endswith(_WEIGHT) else self.scope


def windows(model: bytes | Path) -> dict[str, Facts]:
    """Kernel, stride ("step"), dilation and torch module of every operator with a window, by its first output and name.

    Empty for what is not an ONNX file. Sizes are in elements of the operator's own input.
    """
    with bytes_of(model) as view:
        try:
            return dict(_named(view))
        except BrokenError:  # whoever measures the model says so
            return {}


def modules(model: bytes | Path) -> dict[str, str]:
    """The torch module of every operator, by its outputs' names; empty where the file does not tell."""
    with bytes_of(model) as view:
        try:
            nodes = [
                _node(view, *part)
                for graph, end in _parts(view, 0, len(view), _GRAPH)
                for part in _parts(view, graph, end, _NODE)
            ]
        except BrokenError:  # whoever inspects the model says so
            return {}
    return {output: node.module for node in nodes if node.module for output in node.outputs}


def _named(view: memoryview) -> Iterator[tuple[str, Facts]]:
    nodes: list[_Node] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for graph, end in _parts(view, 0, len(view), _GRAPH):
        nodes += [_node(view, *part) for part in _parts(view, graph, end, _NODE)]
        shapes |= dict(_shape(view, *part) for part in _parts(view, graph, end, _INITIALIZER))
    for node in nodes:
        if facts := _facts(node, shapes):
            yield from ((name, facts) for name in (node.name, *node.outputs[:1]) if name)


def _facts(node: _Node, shapes: Mapping[str, tuple[int, ...]]) -> Facts:
    kernel = node.ints.get("kernel_shape") or _kernel_of_weight(node, shapes)
    if not kernel:
        return {}
    sizes: dict[str, tuple[int, ...]] = {"strides": (), "dilations": (), **node.ints, "kernel_shape": kernel}
    facts = {word: _written(sizes[name] or (1,) * len(kernel)) for name, word in WORDS.items()}
    return facts | ({"module": node.module} if node.module else {})


def _kernel_of_weight(node: _Node, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """A convolution may leave its kernel to the shape of its weight."""
    return shapes.get(_weight(node), ())[2:]


def _weight(node: _Node) -> str:
    """The name of a convolution's weight; empty for another operator."""
    place = _WEIGHT_PLACE.get(node.operator, 1)
    return node.inputs[place] if node.operator in _CONVOLUTIONS and len(node.inputs) > place else ""


def _written(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else "×".join(map(str, sizes))


def _node(view: memoryview, start: int, end: int) -> _Node:
    names = {number: _texts(view, start, end, number) for number in (_NODE_NAME, _NODE_TYPE)}
    return _Node(
        name="".join(names[_NODE_NAME][:1]),
        operator="".join(names[_NODE_TYPE][:1]),
        inputs=_texts(view, start, end, _NODE_INPUT),
        outputs=_texts(view, start, end, _NODE_OUTPUT),
        ints=dict(_ints(view, *part) for part in _parts(view, start, end, _NODE_ATTRIBUTE)),
        scope=_scope(view, start, end),
    )


def _scope(view: memoryview, start: int, end: int) -> str:
    """`last.1`: the innermost torch module; empty where the file does not tell."""
    for part in _parts(view, start, end, _NODE_METADATA):
        (key, *_), (value, *_) = (_texts(view, *part, number) or ("",) for number in (1, 2))
        if key == _SCOPES:
            return _innermost(value)
    return ""


def _innermost(scopes: str) -> str:
    """The last module of `['', 'last', 'last.1', 'conv2d']`, which ends with the operator itself."""
    try:
        names = json.loads(scopes.replace("'", '"'))
    except ValueError:
        return ""
    modules = [one for one in names[:-1] if isinstance(one, str) and one] if isinstance(names, list) else []
    return "".join(modules[-1:]).replace(" ", "")


def _ints(view: memoryview, start: int, end: int) -> tuple[str, tuple[int, ...]]:
    return "".join(_texts(view, start, end, _ATTRIBUTE_NAME)[:1]), _numbers(view, start, end, _ATTRIBUTE_INTS)


def _shape(view: memoryview, start: int, end: int) -> tuple[str, tuple[int, ...]]:
    return "".join(_texts(view, start, end, _TENSOR_NAME)[:1]), _numbers(view, start, end, _TENSOR_DIMS)


def _numbers(view: memoryview, start: int, end: int, number_of_field: int) -> tuple[int, ...]:
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
            numbers.append(value)
    return tuple(numbers)


def _texts(view: memoryview, start: int, end: int, number_of_field: int) -> tuple[str, ...]:
    return tuple(bytes(view[a:b]).decode("utf-8", "replace") for a, b in _parts(view, start, end, number_of_field))


def _parts(view: memoryview, start: int, end: int, number_of_field: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the content of every field of that number that has a length."""
    for number, _, stop, content in fields(view, start, end):
        if number == number_of_field and content is not None:
            yield content, stop
