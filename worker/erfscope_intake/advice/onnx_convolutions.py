"""The convolutions of an ONNX model, and how they are given another dilation with the same weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, helper


@dataclass(frozen=True)
class Convolution:
    """A convolution that can be dilated: its name for people, its kernel and dilation per axis."""

    label: str
    kernel: tuple[int, ...]
    dilation: tuple[int, ...]


def convolutions(model: ModelProto) -> list[Convolution]:
    """Those of the main graph with a kernel wider than 1, padded by numbers or SAME, in the graph's order."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        kernel = _kernel(node, shapes)
        if kernel and max(kernel) > 1 and _text(node, "auto_pad", "NOTSET") != "VALID":
            found.append(Convolution(_label(node), kernel, tuple(_ints(node, "dilations", [1] * len(kernel)))))
    return found


def dilate(model: ModelProto, dilations: Mapping[str, Sequence[int]]) -> None:
    """Give the convolutions of these labels other dilations, in place; paddings grow so that sizes stay."""
    for conv in convolutions(model):
        if conv.label not in dilations:
            continue
        (node,) = [node for node in model.graph.node if node.op_type == "Conv" and _label(node) == conv.label]
        after = list(dilations[conv.label])
        rank = len(conv.kernel)
        pads = _ints(node, "pads", [0] * 2 * rank)
        grown = [(d2 - d1) * (k - 1) for k, d1, d2 in zip(conv.kernel, conv.dilation, after, strict=True)]
        if _text(node, "auto_pad", "NOTSET") == "NOTSET":
            begins = [p + n // 2 for p, n in zip(pads[:rank], grown, strict=True)]
            ends = [p + n - n // 2 for p, n in zip(pads[rank:], grown, strict=True)]
            _set(node, "pads", [*begins, *ends])
        _set(node, "dilations", after)


def _kernel(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    if node.op_type != "Conv" or node.domain not in ("", "ai.onnx"):
        return ()
    weight = shapes.get(node.input[1], ()) if len(node.input) > 1 else ()
    return tuple(_ints(node, "kernel_shape", list(weight[2:])))


def _label(node: NodeProto) -> str:
    return str(node.name or node.output[0])


def _ints(node: NodeProto, name: str, default: list[int]) -> list[int]:
    for attribute in node.attribute:
        if attribute.name == name:
            return [int(n) for n in attribute.ints]
    return default


def _text(node: NodeProto, name: str, default: str) -> str:
    for attribute in node.attribute:
        if attribute.name == name:
            return str(attribute.s.decode("utf-8", "replace"))
    return default


def _set(node: NodeProto, name: str, values: list[int]) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, values)])
