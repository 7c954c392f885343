"""A file as a Network: shapes, layouts, other inputs, names, types, and what a tape sees of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper
from torch.utils._python_dispatch import TorchDispatchMode

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_contract.result import ErfResult
from erfscope_engine import Network, layers_of, measure_network
from erfscope_intake.onnx_model import load_onnx
from erfscope_intake.onnx_summary import describe_onnx

Make = Callable[..., ModelProto]
Save = Callable[[Any], Path]
Marked = list[tuple[str, str, torch.Tensor]]
node = helper.make_node
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def load(path: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Network:
    return load_onnx(path, InputOptions(**options), dtype=dtype, device=torch.device("cpu"))


def run(network: Network, x: torch.Tensor) -> Marked:
    marked: Marked = []
    network.run(x, lambda name, operator, value: marked.append((name, operator, value)))
    return marked


def _answer(network: Network, **target: Any) -> ErfResult:
    request = ErfRequest.model_validate({"target": target, "average": {"inputs": 4}})
    return measure_network(network, request).result


def _filter(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "inception_v1", "densenet121"])
def test_whole_networks_equal_onnxruntime(name: str, reference: Any) -> None:
    path = LIGHT / f"light_{name}.onnx"
    network = load(path)
    x = torch.randn(1, *network.input_shape, generator=torch.Generator().manual_seed(0))
    last = run(network, x)[-1][2]
    (wanted,) = reference(onnx.load(path), {network.input_name: x.numpy()})
    np.testing.assert_allclose(last.numpy(), wanted, rtol=1e-3, atol=1e-6)


def test_names_operators_and_aliases(make: Make, saved: Save) -> None:
    steps = [
        node("Conv", ["x", "w"], ["/conv/Conv_output_0"], name="/conv/Conv"),
        node("Relu", ["/conv/Conv_output_0"], ["y"], name="act"),
    ]
    network = load(saved(make(steps, {"x": ["n", 3, "h", "w"]}, ["y"], {"w": _filter(4, 3, 3, 3)})))
    marked = run(network, torch.zeros(2, 3, 9, 9))
    assert [(name, operator) for name, operator, _ in marked] == [("/conv/Conv_output_0", "Conv"), ("y", "Relu")]
    assert network.aliases == {"/conv/Conv": "/conv/Conv_output_0", "conv/Conv": "/conv/Conv_output_0", "act": "y"} | {
        "conv/Conv_output_0": "/conv/Conv_output_0",
        "conv": "/conv/Conv_output_0",
    }


@pytest.mark.parametrize(
    ("declared", "weights", "expected"),
    [
        (["n", 3, "h", "w"], (4, 3, 3, 3), (3, 224, 224)),
        (["n", "c", "h", "w"], (4, 5, 3, 3), (5, 224, 224)),
        (["n", 2, "l"], (4, 2, 3), (2, 16_000)),
        ([1, 1, "d", 20, "w"], (4, 1, 3, 3, 3), (1, 32, 20, 32)),
        ([1, 3, 40, 50], (4, 3, 3, 3), (3, 40, 50)),
        ([1, 3, -1, 50], (4, 3, 3, 3), (3, 224, 50)),
    ],
)
def test_free_axes(
    declared: list[Any], weights: tuple[int, ...], expected: tuple[int, ...], make: Make, saved: Save
) -> None:
    step = node("Conv", ["x", "w"], ["y"])
    network = load(saved(make([step], {"x": declared}, ["y"], {"w": _filter(*weights)})))
    assert network.input_shape == expected
    assert network.batch is None


def test_asked_shapes(make: Make, saved: Save) -> None:
    path = saved(make([node("Conv", ["x", "w"], ["y"])], {"x": ["n", 3, "h", "w"]}, ["y"], {"w": _filter(4, 3, 3, 3)}))
    assert load(path, shape=[3, 50, 60]).input_shape == (3, 50, 60)
    for wrong in ([4, 50, 60], [3, 50], [3, 50, 60, 70]):
        with pytest.raises(ProblemError) as caught:
            load(path, shape=wrong)
        assert caught.value.kind == "shape-mismatch"
        assert caught.value.problem.context == {"expected": [3, 224, 224], "got": wrong}


def test_a_shape_that_fails_inside_names_the_node(make: Make, saved: Save) -> None:
    steps = [node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["y"], name="classifier")]
    path = saved(make(steps, {"x": [1, 3, 4, 4]}, ["y"], {"w": _filter(48, 2)}))
    assert run(load(path), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ProblemError, match="classifier") as caught:
        run(load(path, shape=[3, 8, 8]), torch.zeros(1, 3, 8, 8))
    assert caught.value.kind == "shape-mismatch"


def test_channels_last(make: Make, saved: Save) -> None:
    steps = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], ["y"])]
    path = saved(make(steps, {"x": ["n", 20, 30, 5]}, ["y"], {"w": _filter(4, 5, 3, 3)}))
    network = load(path)
    assert network.input_shape == (5, 20, 30)
    assert load(path, shape=[40, 50, 5]).input_shape == (5, 40, 50)
    x = torch.randn(2, 5, 20, 30)
    torch.testing.assert_close(run(network, x)[-1][2], torch.conv2d(x, torch.from_numpy(_filter(4, 5, 3, 3))))


def test_one_image_without_batch(make: Make, saved: Save) -> None:
    network = load(saved(make([node("Relu", ["x"], ["y"])], {"x": [64, 48, 3]}, ["y"])))
    assert (network.input_shape, network.batch) == ((3, 64, 48), 1)
    assert run(network, torch.zeros(1, 3, 64, 48))[0][2].shape == (64, 48, 3)


def test_signals_without_channels(make: Make, saved: Save) -> None:
    steps = [node("Unsqueeze", ["x", "a"], ["u"]), node("Conv", ["u", "w"], ["y"])]
    path = saved(make(steps, {"x": ["n", 100]}, ["y"], {"a": np.array([1]), "w": _filter(4, 1, 5)}))
    network = load(path)
    assert network.input_shape == (1, 100)
    assert run(network, torch.zeros(3, 1, 100))[-1][2].shape == (3, 4, 96)


def test_several_inputs(make: Make, saved: Save) -> None:
    steps = [node("Mul", ["x", "scale"], ["a"]), node("Cast", ["step"], ["s"], to=1), node("Add", ["a", "s"], ["y"])]
    model = make(steps, {"scale": ["n", 1, 1, 1], "x": ["n", 3, 16, 16], "step": [1]}, ["y"])
    model.graph.input[2].type.tensor_type.elem_type = TensorProto.INT64
    path = saved(model)
    network = load(path)
    assert network.input_name == "x"
    one, two = (run(network, torch.ones(n, 3, 16, 16))[-1][2] for n in (1, 2))
    torch.testing.assert_close(one[0], two[1])
    assert load(path, name="scale").input_name == "scale"
    with pytest.raises(ProblemError, match="Did you mean 'scale'"):
        load(path, name="scales")
    with pytest.raises(ProblemError) as caught:
        load(path, name="step")
    assert caught.value.kind == "no-gradient"


def test_shape_arithmetic_follows_the_batch(make: Make, saved: Save) -> None:
    steps = [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Unsqueeze", ["n", "zeros"], ["n1"]),
        node("Concat", ["n1", "rest"], ["target"], axis=0), node("Reshape", ["x", "target"], ["y"]),
    ]  # fmt: skip
    weights = {"zero": np.array(0), "zeros": np.array([0]), "rest": np.array([-1])}
    network = load(saved(make(steps, {"x": ["n", 3, 4, 4]}, ["y"], weights)))
    assert network.batch is None
    assert [run(network, torch.zeros(n, 3, 4, 4))[-1][2].shape for n in (1, 5)] == [(1, 48), (5, 48)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_working_type(dtype: torch.dtype, make: Make, saved: Save) -> None:
    steps = [
        node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16), node("Conv", ["h", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("Resize", ["c", "", "s"], ["r"], mode="linear"), node("Div", ["r", "d"], ["y"]),
    ]  # fmt: skip
    weights = {"w": _filter(4, 3, 3, 3), "s": np.array([1, 1, 1.3, 1.3], np.float32), "d": np.array(255, np.float32)}
    network = load(saved(make(steps, {"x": [1, 3, 10, 10]}, ["y"], weights)), dtype)
    marked = run(network, torch.ones(1, 3, 10, 10, dtype=dtype))
    assert {value.dtype for _, _, value in marked} == {dtype}
    assert marked[-1][2].shape == (1, 4, 13, 13)


def test_shared_weights_stay_shared(make: Make, saved: Save) -> None:
    steps = [node("Conv", [f"t{i}" if i else "x", "w"], [f"t{i + 1}"], pads=[1, 1, 1, 1]) for i in range(5)]
    network = load(saved(make(steps, {"x": [1, 3, 8, 8]}, ["t5"], {"w": _filter(3, 3, 3, 3)})))
    weights = set[int]()

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if "convolution" in func.__name__:
                weights.add(args[1].data_ptr())
            return func(*args, **(kwargs or {}))

    with Watched():
        run(network, torch.zeros(1, 3, 8, 8))
    assert len(weights) == 1


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_every_tensor_with_axes_of_space_is_a_layer_and_runs_as_the_network_does(name: str) -> None:
    network = load(LIGHT / f"light_{name}.onnx")
    marked = run(network, torch.randn(1, *network.input_shape))
    maps = [name for name, operator, value in marked if operator != "Dropout" and min(value.shape[2:], default=1) > 1]
    layers = [layer.name for layer in layers_of(network)]
    assert set(maps) <= set(layers)
    assert set(layers) <= {name for name, _, _ in marked}
    target = {"layer": maps[len(maps) // 2], "channels": "random"}
    request = ErfRequest.model_validate({"target": target, "average": {"inputs": 1}, "verify": True})
    verified = measure_network(network, request).result.verify
    assert verified is not None
    assert verified.relative_difference < 1e-4  # float32, and a ReLU near 0 may flip


def test_gradient_reaches_the_input(make: Make, saved: Save) -> None:
    steps = [node("Conv", ["x", "w"], ["c"]), node("Gelu", ["c"], ["y"])]
    network = load(saved(make(steps, {"x": [1, 3, 8, 8]}, ["y"], {"w": _filter(2, 3, 3, 3)}, 20)))
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    run(network, x)[-1][2].sum().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert x.grad is not None
    assert x.grad.abs().min() > 0


def _branches(*operators: str) -> list[Any]:
    made = []
    for operator in operators:
        step = node(operator, ["x"], ["o" + operator], name="in" + operator)
        value = helper.make_tensor_value_info("o" + operator, TensorProto.FLOAT, None)
        made.append(helper.make_graph([step], operator, [], [value]))
    return made


def test_branches(make: Make, saved: Save) -> None:
    relu, neg = _branches("Relu", "Neg")
    steps = [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Equal", ["n", "one"], ["single"]),
        node("If", ["single"], ["y"], then_branch=relu, else_branch=neg),
        node("If", ["yes"], ["z"], then_branch=neg, else_branch=relu),
    ]  # fmt: skip
    weights = {"zero": np.array(0), "one": np.array(1), "yes": np.array(True)}
    network = load(saved(make(steps, {"x": ["n", 3, 8, 8]}, ["y", "z"], weights)))
    operators = [[operator for _, operator, _ in run(network, torch.ones(n, 3, 8, 8))] for n in (1, 2)]
    assert [o[0] for o in operators] == ["Relu", "Neg"]
    assert [o[2] for o in operators] == ["Neg", "Neg"]


def test_paths_that_hang_on_values(make: Make, saved: Save) -> None:
    relu, neg = _branches("Relu", "Neg")
    decide = [node("ReduceMean", ["x"], ["m"], keepdims=0), node("Greater", ["m", "zero"], ["k"]),
              node("If", ["k"], ["y"], name="fork", then_branch=relu, else_branch=neg)]  # fmt: skip
    weights = {"zero": np.array(0, np.float32)}
    network = load(saved(make(decide, {"x": [1, 3, 8, 8]}, ["y"], weights)))
    assert [operator for _, operator, _ in run(network, torch.ones(1, 3, 8, 8))] == ["ReduceMean"]
    assert any("fork" in note for note in network.notes)
    alone = [node("NonZero", ["x"], ["i"], name="finder"), node("Cast", ["i"], ["y"], to=1)]
    with pytest.raises(ProblemError, match="finder") as caught:
        load(saved(make(alone, {"x": [1, 3, 8, 8]}, ["y"])))
    assert caught.value.kind == "data-dependent"


def test_quantised_networks_are_measured_in_real_numbers(make: Make, saved: Save, reference: Any) -> None:
    steps = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]), node("DequantizeLinear", ["q", "xs", "xz"], ["d"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["r"], axis=0), node("Conv", ["d", "r"], ["c"]),
        node("QuantizeLinear", ["c", "ys", "yz"], ["e"]), node("DequantizeLinear", ["e", "ys", "yz"], ["y"]),
    ]  # fmt: skip
    weights = {
        "xs": np.array(0.05, np.float32), "xz": np.array(128, np.uint8), "ys": np.array(0.1, np.float32),
        "yz": np.array(0, np.uint8), "w": np.random.default_rng(0).integers(-127, 127, (2, 3, 3, 3)).astype(np.int8),
        "ws": np.array([0.01, 0.02], np.float32), "wz": np.array([0, 0], np.int8),
    }  # fmt: skip
    model = make(steps, {"x": [1, 3, 8, 8]}, ["y"], weights)
    network = load(saved(model))
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    got = run(network, x)[-1][2]
    (wanted,) = reference(model, {"x": x.numpy()})
    assert np.abs(got.numpy() - wanted).max() < 0.5  # a few steps of 0.1: rounding is left out
    assert (got == 0).any()  # saturation stays: zero point 0 cuts what is negative
    assert any("quantised" in note for note in network.notes)


def test_batch_norm_in_training_mode(make: Make, saved: Save) -> None:
    step = node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "rm", "rv"], training_mode=1)
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    network = load(saved(make([step], {"x": [1, 3, 8, 8]}, ["y"], {"s": ones, "b": zeros, "m": zeros, "v": 4 * ones})))
    torch.testing.assert_close(
        run(network, torch.ones(1, 3, 8, 8))[0][2], torch.full((1, 3, 8, 8), 0.5), rtol=1e-4, atol=0
    )
    assert any("training mode" in note for note in network.notes)


def test_fixed_batches(make: Make, saved: Save) -> None:
    relu = [node("Relu", ["x"], ["y"])]
    assert load(saved(make(relu, {"x": [4, 3, 8, 8]}, ["y"]))).batch == 4


@pytest.mark.parametrize("way", ["resize", "slice"])
def test_what_is_written_for_one_sample_runs_one_by_one(way: str, make: Make, saved: Save) -> None:
    """Sizes with the batch in them, or the first sample alone, meet the whole batch by broadcasting."""
    ways = {
        "resize": node("Resize", ["p", "", "", "sizes"], ["f"], mode="linear",
                       coordinate_transformation_mode="align_corners"),
        "slice": node("Slice", ["p", "zero", "one", "zero"], ["f"]),
    }  # fmt: skip
    steps = [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]), ways[way],
             node("Add", ["c", "f"], ["y"])]  # fmt: skip
    constants = {"w": _filter(4, 3, 3, 3), "sizes": np.array([1, 4, 6, 6]), "zero": np.array([0]), "one": np.array([1])}
    network = load(saved(make(steps, {"x": [1, 3, 8, 8]}, ["y"], constants)))
    coupled, single = (_answer(network, layer=layer) for layer in ("auto", "c"))
    assert (coupled.provenance.micro_batch, coupled.layer.name) == (1, "y")
    assert single.provenance.micro_batch == 4


def test_names_of_classes_are_left_out(make: Make, saved: Save) -> None:
    steps = [
        node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]), node("Flatten", ["p"], ["y"]),
        node("ArgMax", ["y"], ["best"], axis=1),
        node("ArrayFeatureExtractor", ["k", "best"], ["z"], domain="ai.onnx.ml"),
        node("LabelEncoder", ["z"], ["label"], domain="ai.onnx.ml", keys_int64s=[0, 1], values_strings=["cat", "dog"]),
        node("ZipMap", ["y"], ["scores"], domain="ai.onnx.ml", classlabels_strings=["cat", "dog"]),
    ]  # fmt: skip
    constants = {"w": _filter(2, 3, 3, 3), "k": np.array([0, 1])}
    network = load(saved(make(steps, {"x": [1, 3, 8, 8]}, ["label", "scores"], constants, domains={"ai.onnx.ml": 3})))
    assert _answer(network).layer.name == "c"
    assert [note.split(" (")[0] for note in network.notes] == ["ArrayFeatureExtractor", "ZipMap"]


def test_inputs_without_real_numbers(make: Make, saved: Save) -> None:
    model = make([node("Cast", ["x"], ["y"], to=1)], {"x": [1, 128]}, ["y"])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(ProblemError, match="'x'") as caught:
        load(saved(model))
    assert caught.value.kind == "no-gradient"


def test_summary(make: Make, saved: Save) -> None:
    steps = [
        node("Conv", ["x", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Relu", ["r"], ["q"]),
        node("Odd", ["q"], ["y"], domain="my"),
    ]
    summary = describe_onnx(
        saved(make(steps, {"x": ["n", 3, "h", 8]}, ["y"], {"w": _filter(2, 3, 3, 3)}, domains={"my": 1}))
    )
    assert summary.operators == {"Relu": 2, "Conv": 1, "my::Odd": 1}
    assert summary.unsupported == ["my::Odd"]
    assert (summary.inputs[0].name, summary.inputs[0].type, summary.inputs[0].shape) == (
        "x",
        "float",
        [None, 3, None, 8],
    )
    assert summary.outputs == ["y"]
