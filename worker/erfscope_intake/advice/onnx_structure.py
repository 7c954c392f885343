"""Changes of an ONNX model that keep its weights: a dropped stride, an input at half size, a block that is added."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from erfscope_intake.advice.onnx_convolutions import Convolution, convolution_of, dilate, ints_of, label_of, set_ints

POOLS = ("MaxPool", "AveragePool")
ENDS = ("GlobalAveragePool", "GlobalMaxPool", "Flatten", "Reshape", "ReduceMean", "Gemm")
Grid = tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """The coarsest grid of a model's convolutions, the nodes whose stride makes it, and the convolutions on it."""

    grid: Grid
    strides: tuple[str, ...]
    convolutions: tuple[Convolution, ...]


@dataclass(frozen=True)
class Place:
    """The tensor that a block is put behind, with its channels and grid."""

    tensor: str
    channels: int
    grid: Grid


def shapes_of(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's tensors as far as they can be inferred; an axis that is free counts 0."""
    bare = ModelProto()
    bare.CopyFrom(model)
    inferred = onnx.shape_inference.infer_shapes(bare).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    return {one.name: tuple(d.dim_value for d in one.type.tensor_type.shape.dim) for one in values}


def last_stage(model: ModelProto) -> Stage | None:
    """The stage of the coarsest grid; None where shapes are not known, or there is one grid only."""
    shapes = shapes_of(model)
    rows = [(node, *_grids(node, shapes)) for node in model.graph.node if node.op_type in ("Conv", *POOLS)]
    rows = [row for row in rows if prod(row[1]) and prod(row[2])]
    if not rows:
        return None
    coarsest = min((row[2] for row in rows if row[0].op_type == "Conv"), key=prod)
    strides = tuple(label_of(node) for node, before, after in rows if after == coarsest and prod(before) > prod(after))
    inside = [convolution_of(model, node) for node, before, after in rows if before == after == coarsest]
    return Stage(coarsest, strides, tuple(one for one in inside if one is not None)) if strides else None


def _grids(node: NodeProto, shapes: dict[str, tuple[int, ...]]) -> tuple[Grid, Grid]:
    return shapes.get(node.input[0], ())[2:], shapes.get(node.output[0], ())[2:]


def unstride(model: ModelProto, stage: Stage, factor: int) -> None:
    """Give the nodes that make the last grid stride 1, its convolutions a dilation `factor` times as wide, in place."""
    for node in model.graph.node:
        if label_of(node) in stage.strides and node.op_type in ("Conv", *POOLS):
            set_ints(node, "strides", [1] * len(stage.grid))
    dilate(model, {conv.label: [d * factor for d in conv.dilation] for conv in stage.convolutions})
    forget_shapes(model)


def can_unstride(model: ModelProto, stage: Stage) -> bool:
    """Whether windows are odd and padded so that a stride of 1 keeps the grid."""
    nodes = [node for node in model.graph.node if label_of(node) in stage.strides]
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return all(_centred(node, shapes) for node in nodes)


def _centred(node: NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    weight = shapes.get(node.input[1], ()) if node.op_type == "Conv" else ()
    kernel = ints_of(node, "kernel_shape", list(weight[2:]))
    pads = ints_of(node, "pads", [0] * 2 * len(kernel))
    return bool(kernel) and pads == [k // 2 for k in kernel] * 2 and all(k % 2 for k in kernel)


def halve_input(model: ModelProto, name: str, rank: int) -> None:
    """Average the input over 2 pixels along each axis before anything reads it, in place."""
    halved = f"{name}_halved"
    for node in model.graph.node:
        for k, each in enumerate(node.input):
            if each == name:
                node.input[k] = halved
    ones = [2] * rank
    pool = helper.make_node("AveragePool", [name], [halved], "half_input", kernel_shape=ones, strides=ones)
    model.graph.node.insert(0, pool)
    forget_shapes(model)


def end_of_features(model: ModelProto) -> Place | None:
    """The tensor of the last convolutions' grid that a head reads; None where its shape is not known."""
    shapes = shapes_of(model)
    convs = [k for k, node in enumerate(model.graph.node) if node.op_type == "Conv"]
    if not convs:
        return None
    last = model.graph.node[convs[-1]]
    heads = [node for node in list(model.graph.node)[convs[-1] + 1 :] if node.op_type in ENDS]
    tensor = heads[0].input[0] if heads else last.output[0]
    return _place(tensor, shapes)


def place_at(model: ModelProto, tensor: str) -> Place | None:
    """A tensor by its name; None where it has not the shape of a convolution's output, or that is not known."""
    shapes = shapes_of(model)
    of_convolutions = {shapes.get(node.output[0], ()) for node in model.graph.node if node.op_type == "Conv"}
    return _place(tensor, shapes) if shapes.get(tensor, ()) in of_convolutions else None


def _place(tensor: str, shapes: dict[str, tuple[int, ...]]) -> Place | None:
    shape = shapes.get(tensor, ())
    return Place(tensor, shape[1], shape[2:]) if len(shape) >= 3 and 0 not in shape[1:] else None


def add_large_kernel(model: ModelProto, place: Place, kernel: int, seed: int) -> None:
    """Put x + pointwise(relu(depthwise(x))) behind a tensor, in place; its weights are He's, drawn from `seed`.

    The sum takes the tensor's name, so that all its consumers read it, and a measurement of it has the block.
    """
    rank, channels = len(place.grid), place.channels
    draw = np.random.default_rng(seed)
    taps = (kernel,) * rank
    weights = {
        "large_kernel_depthwise": draw.normal(0, np.sqrt(2 / prod(taps)), (channels, 1, *taps)),
        "large_kernel_pointwise": draw.normal(0, np.sqrt(1 / channels), (channels, channels, *(1 for _ in taps))),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()
    )
    before = f"{place.tensor}_before_large_kernel"
    at = next(k for k, node in enumerate(model.graph.node) if place.tensor in node.output)
    outputs = model.graph.node[at].output
    outputs[list(outputs).index(place.tensor)] = before
    names = [f"{before}_{k}" for k in range(3)]
    first, second = weights
    block = [
        helper.make_node("Conv", [before, first], [names[0]], first, group=channels, pads=[kernel // 2] * 2 * rank),
        helper.make_node("Relu", [names[0]], [names[1]], "large_kernel_relu"),
        helper.make_node("Conv", [names[1], second], [names[2]], second),
        helper.make_node("Add", [before, names[2]], [place.tensor], "large_kernel"),
    ]
    for offset, node in enumerate(block, start=1):
        model.graph.node.insert(at + offset, node)


def forget_shapes(model: ModelProto) -> None:
    """Drop what the file says of shapes that are no longer so; in place."""
    del model.graph.value_info[:]
    for output in model.graph.output:
        kind = output.type.tensor_type.elem_type or TensorProto.FLOAT
        output.CopyFrom(helper.make_tensor_value_info(output.name, kind, None))


def dilations_of(convs: Sequence[Convolution], factors: Sequence[int], most: int) -> dict[str, list[int]] | None:
    """Wider dilations by label, factors in turn; None where one would be over `most`."""
    wider = {}
    for n, conv in enumerate(convs):
        factor = factors[n % len(factors)]
        wider[conv.label] = [d * factor if k > 1 else d for k, d in zip(conv.kernel, conv.dilation, strict=True)]
    return None if any(max(one) > most for one in wider.values()) else wider
