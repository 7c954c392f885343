"""Hostile and broken ONNX files, small to write down and large to believe: what RELIABILITY.md §6 lists."""

import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

node = helper.make_node
FLOAT = TensorProto.FLOAT
IMAGE = {"x": [1, 3, 16, 16]}


def model(
    nodes: Sequence[Any],
    outputs: Sequence[str] = ("y",),
    weights: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Sequence[Any]] = IMAGE,
    opset: int = 17,
    domains: Mapping[str, int] | None = None,
) -> ModelProto:
    """A model of float inputs; opset 17, and further domains."""
    graph = helper.make_graph(
        list(nodes),
        "hostile",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in {"": opset, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def convolution(weight: Any = None, **options: Any) -> ModelProto:
    """One 3×3 convolution."""
    made = np.ones((4, 3, 3, 3), np.float32) if weight is None else weight
    return model([node("Conv", ["x", "w"], ["y"], name="conv", **options)], weights={"w": made})


def external(location: str) -> ModelProto:
    """A convolution whose weight lies elsewhere."""
    made = convolution()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return made


def functions(calls: Mapping[str, Sequence[str]]) -> ModelProto:
    """Local functions that call each other as told; the graph calls the first."""
    made = model([node(next(iter(calls)), ["x"], ["y"], domain="own")], domains={"own": 1})
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for name, callees in calls.items():
        places = ["a", *(f"t{i}" for i in range(1, len(callees))), "b"]
        steps = [
            node(callee, [places[i]], [places[i + 1]], domain="" if callee == "Relu" else "own")
            for i, callee in enumerate(callees)
        ]
        made.functions.append(helper.make_function("own", name, ["a"], ["b"], steps, imports))
    return made


def empty_nodes() -> bytes:
    """20 MB that would be 1.6 GB once parsed."""
    nodes = b"\x0a\x00" * 10_000_000
    return b"\x08\x08" + write_field(7, nodes) + write_field(8, b"\x10\x11")


def write_field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    return bytes([number << 3 | 2]) + write_varint(len(content)) + content


def write_varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def nested(depth: int) -> bytes:
    """Ifs within Ifs, written byte by byte: protobuf's own writer refuses at this depth."""
    graph = write_field(1, model([node("Relu", ["x"], ["y"])]).graph.node[0].SerializeToString())
    end = helper.make_tensor_value_info("y", FLOAT, None).SerializeToString()
    head = node("If", ["k"], ["y"], name="if").SerializeToString()
    for _ in range(depth):
        branch = write_field(1, b"then_branch") + write_field(6, graph + write_field(12, end)) + b"\xa0\x01\x05"
        graph = write_field(1, head + write_field(5, branch))
    outer = model([], weights={"k": np.array(True)})
    return bytes(outer.SerializeToString()) + write_field(7, graph)


def with_extents(extents: Sequence[int], *, raw: bytes) -> ModelProto:
    """A convolution whose weight claims these extents."""
    made = convolution()
    del made.graph.initializer[0].dims[:]
    made.graph.initializer[0].dims.extend(extents)
    made.graph.initializer[0].raw_data = raw
    return made


def bomb(operator: str) -> ModelProto:
    """A few numbers that ask for terabytes."""
    huge = np.array([1 << 20, 1 << 20, 3], np.int64)
    one = np.float32(1)
    made: dict[str, tuple[list[str], dict[str, Any], dict[str, Any]]] = {
        "ConstantOfShape": (["n"], {"n": huge}, {}),
        "Expand": (["c", "n"], {"c": one, "n": huge}, {}),
        "Tile": (["c", "n"], {"c": np.ones((1, 1, 1), np.float32), "n": huge}, {}),
        "Range": (["a", "b", "d"], {"a": np.float32(0), "b": np.float32(1e12), "d": one}, {}),
        "Pad": (["x", "n"], {"n": np.array([0, 0, 1 << 20, 1 << 20, 0, 0, 1 << 20, 1 << 20])}, {}),
        "Resize": (["x", "", "s"], {"s": np.array([1, 1, 1e5, 1e5], np.float32)}, {}),
        "OneHot": (["i", "n", "v"], {"i": np.zeros((1, 64), np.int64), "n": np.array(1 << 40),
                                     "v": np.array([0, 1], np.float32)}, {}),
    }  # fmt: skip
    inputs, weights, options = made[operator]
    steps = [node(operator, inputs, ["t"], name="bomb", **options)]
    tail = [node("Relu", ["t"], ["y"])]
    if "x" not in inputs:  # the bomb is a constant that the image meets
        tail = [node("ReduceSum", ["t"], ["s1"], keepdims=0), node("Add", ["x", "s1"], ["y"])]
    steps += tail
    return model(steps, weights=weights)


def loop(count: int | None, depth: int = 1) -> ModelProto:
    """A Loop in the way of the image, with others in it; without a count nothing ends it."""
    value = helper.make_tensor_value_info
    inner = [node("Relu", ["v0"], ["w0"])]
    for level in range(1, depth + 1):
        body = helper.make_graph(
            [node("Identity", [f"go{level}"], [f"still{level}"]), *inner], f"body{level}",
            [value(f"i{level}", TensorProto.INT64, []), value(f"go{level}", TensorProto.BOOL, []),
             value(f"v{level - 1}", FLOAT, None)],
            [value(f"still{level}", TensorProto.BOOL, []), value(f"w{level - 1}", FLOAT, None)],
        )  # fmt: skip
        source, target = ("x", "y") if level == depth else (f"v{level}", f"w{level}")
        inner = [node("Loop", ["" if count is None else "n", "k", source], [target], name="the-loop", body=body)]
    return model(inner, weights={"n": np.array(count or 0), "k": np.array(True)})


def scan() -> ModelProto:
    """A Scan along the pixels of a wide image."""
    value = helper.make_tensor_value_info
    body = helper.make_graph([node("Relu", ["v"], ["w"])], "body", [value("v", FLOAT, None)], [value("w", FLOAT, None)])
    step = node("Scan", ["x"], ["y"], name="the-scan", num_scan_inputs=1, scan_input_axes=[3], body=body)
    return model([step], inputs={"x": [1, 1, 4, 60_000]})


def uncounted_scan() -> ModelProto:
    """A Scan that does not say how many of its inputs are scanned."""
    made = scan()
    (count,) = (one for one in made.graph.node[0].attribute if one.name == "num_scan_inputs")
    count.ClearField("type")
    return made


def without_input(made: ModelProto) -> ModelProto:
    """The first node's last input is left out, as optional ones may be."""
    made.graph.node[0].input[-1] = ""
    return made


def one_output_more(reshaped: str = "x") -> ModelProto:
    """A Reshape with two outputs, of which the second is read."""
    steps = [node("Reshape", [reshaped, "s"], ["t", "u"]), node("Neg", ["u"], ["v"]), node("Add", ["x", "v"], ["y"])]
    return model(steps, weights={"s": np.array([1, 3, -1]), "w": np.ones((1, 3, 4, 4), np.float32)})


def cyclic() -> ModelProto:
    """Two nodes that read each other."""
    return model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])], outputs=["b"])


def unreachable() -> ModelProto:
    """Nothing but a comparison leads to the output."""
    steps = [node("Greater", ["x", "k"], ["b"]), node("Cast", ["b"], ["y"], name="cast", to=FLOAT)]
    return model(steps, weights={"k": np.float32(0)})


def named(name: str) -> ModelProto:
    """A convolution whose node, tensors and graph bear a hostile name."""
    made = model([node("Conv", [name + "x", "w"], [name], name=name)], outputs=[name],
                 weights={"w": np.ones((4, 3, 3, 3), np.float32)}, inputs={name + "x": [1, 3, 16, 16]})  # fmt: skip
    made.graph.name = name
    return made


@dataclass(frozen=True)
class Hostile:
    """One file: how it is made, the problems it may end with, and words that its verdict must hold."""

    make: Callable[[], ModelProto | bytes]
    kinds: tuple[str, ...]
    words: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 30.0

    def content(self) -> bytes:
        """The file."""
        made = self.make()
        return made if isinstance(made, bytes) else bytes(made.SerializeToString())

    def check(self, job: Mapping[str, Any]) -> None:
        """The job ended with one of the expected problems, in its first attempt, and in few words."""
        assert job["status"] == "failed"
        error = job["error"]
        assert error["type"].removeprefix("/problems/") in self.kinds, error
        assert all(word in error["detail"] for word in self.words), error["detail"]
        assert len(error["detail"]) < 2_000
        assert job["attempt"] == 1  # the model was refused; no process died


INVALID, COMPLEX = ("invalid-model",), ("model-too-complex", "invalid-model")
UNSUPPORTED, LIMIT = ("unsupported-op",), ("resource-limit",)
BOMBS = ("ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "OneHot")
EXPONENTIAL = {f"F{i}": [f"F{i + 1}"] * 2 for i in range(60)} | {"F60": ["Relu"]}

FILES: dict[str, Hostile] = {
    "random": Hostile(lambda: np.random.default_rng(0).bytes(10_000), INVALID),
    "pickle": Hostile(lambda: pickle.dumps({"state_dict": [1.0] * 100}), INVALID),
    "zip (.pt)": Hostile(lambda: b"PK\x03\x04" + bytes(500), INVALID),
    "truncated": Hostile(lambda: convolution().SerializeToString()[:-40], INVALID),
    "external, relative": Hostile(lambda: external("weights.bin"), ("external-data",), ("'weights.bin'",)),
    "external, absolute": Hostile(lambda: external("/etc/hostname"), ("external-data",)),
    "external, above": Hostile(lambda: external("../../etc/hostname"), ("external-data",)),
    "function calls itself": Hostile(lambda: functions({"F": ["F"]}), ("unsupported-model",), seconds=2),
    "functions call each other": Hostile(
        lambda: functions({"F": ["G"], "G": ["F"]}), ("unsupported-model",), seconds=2
    ),
    "exponential functions of nothing": Hostile(
        lambda: functions(EXPONENTIAL | {"F60": []}), ("unsupported-model",), seconds=2
    ),
    "exponential functions": Hostile(lambda: functions(EXPONENTIAL), ("unsupported-model",), seconds=2),
    "20 MB of empty nodes": Hostile(empty_nodes, COMPLEX),
    "45 nested subgraphs": Hostile(lambda: nested(45), COMPLEX),
    "extent 2**40": Hostile(lambda: with_extents([1 << 40], raw=bytes(8)), COMPLEX),
    "negative extent": Hostile(lambda: with_extents([-4, 3, 3, 3], raw=bytes(432)), INVALID),
    "input of 2**40": Hostile(lambda: model([node("Relu", ["x"], ["y"])], inputs={"x": [1, 3, 1 << 40, 8]}), COMPLEX),
    "raw length": Hostile(lambda: with_extents([4, 3, 3, 3], raw=bytes(431)), INVALID, ("'w'", "432")),
    "cycle": Hostile(cyclic, INVALID, ("cycle",)),
    "group 0": Hostile(lambda: convolution(group=0), INVALID, ("group",)),
    "stride 0": Hostile(lambda: convolution(strides=[0, 0]), INVALID, ("strides",)),
    **{f"bomb: {name}": Hostile(lambda name=name: bomb(name), LIMIT, (name,)) for name in BOMBS},
    "an input of terabytes": Hostile(
        lambda: model([node("Relu", ["x"], ["y"])], inputs={"x": [1, 60_000, 60_000, 3]}), LIMIT
    ),
    "a Loop of 2^40 iterations": Hostile(lambda: loop(2**40), COMPLEX, ("Loop", "the-loop"), seconds=2),
    "a Loop without an end": Hostile(lambda: loop(None), COMPLEX, ("Loop", "the-loop"), seconds=2),
    "Loops in Loops": Hostile(lambda: loop(1000, depth=5), COMPLEX, ("Loop", "the-loop"), seconds=2),
    "a long Scan": Hostile(scan, COMPLEX, ("Scan", "the-scan")),
    "a Scan without its number of inputs": Hostile(uncounted_scan, INVALID, ("Scan", "the-scan")),
    "a Scan of nothing": Hostile(lambda: without_input(scan()), INVALID, ("Scan", "the-scan")),
    "a Loop of nothing": Hostile(lambda: without_input(loop(3)), INVALID, ("Loop", "the-loop")),
    "a grid of three coordinates": Hostile(
        lambda: model([node("GridSample", ["x", "w"], ["y"])], weights={"w": np.ones((1, 3, 3, 3), np.float32)}),
        ("shape-mismatch", *INVALID),
        ("GridSample",),
    ),
    "an input beyond all memories": Hostile(
        lambda: model([node("Relu", ["x"], ["y"])], inputs={"x": [2**31 - 1, 2**15, 13, 60_000]}), LIMIT
    ),
    "an output that the operator lacks": Hostile(one_output_more, INVALID, ("'u'",)),
    "an output that the operator lacks, of weights alone": Hostile(lambda: one_output_more("w"), INVALID, ("'u'",)),
    "custom domain": Hostile(
        lambda: model([node("Warp", ["x"], ["y"], name="w1", domain="acme")], domains={"acme": 1}),
        UNSUPPORTED,
        ("acme::Warp", "w1"),
    ),
    "opset 9999": Hostile(lambda: model([node("Relu", ["x"], ["y"])], opset=9999), UNSUPPORTED, ("9999",)),
    "NaN weights": Hostile(
        lambda: convolution(np.full((4, 3, 3, 3), math.nan, np.float32)), ("non-finite-output",), ("'y'",)
    ),
    "no gradient": Hostile(unreachable, ("no-gradient",), ("'y'",)),
    "no such layer": Hostile(convolution, ("invalid-target",), ("konv", "'conv'"), {"target": {"layer": "konv"}}),
    "no such unit": Hostile(convolution, ("invalid-target",), ("99",), {"target": {"unit": [99, 0]}}),
    "shape of other channels": Hostile(
        convolution, ("shape-mismatch",), ("[3, 16, 16]",), {"input": {"shape": [4, 16, 16]}}
    ),
    "shape below the kernel": Hostile(convolution, ("shape-mismatch",), ("conv",), {"input": {"shape": [3, 2, 2]}}),
}

NAMES: dict[str, str] = {
    "CR/LF": "a\r\nINFO forged log line",
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "bidi": "\u202eflipped\u2066",
    "quotes": "\"'`;--<script>alert(1)</script>{{7*7}}",
    "100 kB": "n" * 100_000,
}
