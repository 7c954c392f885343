"""What the field of an ONNX file's operators follows from (kernel, stride, padding …), and their torch modules."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from erfscope.gate.onnx_nodes import Graph, Node, Numbers, graph_of
from erfscope.gate.wiring import Sources, sources_of
from erfscope_contract.named_files import bytes_of
from erfscope_contract.numbers import plain
from erfscope_contract.protobuf import BrokenError

_CONVOLUTIONS = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv")
_POOLS = ("MaxPool", "AveragePool", "LpPool")
_WEIGHT_PLACE = {"QLinearConv": 3}  # which input is the weight; 1 for the others
_WEIGHT = ".weight"  # how torch's modules end the name of it: `last.0.weight`
_END = 2**31 - 1  # from here a slice's end means "to the end"
T = TypeVar("T")
Facts = dict[str, str]  # "dilation" → "4", or "1×4" where the axes differ


def windows(model: bytes | Path) -> dict[str, Facts]:
    """The facts and the torch module of every operator that has facts, by its first output and by its name.

    Empty for what is not an ONNX file. Sizes are in elements of the operator's own input.
    """
    graph = _graph(model)
    named: dict[str, Facts] = {}
    for node in graph.nodes:
        if facts := dict(FACTS[node.operator](node, graph)) if node.operator in FACTS else {}:
            module = _module(node)
            named |= dict.fromkeys(
                filter(None, (node.name, *node.outputs[:1])), facts | ({"module": module} if module else {})
            )
    return named


def modules(model: bytes | Path) -> dict[str, str]:
    """The torch module of every operator, by its outputs' names; empty where the file does not tell."""
    return {output: module for node in _graph(model).nodes if (module := _module(node)) for output in node.outputs}


def reads(model: bytes | Path, layers: Collection[str], start: str) -> dict[str, Sources]:
    """Which of these layers, or the input `start`, each of them reads; empty for what is not an ONNX file."""
    return sources_of(layers, start, ((node.inputs, node.outputs) for node in _graph(model).nodes))


def _graph(model: bytes | Path) -> Graph:
    """Empty if the file is not ONNX; the measurement or the inspection then reports that."""
    with bytes_of(model) as view:
        try:
            return graph_of(view)
        except BrokenError:
            return Graph((), {}, {})


def _module(node: Node) -> str:
    """The module that owns a convolution's weight; of any other operator its scope.

    The exporter folds a BatchNorm into the convolution before it, and notes the BatchNorm's module for both; a
    measurement takes either as the name of a layer.
    """
    weight = _weight(node)
    return weight.removesuffix(_WEIGHT).replace(" ", "") if node.scope and weight.endswith(_WEIGHT) else node.scope


def _weight(node: Node) -> str:
    """The name of a convolution's weight; empty for another operator."""
    place = _WEIGHT_PLACE.get(node.operator, 1)
    return node.inputs[place] if node.operator in _CONVOLUTIONS and len(node.inputs) > place else ""


def _convolution(node: Node, graph: Graph) -> Iterator[tuple[str, str]]:
    shape = graph.shapes.get(_weight(node), ())
    groups = int(node.numbers.get("group", (1,))[0])
    yield from _window(node, node.numbers.get("kernel_shape") or shape[2:])  # a file may leave it to the weight
    if node.operator == "ConvTranspose":
        yield "output_padding", _sizes(node.numbers.get("output_padding") or (0,))
    yield "groups", str(groups)
    if len(shape) > 1:
        yield "channels", str(shape[1] * groups if node.operator == "ConvTranspose" else shape[0])


def _pool(node: Node, graph: Graph) -> Iterator[tuple[str, str]]:
    yield from _window(node, node.numbers.get("kernel_shape", ()))
    yield "ceil_mode", _sizes(node.numbers.get("ceil_mode") or (0,))
    if node.operator == "AveragePool":
        yield "count_include_pad", _sizes(node.numbers.get("count_include_pad") or (0,))


def _window(node: Node, kernel: Numbers) -> Iterator[tuple[str, str]]:
    if not kernel:
        return
    ones = (1.0,) * len(kernel)  # what a file leaves out
    yield "kernel", _sizes(kernel)
    yield "step", _sizes(node.numbers.get("strides") or ones)
    yield "dilation", _sizes(node.numbers.get("dilations") or ones)
    automatic = node.texts.get("auto_pad", "NOTSET")
    yield "padding", _margins(_pairs(node.numbers.get("pads", ()))) if automatic == "NOTSET" else automatic.lower()


def _pad(node: Node, graph: Graph) -> Iterator[tuple[str, str]]:
    if pads := _constant(node, graph, "pads", 1):
        yield "padding", _margins(_spatial(_pairs(pads), (0, 0)))
    yield "mode", node.texts.get("mode") or "constant"


def _resize(node: Node, graph: Graph) -> Iterator[tuple[str, str]]:
    place = 1 if node.operator == "Upsample" or len(node.inputs) == 2 else 2  # Resize has a region before, since 11
    if scale := _constant(node, graph, "scales", place):
        yield "scale", _sizes(_spatial(scale, 1))
    if size := _constant(node, graph, "", 3):
        yield "size", _sizes(size[2:] or size)  # without batch and channels
    yield "mode", node.texts.get("mode") or "nearest"
    yield "coordinates", node.texts.get("coordinate_transformation_mode") or "half_pixel"


def _blocks(node: Node, graph: Graph) -> Iterator[tuple[str, str]]:
    yield "block", _sizes(node.numbers.get("blocksize") or (1,))


def _slice(node: Node, graph: Graph) -> Iterator[tuple[str, str]]:
    for place, attribute in enumerate(("starts", "ends", "axes", "steps"), 1):
        if values := _constant(node, graph, attribute, place):
            yield attribute, "×".join("end" if value >= _END else plain(value) for value in values)


def _constant(node: Node, graph: Graph, attribute: str, place: int) -> Numbers:
    """An attribute of older files, which is an input of newer ones; empty where the file does not fix it."""
    name = node.inputs[place] if len(node.inputs) > place else ""
    return node.numbers.get(attribute) or graph.constants.get(name, ())


# Operator → its facts. What is not here has none but its kind: no other attribute moves the field.
FACTS: Mapping[str, Callable[[Node, Graph], Iterator[tuple[str, str]]]] = {
    **dict.fromkeys(_CONVOLUTIONS, _convolution),
    **dict.fromkeys(_POOLS, _pool),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _blocks),
    "Pad": _pad,
    "Slice": _slice,
}


def _sizes(sizes: Sequence[float]) -> str:
    """`3`, or `3×5` where the axes differ."""
    return plain(sizes[0]) if len(set(sizes)) == 1 else "×".join(map(plain, sizes))


def _pairs(pads: Numbers) -> list[tuple[float, float]]:
    """Before and after, by axis."""
    half = len(pads) // 2
    return list(zip(pads[:half], pads[half:], strict=False))


def _margins(pairs: Sequence[tuple[float, float]]) -> str:
    """`1`, `1×2` by axis, `0+1` where an axis has another margin after than before."""
    sides = [plain(a) if a == b else f"{plain(a)}+{plain(b)}" for a, b in pairs] or ["0"]
    return sides[0] if len(set(sides)) == 1 else "×".join(sides)


def _spatial(values: Sequence[T], nothing: T) -> Sequence[T]:
    """Without batch and channels, where these are listed too and nothing is done to them."""
    return values[2:] if len(values) > 2 and list(values[:2]) == [nothing] * 2 else values
