"""Hostile ONNX files with too many axes, values or names: a few numbers that cost minutes, or crash a library."""

from collections.abc import Callable, Sequence

import numpy as np
from onnx import AttributeProto, ModelProto, helper, numpy_helper
from tests.house.hostile_onnx import FLOAT, Hostile, convolution, external, model, node, write_field

TOO_MUCH = ("invalid-model", "model-too-complex")
AXES = 1_000
SHAPES: dict[str, Callable[[], list[int]]] = {
    "Reshape": lambda: [1, 3, 16, 16] + [1] * AXES,
    "Expand": lambda: [1] * AXES + [1, 3, 16, 16],
    "Tile": lambda: [1] * AXES,
    "Unsqueeze": lambda: list(range(AXES)),
    "Squeeze": lambda: [0] * AXES,
    "ReduceSum": lambda: [1] * AXES,
    "ConstantOfShape": lambda: [1] * AXES,
}


def weight_with(extents: Sequence[int]) -> ModelProto:
    """A convolution whose weight claims these extents and has one number."""
    claimed = convolution()
    tensor = claimed.graph.initializer[0]
    tensor.dims[:] = extents
    tensor.raw_data = bytes(4)
    return claimed


def input_with(axes: int) -> ModelProto:
    """A network for an input of so many axes."""
    return model([node("Relu", ["x"], ["y"])], inputs={"x": [1] * axes})


def empty_extents(count: int) -> bytes:
    """A model in which a value has `count` extents that are empty messages, of two bytes each."""
    shape = write_field(2, b"\x0a\x00" * count)  # TypeProto.Tensor.shape
    value = write_field(1, b"y") + write_field(2, write_field(1, shape))  # ValueInfoProto: name, type
    graph = bytes(model([node("Relu", ["x"], ["y"])]).graph.SerializeToString()) + write_field(13, value)
    return b"\x08\x08" + write_field(7, graph) + write_field(8, b"\x10\x11")


def reading_shape(operator: str) -> ModelProto:
    """An operator that is given a thousand numbers where others have one for each axis."""
    numbers = np.array(SHAPES[operator](), np.int64)
    if operator == "ConstantOfShape":
        return model([node(operator, ["n"], ["t"]), node("Add", ["x", "t"], ["y"])], weights={"n": numbers})
    return model([node(operator, ["x", "n"], ["t"]), node("Relu", ["t"], ["y"])], weights={"n": numbers})


def hidden_shape() -> ModelProto:
    """A Reshape to a thousand axes that stand nowhere in the file."""
    steps = [
        node("ConstantOfShape", ["n"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.int64))),
        node("Concat", ["image", "ones"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["t"]),
        node("Relu", ["t"], ["y"]),
    ]
    return model(steps, weights={"n": np.array([AXES]), "image": np.array([1, 3, 16, 16])})


def unsqueezed_again_and_again() -> ModelProto:
    """A thousand steps that add an axis each."""
    steps = [node("Unsqueeze", [f"t{k}", "n"], [f"t{k + 1}"]) for k in range(AXES)]
    ends = [node("Relu", ["x"], ["t0"]), *steps, node("Relu", [f"t{AXES}"], ["y"])]
    return model(ends, weights={"n": np.array([0])})


def old_unsqueeze() -> ModelProto:
    """Axes as an attribute, as before operator set 13."""
    return model([node("Unsqueeze", ["x"], ["t"], axes=list(range(AXES))), node("Relu", ["t"], ["y"])], opset=11)


def permuted() -> ModelProto:
    """A Transpose of 300,000 axes."""
    return model([node("Transpose", ["x"], ["y"], perm=list(range(300_000)))])


def gather(index: int, **options: int) -> ModelProto:
    """A Gather that reads far outside of the image."""
    return model([node("Gather", ["x", "i"], ["y"], **options)], weights={"i": np.array([index])})


def split(parts: int) -> ModelProto:
    """A Split into so many parts, summed again."""
    names = [f"p{k}" for k in range(parts)]
    steps = [node("Split", ["x"], names, axis=2), node("Sum", names, ["y"])]
    return model(steps, inputs={"x": [1, 1, parts, 4]})


def joined(parts: int) -> ModelProto:
    """One Concat of so many values."""
    return model([node("Concat", ["x"] * parts, ["y"], axis=1)])


def sparse_outside() -> ModelProto:
    """A constant whose sparse values lie in a file of the machine."""
    constant = node("Constant", [], ["c"])
    attribute = constant.attribute.add(name="sparse_value", type=AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.values.CopyFrom(external("/etc/hostname").graph.initializer[0])
    attribute.sparse_tensor.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, np.int64)))
    attribute.sparse_tensor.dims[:] = [4]
    return model([constant, node("Add", ["x", "c"], ["y"])])


def many_numbers() -> ModelProto:
    """A constant of ten million numbers, a byte each in the file, given for strides."""
    return convolution(strides=[1] * 10_000_000)


def many_layers(count: int = 50, letters: int = 100_000) -> ModelProto:
    """A legal network whose inspection is longer than a result may be: its names alone."""
    names = [f"{k:06}" + "n" * letters for k in range(count)]
    steps = [node("Neg", [before], [after]) for before, after in zip(["x", *names], [*names, "y"], strict=True)]
    return model(steps, inputs={"x": [1, 1, 2, 2]})


def typed_input(depth: int) -> bytes:
    """An input whose type is a sequence of sequences."""
    inner = helper.make_tensor_type_proto(FLOAT, [1]).SerializeToString()
    for _ in range(depth):
        inner = write_field(4, write_field(1, inner))
    graph = bytes(model([node("Relu", ["x"], ["y"])]).graph.SerializeToString())
    value = write_field(1, b"other") + write_field(2, inner)
    return b"\x08\x08" + write_field(7, graph + write_field(11, value)) + write_field(8, b"\x10\x11")


OVERSIZED: dict[str, Hostile] = {
    "300,000 dims of a weight": Hostile(lambda: weight_with([1] * 300_000), TOO_MUCH, ("'w'", "300000")),
    "300,000 dims of the input": Hostile(lambda: input_with(300_000), TOO_MUCH, ("'x'", "300000")),
    "1e5 dims of 2**62": Hostile(lambda: weight_with([1 << 62] * 100_000), TOO_MUCH, ("'w'",)),
    "50 dims of 2**62": Hostile(lambda: weight_with([1 << 62] * 50), TOO_MUCH, ("'w'",)),
    "empty dims in a value_info": Hostile(lambda: empty_extents(5_000_000), TOO_MUCH),
    "fewer empty dims": Hostile(lambda: empty_extents(200_000), TOO_MUCH, ("'y'", "200000")),
    **{f"{name} with 1,000 axes": Hostile(lambda name=name: reading_shape(name), TOO_MUCH, (name,)) for name in SHAPES},
    "axes that are computed": Hostile(hidden_shape, TOO_MUCH, ("Reshape",)),
    "a thousand Unsqueezes": Hostile(unsqueezed_again_and_again, TOO_MUCH, ("Unsqueeze",)),
    "Unsqueeze with an attribute": Hostile(old_unsqueeze, TOO_MUCH, ("axes", "Unsqueeze")),
    "Transpose of 300,000 axes": Hostile(permuted, TOO_MUCH, ("perm", "Transpose")),
    "ten million strides": Hostile(many_numbers, TOO_MUCH),
    "Gather of index 2**40": Hostile(lambda: gather(1 << 40), ("invalid-model", "shape-mismatch"), ("Gather",)),
    "Gather along axis 2**40": Hostile(lambda: gather(0, axis=1 << 40), TOO_MUCH, ("axis", "Gather")),
    "Split into 19,000": Hostile(lambda: split(19_000), TOO_MUCH, ("Split", "19000")),
    "Concat of 19,000": Hostile(lambda: joined(19_000), TOO_MUCH, ("Concat", "19000")),
    "sparse_value outside": Hostile(sparse_outside, ("unsupported-model", "unsupported-op"), ("sparse", "Constant")),
    "sequences of sequences": Hostile(lambda: typed_input(300), TOO_MUCH),
}
