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
    rows = [convolution_of(model, node) for node in model.graph.node]
    return [row for row in rows if row is not None]


def convolution_of(model: ModelProto, node: NodeProto) -> Convolution | None:
    """A node as a convolution that can be dilated; None where it is none."""
    kernel = _kernel(node, {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer})
    if not kernel or max(kernel) == 1 or _text(node, "auto_pad", "NOTSET") == "VALID":
        return None
    return Convolution(label_of(node), kernel, tuple(ints_of(node, "dilations", [1] * len(kernel))))


def dilate(model: ModelProto, dilations: Mapping[str, Sequence[int]]) -> None:
    """Give the convolutions of these labels other dilations, in place; paddings grow so that sizes stay."""
    for conv in convolutions(model):
        if conv.label not in dilations:
            continue
        (node,) = [node for node in model.graph.node if node.op_type == "Conv" and label_of(node) == conv.label]
        after = list(dilations[conv.label])
        rank = len(conv.kernel)
        pads = ints_of(node, "pads", [0] * 2 * rank)
        grown = [(d2 - d1) * (k - 1) for k, d1, d2 in zip(conv.kernel, conv.dilation, after, strict=True)]
        if _text(node, "auto_pad", "NOTSET") == "NOTSET":
            begins = [p + n // 2 for p, n in zip(pads[:rank], grown, strict=True)]
            ends = [p + n - n // 2 for p, n in zip(pads[rank:], grown, strict=True)]
            set_ints(node, "pads", [*begins, *ends])
        set_ints(node, "dilations", after)


def _kernel(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    if node.op_type != "Conv" or node.domain not in ("", "ai.onnx"):
        return ()
    weight = shapes.get(node.input[1], ()) if len(node.input) > 1 else ()
    return tuple(ints_of(node, "kernel_shape", list(weight[2:])))


def label_of(node: NodeProto) -> str:
    """A node by the tensor that it computes, as `layers` and `fit` call it and --layer takes it."""
    return str(node.output[0])


def ints_of(node: NodeProto, name: str, default: list[int]) -> list[int]:
    """A node's list of numbers, or what it means where there is none."""
    for attribute in node.attribute:
        if attribute.name == name:
            return [int(n) for n in attribute.ints]
    return default


def _text(node: NodeProto, name: str, default: str) -> str:
    for attribute in node.attribute:
        if attribute.name == name:
            return str(attribute.s.decode("utf-8", "replace"))
    return default


def set_ints(node: NodeProto, name: str, values: list[int]) -> None:
    """Give a node a list of numbers, in place."""
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, values)])
