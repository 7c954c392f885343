"""Which axis of an input is what: batch, channels, space. TensorFlow's files are channels-last: find it out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, NodeProto, TensorProto, numpy_helper
from torch import Tensor

from erfscope_intake.bounds import MAX_LISTED
from erfscope_intake.onnx_audit import graphs
from erfscope_intake.onnx_external import is_outside
from erfscope_intake.onnx_order import subgraphs

Extent = int | None  # None where the file leaves it free
SMALL = 4
ROOMY = 8
LARGE = 16

# Operators that keep the axes of their first input where they are.
TRANSPARENT = {
    "Identity", "Cast", "Add", "Sub", "Mul", "Div", "Clip", "Pad", "QuantizeLinear", "DequantizeLinear", "Neg", "Abs",
    "Relu", "Dropout", "Pow", "Sqrt", "Log", "Max", "Min", "Resize", "Upsample", "Slice", "Split",
    "ImageScaler", "Crop", "Affine", "Scale",
}  # fmt: skip
CHANNELS_SECOND = {
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization", "InstanceNormalization", "LRN",
    "GlobalAveragePool", "GlobalMaxPool", "GroupNormalization", "DepthToSpace", "SpaceToDepth",
    "ConvInteger", "QLinearConv", "FusedConv",
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Positions of the batch, channel and spatial axes in the model's own input."""

    batch: int | None
    channel: int | None
    space: tuple[int, ...]

    @property
    def channels_last(self) -> bool:
        """The channels come after the space."""
        return self.channel is not None and self.channel > max(self.space, default=-1)

    def to_model(self, x: Tensor) -> Tensor:
        """(B, C, *space) as the model's own input."""
        source = {0: self.batch, 1: self.channel} | {2 + i: axis for i, axis in enumerate(self.space)}
        for absent in [axis for axis in (1, 0) if source[axis] is None]:
            x = x.select(absent, 0)
        present = [place for place in source.values() if place is not None]
        order = [present.index(place) for place in sorted(present)]
        return x if order == sorted(order) else x.permute(order)


@dataclass(frozen=True)
class Uses:
    """Who reads what in a graph and its branches, looked up once: a model may have thousands of inputs and views."""

    extents: Mapping[str, Sequence[Extent]]  # of the graph's inputs
    readers: Mapping[str, Sequence[NodeProto]]
    ends: Mapping[str, Sequence[str]]  # what the last value of a branch is called behind its If
    constants: Mapping[str, TensorProto]

    @classmethod
    def of(cls, graph: GraphProto) -> "Uses":
        """All of them; names are unique through all subgraphs."""
        nodes = [node for part in graphs(graph) for node in part.node]
        constants = {
            maker.output[0]: attribute.t
            for maker in nodes
            if maker.op_type == "Constant" and maker.output
            for attribute in maker.attribute
            if attribute.HasField("t")
        }
        constants |= {tensor.name: tensor for part in graphs(graph) for tensor in part.initializer}
        extents = {v.name: [d.dim_value or None for d in v.type.tensor_type.shape.dim] for v in graph.input}
        return cls(extents, _readers(nodes), _ends(nodes), constants)


@dataclass(frozen=True)
class Hint:
    """What the first convolution-like consumer of an input says: batch and channel axis there, how many channels."""

    batch: int | None
    channel: int | None
    channels: int | None


def layout_of(extents: Sequence[Extent], hint: Hint | None) -> Layout:
    """The roles of the axes of an input."""
    rank = len(extents)
    if rank <= 1:
        return Layout(None, None, tuple(range(rank)))
    if hint is not None and hint.batch in (0, None) and (hint.channel != 0 or hint.batch is None):
        rest = tuple(axis for axis in range(rank) if axis not in (hint.batch, hint.channel))
        return Layout(hint.batch, hint.channel, rest)
    if rank == 2:
        return Layout(0, None, (1,))
    if rank == 3 and _is_one_image(extents):
        last = extents[2] in (1, 3, 4) and extents[0] not in (1, 3, 4)
        return Layout(None, 2, (0, 1)) if last else Layout(None, 0, (1, 2))
    if _is_channels_last(extents):
        return Layout(0, rank - 1, tuple(range(1, rank - 1)))
    return Layout(0, 1, tuple(range(2, rank)))


def _is_one_image(extents: Sequence[Extent]) -> bool:
    first, _, third = extents
    first_large, second_large, third_large = (n is None or n >= LARGE for n in extents)
    return (first == 3 and second_large and third_large) or (
        third == 3 and first_large and second_large and first is not None
    )


def _is_channels_last(extents: Sequence[Extent]) -> bool:
    last = extents[-1]
    roomy = all(n is None or n >= ROOMY for n in extents[1:-1])
    return last is not None and last <= SMALL and roomy


def hint_for(uses: Uses, name: str) -> Hint | None:
    """Follow an input through transposes and element-wise operators to the first operator that knows its channels."""
    extents = uses.extents[name]
    pending: list[tuple[str, list[int | None]]] = [(name, list(range(len(extents))))]
    for value, axes in pending:  # grows while it is walked; bounded by the number of nodes
        for node in uses.readers.get(value, ()):
            if node.op_type in CHANNELS_SECOND and node.input[0] == value and len(axes) > 1:
                return Hint(axes[0], axes[1], _channels(node, uses))
            if node.op_type == "Reshape" and value == name:
                following = _reshaped(extents, _numbers(node, "shape", uses))
            else:
                following = _moved(node, axes, uses)
            if following is not None and node.output and len(pending) <= len(uses.readers):
                pending.append((node.output[0], following))
    return None


def _readers(nodes: Sequence[NodeProto]) -> dict[str, list[NodeProto]]:
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for read in dict.fromkeys(node.input):
            readers.setdefault(read, []).append(node)
    return readers


def _ends(nodes: Sequence[NodeProto]) -> dict[str, list[str]]:
    ends: dict[str, list[str]] = {}
    for node in nodes:
        for branch in subgraphs(node):
            for end, made in zip(branch.output, node.output, strict=False):
                ends.setdefault(end.name, []).append(made)
    return ends


def _reshaped(extents: Sequence[Extent], target: list[int] | None) -> list[int | None] | None:
    """Which axes of a fixed batch of several survive a view: equal ones from the end; the batch, if it stays first.

    Other inputs need no such look: their first axis is the batch.
    """
    if not target or not extents or extents[0] in (None, 1):
        return None
    axes: list[int | None] = [None] * len(target)
    for k in range(1, min(len(extents), len(target)) + 1):
        if extents[-k] != target[-k]:
            break
        axes[-k] = len(extents) - k
    return axes


def _channels(node: NodeProto, uses: Uses) -> int | None:
    place = {
        "Conv": 1,
        "FusedConv": 1,
        "ConvInteger": 1,
        "QLinearConv": 3,
        "ConvTranspose": 1,
        "BatchNormalization": 1,
    }
    at = place.get(node.op_type, len(node.input))
    tensor = uses.constants.get(node.input[at]) if at < len(node.input) else None
    if tensor is None or not tensor.dims:
        return None
    weight = [int(extent) for extent in tensor.dims]
    if node.op_type in ("ConvTranspose", "BatchNormalization"):
        return weight[0]
    group = next((a.i for a in node.attribute if a.name == "group"), 1)
    return weight[1] * group if len(weight) > 1 else None


def _moved(node: NodeProto, axes: list[int | None], uses: Uses) -> list[int | None] | None:
    if node.op_type in TRANSPARENT:
        return axes
    if node.op_type == "Transpose":
        order = next((list(a.ints) for a in node.attribute if a.name == "perm"), list(range(len(axes)))[::-1])
        return [axes[place] for place in order] if sorted(order) == list(range(len(axes))) else None
    if node.op_type == "Unsqueeze":
        places = _numbers(node, "axes", uses)
        if places is None:
            return None
        rank, rest = len(axes) + len(places), iter(axes)
        new = {place % rank for place in places}
        return [None if place in new else next(rest) for place in range(rank)] if len(new) == len(places) else None
    return None


def _numbers(node: NodeProto, name: str, uses: Uses) -> list[int] | None:
    """Integers that are an attribute in old versions of an operator and its second input in new ones."""
    for attribute in node.attribute:
        if attribute.name == name:
            return list(attribute.ints)
    tensor = uses.constants.get(node.input[1]) if len(node.input) > 1 else None
    if tensor is None or tensor.data_type != TensorProto.INT64 or is_outside(tensor):  # axes are few
        return None
    if math.prod(tensor.dims) > MAX_LISTED:
        return None
    return [int(place) for place in numpy_helper.to_array(tensor).reshape(-1)]
