"""Loop and Scan are unrolled: the numbers of onnxruntime, exact fields, and a refusal where they are too long."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_contract.result import ErfResult
from erfscope_intake.answer import Sources, answer, inspect_model

Make = Callable[..., ModelProto]
Save = Callable[[ModelProto], Path]
Evaluate = Callable[..., list[Any]]
Reference = Callable[..., list[Any]]
node = helper.make_node
RNG = np.random.default_rng(3)
KERNEL = (RNG.standard_normal((3, 3, 3, 3)) / 5).astype(np.float32)
IMAGE = RNG.standard_normal((1, 3, 16, 16)).astype(np.float32)


def value(name: str, kind: int = TensorProto.FLOAT, shape: Sequence[Any] | None = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def body(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], **weights: Any) -> Any:
    """A graph in an attribute; it sees the values around it."""
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    return helper.make_graph(list(nodes), "body", list(inputs), list(outputs), tensors)


def refined(steps: Any = 3, *, condition: str = "") -> tuple[list[Any], dict[str, Any]]:
    """A shared convolution, run again and again on what it answered; each iteration's mean is kept."""
    inner = body(
        [node("Conv", ["state", "w"], ["next"], pads=[1] * 4, name="inner"),
         node("ReduceMean", ["next"], ["mean"], axes=[1], keepdims=1),
         node("Less", ["i", "four"], ["on"]) if condition else node("Identity", ["go"], ["on"])],
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state")],
        [value("on", TensorProto.BOOL), value("next"), value("mean")], four=np.array(4),
    )  # fmt: skip
    nodes = [
        node("Loop", ["steps" if steps is not None else "", condition, "x"], ["y", "means"], body=inner, name="refine")
    ]
    weights = {"w": KERNEL, "yes": np.array(True)} | ({} if steps is None else {"steps": np.array(steps)})
    return nodes, weights


LOOPS = {"three times": (refined(), 7), "until a condition": (refined(None, condition="yes"), 11),
         "until a condition, at most twice": (refined(2, condition="yes"), 5)}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_unrolled(name: str, make: Make, saved: Save, evaluate: Evaluate, reference: Reference) -> None:
    (nodes, weights), side = LOOPS[name]
    model = make(nodes, {"x": [1, 3, 16, 16]}, ["y", "means"], weights)
    for follow in ([], ["x"]):
        for ours, theirs in zip(
            evaluate(model, {"x": IMAGE}, follow=follow), reference(model, {"x": IMAGE}), strict=True
        ):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-6)
    result = measured(saved(model), layer="y")
    assert result.trf.size == [side, side]
    assert (result.layer.operator, result.provenance.notes) == ("Loop", [])


def test_a_loop_as_long_as_the_input(make: Make, evaluate: Evaluate, reference: Reference) -> None:
    """The trip count is read off the input's shape: it is known when the network runs."""
    inner = body(
        [node("Gather", ["x", "i"], ["row"], axis=2), node("Add", ["sum", "row"], ["more"]),
         node("Identity", ["go"], ["on"]), node("Identity", ["more"], ["out"])],
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("sum")],
        [value("on", TensorProto.BOOL), value("more"), value("out")],
    )  # fmt: skip
    nodes = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "two"], ["n"]),
             node("Loop", ["n", "", "zero"], ["last", "sums"], body=inner)]  # fmt: skip
    weights = {"two": np.array(2), "zero": np.zeros((1, 3, 16), np.float32)}
    model = make(nodes, {"x": [1, 3, "h", 16]}, ["last", "sums"], weights)
    last, sums = evaluate(model, {"x": IMAGE}, follow=["x"])
    theirs = reference(model, {"x": IMAGE})
    np.testing.assert_allclose(last.numpy(), theirs[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sums.numpy(), theirs[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backward", [0, 1])
def test_scans_are_unrolled(backward: int, make: Make, saved: Save, evaluate: Evaluate, reference: Reference) -> None:
    """A moving average along the columns, in both directions; the answer has the columns where they were."""
    inner = body(
        [node("Mul", ["state", "half"], ["old"]), node("Add", ["old", "column"], ["next"]),
         node("Relu", ["next"], ["out"])],
        [value("state"), value("column")], [value("next"), value("out")], half=np.float32(0.5),
    )  # fmt: skip
    scan = node(
        "Scan", ["zero", "a"], ["last", "y"], body=inner, num_scan_inputs=1, scan_input_axes=[3], scan_output_axes=[3],
        scan_input_directions=[backward], scan_output_directions=[backward], name="scan",
    )  # fmt: skip
    nodes = [node("Conv", ["x", "w"], ["a"], pads=[1] * 4), scan]
    model = make(nodes, {"x": [1, 3, 16, 16]}, ["last", "y"], {"w": KERNEL, "zero": np.zeros((1, 3, 16), np.float32)})
    for ours, theirs in zip(evaluate(model, {"x": IMAGE}, follow=["x"]), reference(model, {"x": IMAGE}), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-6)
    (rows, columns) = measured(saved(model), layer="y").trf.box
    assert rows == (7, 10)
    assert columns == ((7, 17) if backward else (-1, 10))


def test_a_branch_within_a_loop_within_a_loop(make: Make, evaluate: Evaluate, reference: Reference) -> None:
    def way(operator: str) -> Any:
        return body([node(operator, ["v"], [operator])], [], [value(operator)])

    deepest = body(
        [node("Equal", ["j", "i"], ["same"]),
         node("If", ["same"], ["n"], then_branch=way("Tanh"), else_branch=way("Neg")), node("Identity", ["h"], ["o"])],
        [value("j", TensorProto.INT64, []), value("h", TensorProto.BOOL, []), value("v")],
        [value("o", TensorProto.BOOL), value("n")],
    )  # fmt: skip
    outer = body(
        [node("Loop", ["two", "", "u"], ["m"], body=deepest), node("Conv", ["m", "w"], ["k"], pads=[1] * 4),
         node("Identity", ["g"], ["q"])],
        [value("i", TensorProto.INT64, []), value("g", TensorProto.BOOL, []), value("u")],
        [value("q", TensorProto.BOOL), value("k")],
    )  # fmt: skip
    model = make([node("Loop", ["two", "", "x"], ["y"], body=outer)], {"x": [1, 3, 16, 16]}, ["y"],
                 {"w": KERNEL, "two": np.array(2)})  # fmt: skip
    (ours,) = evaluate(model, {"x": IMAGE}, follow=["x"])
    np.testing.assert_allclose(ours.numpy(), reference(model, {"x": IMAGE})[0], rtol=1e-4, atol=1e-6)


def long_scan() -> tuple[list[Any], dict[str, Any]]:
    inner = body([node("Add", ["s", "c"], ["n"]), node("Identity", ["n"], ["o"])], [value("s"), value("c")],
                 [value("n"), value("o")])  # fmt: skip
    scan = node("Scan", ["zero", "long"], ["last", "y"], body=inner, num_scan_inputs=1, name="scan")
    return [node("Resize", ["a", "", "times"], ["long"]), scan], {
        "zero": np.zeros((3, 16, 16), np.float32), "times": np.array([30_000, 1, 1, 1], np.float32),
    }  # fmt: skip


def by_values() -> tuple[list[Any], dict[str, Any]]:
    """How often it runs depends on what it computes."""
    inner = body(
        [node("Mul", ["s", "half"], ["n"]), node("ReduceMax", ["n"], ["m"], keepdims=0),
         node("Greater", ["m", "half"], ["on"])],
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("s")],
        [value("on", TensorProto.BOOL), value("n")], half=np.float32(0.5),
    )  # fmt: skip
    return [node("Loop", ["", "yes", "a"], ["y"], body=inner, name="until")], {"yes": np.array(True)}


def too_often() -> tuple[list[Any], dict[str, Any]]:
    nodes, weights = refined(100_000)
    nodes[0].input[2] = "a"
    return nodes, weights


BEHIND: dict[str, tuple[tuple[list[Any], dict[str, Any]], str, str, str]] = {
    "a Loop that runs too often": (too_often(), "refine", "model-too-complex", "more than 20000 operators"),
    "a Scan that is too long": (long_scan(), "scan", "model-too-complex", "more than 20000 operators"),
    "a Loop that the values end": (by_values(), "until", "data-dependent", "by the input's values"),
    "an operator of one's own": (
        ([node("Fancy", ["a"], ["y"], domain="my", name="odd")], {}), "odd", "unsupported-op", "my::Fancy",
    ),
    "an operator within a branch": (
        ([node("If", ["yes"], ["y"], then_branch=body([node("Fancy", ["a"], ["f"], domain="my", name="odd")], [],
                                                      [value("f")]),
               else_branch=body([node("Relu", ["a"], ["r"])], [], [value("r")]))], {"yes": np.array(True)}),
        "odd", "unsupported-op", "my::Fancy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BEHIND)
def test_what_cannot_be_run_refuses_only_the_layers_behind_it(name: str, make: Make, saved: Save) -> None:
    (nodes, weights), label, kind, words = BEHIND[name]
    head = node("Conv", ["y", "w"], ["z"], name="head")
    model = make([node("Conv", ["x", "w"], ["a"], name="first"), *nodes, head], {"x": [1, 3, 18, 18]}, ["z"],
                 {"w": KERNEL, **weights}, domains={"my": 1})  # fmt: skip
    path = saved(model)
    taken = measured(path)
    assert (taken.layer.name, taken.trf.size) == ("a", [3, 3])
    assert any(f"'{label}'" in note and "left out" in note for note in taken.provenance.notes)
    named = measured(path, layer="first")
    assert (named.layer.name, named.provenance.notes, named.layer.why) == ("a", [], "it was asked for by name")
    inspection = inspect_model(path, ErfRequest().input)
    assert [row.name for row in inspection.layers] == ["a"]
    for layer in ("z", "head", "y"):
        with pytest.raises(ProblemError, match=words) as caught:
            measured(path, layer=layer)
        assert (caught.value.kind, caught.value.problem.context["node"]) == (kind, label)


def test_where_nothing_is_left_the_operator_is_to_blame(make: Make, saved: Save) -> None:
    nodes = [node("Div", ["x", "scale"], ["d"]), node("Fancy", ["d"], ["f"], domain="my", name="odd"),
             node("Conv", ["f", "w"], ["y"])]  # fmt: skip
    weights = {"w": KERNEL, "scale": np.float32(255)}
    with pytest.raises(ProblemError, match="'odd'") as caught:
        measured(saved(make(nodes, {"x": [1, 3, 16, 16]}, ["y"], weights, domains={"my": 1})))
    assert caught.value.kind == "unsupported-op"


def test_nodes_of_which_the_same_is_said_are_one_note(make: Make, saved: Save) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"])]
    nodes += [node("Fancy", ["a"], [f"f{k}"], domain="my", name=f"odd{k}") for k in range(6)]
    model = make(nodes, {"x": [1, 3, 16, 16]}, ["a", "f0"], {"w": KERNEL}, domains={"my": 1})
    (note,) = measured(saved(model)).provenance.notes
    assert note == (
        "my::Fancy (nodes 'odd0', 'odd1', 'odd2', 'odd3' and 2 more) cannot be converted; they and what follows them "
        "are left out."
    )


def test_a_loop_that_runs_no_iteration(make: Make, evaluate: Evaluate, reference: Reference) -> None:
    nodes, weights = refined(0)
    nodes[0].output[1] = ""
    model = make(nodes, {"x": [1, 3, 16, 16]}, ["y"], weights)
    (ours,) = evaluate(model, {"x": IMAGE}, follow=["x"])
    np.testing.assert_array_equal(ours.numpy(), IMAGE)


def test_scans_of_opset_8_are_refused_by_name(make: Make, saved: Save) -> None:
    inner = body([node("Identity", ["c"], ["o"])], [value("c")], [value("o")])
    nodes = [node("Scan", ["", "x"], ["y"], body=inner, num_scan_inputs=1, name="old")]
    with pytest.raises(ProblemError, match="opset 8; export the network with opset 9") as caught:
        measured(saved(make(nodes, {"x": [1, 3, 16, 16]}, ["y"], opset=8)))
    assert caught.value.kind == "unsupported-op"


def measured(path: Path, layer: str = "auto") -> ErfResult:
    request = ErfRequest.model_validate({"average": {"inputs": 1}, "target": {"layer": layer}})
    return answer(request, Sources(model=path), device="cpu").result
