"""Changes of an ONNX model that keep its weights: a dropped stride, a block that is added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from numpy.typing import NDArray
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


def set_input(model: ModelProto, name: str | None, shape: Sequence[int]) -> None:
    """Give an input (by default the first) a shape, without its batch, in place."""
    constants = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in constants]
    named = next((one for one in inputs if one.name == name), inputs[0] if inputs else None)
    axes = [] if named is None else list(named.type.tensor_type.shape.dim)[1:]
    if len(axes) != len(shape) or [axis.dim_value for axis in axes] == list(shape):
        return
    for axis, extent in zip(axes, shape, strict=True):
        axis.dim_value = extent
    forget_shapes(model)


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


def end_of_stage(model: ModelProto, stage: Stage) -> Place | None:
    """The last tensor on a stage's grid, behind its convolutions; None where no shape is known."""
    shapes = shapes_of(model)
    on_grid = [node.output[0] for node in model.graph.node if shapes.get(node.output[0], ())[2:] == stage.grid]
    return _place(on_grid[-1], shapes) if on_grid else None


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
    """Put x + pointwise(relu(depthwise(x))) behind a tensor, in place; its weights are He's, drawn from `seed`."""
    rank, channels = len(place.grid), place.channels
    draw = np.random.default_rng(seed)
    taps = (kernel,) * rank
    weights = {
        "large_kernel_depthwise": draw.normal(0, np.sqrt(2 / prod(taps)), (channels, 1, *taps)),
        "large_kernel_pointwise": draw.normal(0, np.sqrt(1 / channels), (channels, channels, *(1 for _ in taps))),
    }
    first, second = weights
    before, names = _names(place, "large_kernel", 3)
    block = [
        helper.make_node("Conv", [before, first], [names[0]], first, group=channels, pads=[kernel // 2] * 2 * rank),
        helper.make_node("Relu", [names[0]], [names[1]], "large_kernel_relu"),
        helper.make_node("Conv", [names[1], second], [names[2]], second),
        helper.make_node("Add", [before, names[2]], [place.tensor], "large_kernel"),
    ]
    _put_behind(model, place, block, weights)


def add_coarser_stage(model: ModelProto, place: Place, seed: int) -> None:
    """Put x + back(relu(conv(relu(down(x))))) behind a tensor, in place: two 3×3 convolutions on half the grid.

    Its weights are He's, drawn from `seed`; what is brought back is interpolated by a fixed transposed convolution.
    """
    rank, channels = len(place.grid), place.channels
    draw = np.random.default_rng(seed)
    shape, odd = (channels, channels, *(3,) * rank), [n % 2 for n in place.grid]
    weights = {
        "extra_stage_down": draw.normal(0, np.sqrt(2 / prod(shape[1:])), shape),
        "extra_stage_conv": draw.normal(0, np.sqrt(2 / prod(shape[1:])), shape),
        "extra_stage_up": np.ones((channels, 1, *(2 + n for n in odd))),
    }
    down, conv, up = weights
    before, names = _names(place, "extra_stage", 5)
    block = [
        helper.make_node("Conv", [before, down], [names[0]], down, strides=[2] * rank, pads=[1] * 2 * rank),
        helper.make_node("Relu", [names[0]], [names[1]], "extra_stage_relu"),
        helper.make_node("Conv", [names[1], conv], [names[2]], conv, pads=[1] * 2 * rank),
        helper.make_node("Relu", [names[2]], [names[3]], "extra_stage_relu_2"),
        helper.make_node(
            "ConvTranspose", [names[3], up], [names[4]], up, group=channels, strides=[2] * rank, pads=[*odd, *odd]
        ),
        helper.make_node("Add", [before, names[4]], [place.tensor], "extra_stage"),
    ]
    _put_behind(model, place, block, weights)


def _names(place: Place, block: str, count: int) -> tuple[str, list[str]]:
    """Of the tensor that a block reads, and of those within it."""
    before = f"{place.tensor}_before_{block}"
    return before, [f"{before}_{k}" for k in range(count)]


def _put_behind(
    model: ModelProto, place: Place, block: Sequence[NodeProto], weights: Mapping[str, NDArray[np.float64]]
) -> None:
    """Insert nodes whose last one takes the tensor's name: all its consumers read it, and so does a measurement."""
    model.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()
    )
    at = next(k for k, node in enumerate(model.graph.node) if place.tensor in node.output)
    outputs = model.graph.node[at].output
    outputs[list(outputs).index(place.tensor)] = block[0].input[0]
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
