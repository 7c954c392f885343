"""Weights beside the model: the same network as with them inside, and nothing else on the disk is ever opened."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from onnx2torch.utils.common import OnnxMapping, OperationConverterResult

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_intake.answer import Sources, answer, inspect_model
from erfscope_intake.onnx_external import SMALL
from erfscope_intake.onnx_library import registry
from erfscope_intake.onnx_model import load_onnx
from erfscope_intake.onnx_summary import describe_onnx

node = helper.make_node
FLOAT = TensorProto.FLOAT
CHANNELS = 64  # of the second convolution's weights: 147 kB, which stay on the disk until they are needed
CPU = torch.device("cpu")
REQUEST = ErfRequest.model_validate({"average": {"inputs": 2}})


def unmarked(*_: object) -> None:
    """For runs whose layers nobody asks for."""


def network() -> ModelProto:
    """Two convolutions, a shape and axes that are read while the graph is built, and a constant in an attribute."""
    rng = np.random.default_rng(5)
    arrays = {
        "w1": rng.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32),
        "w2": rng.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype(np.float32) / 24,
        "b2": rng.standard_normal(CHANNELS).astype(np.float32),
        "shape": np.array([1, CHANNELS, 16, 16], np.int64),
        "axes": np.array([0], np.int64),
    }
    scale = numpy_helper.from_array(rng.standard_normal((CHANNELS, 16, 16)).astype(np.float32), "scale")
    steps = [
        node("Squeeze", ["x", "axes"], ["s"]),
        node("Unsqueeze", ["s", "axes"], ["u"]),
        node("Conv", ["u", "w1"], ["c1"], name="first", pads=[1] * 4),
        node("Relu", ["c1"], ["r"]),
        node("Conv", ["r", "w2", "b2"], ["c2"], name="second", pads=[1] * 4),
        node("Reshape", ["c2", "shape"], ["v"]),
        node("Constant", [], ["k"], value=scale),
        node("Mul", ["v", "k"], ["y"]),
    ]
    graph = helper.make_graph(
        steps, "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", FLOAT, [1, CHANNELS, 16, 16])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """The network in one file."""
    path = tmp_path / "one" / "net.onnx"
    path.parent.mkdir()
    onnx.save(network(), path)
    return path


@pytest.fixture(params=["one file", "many files", "below"])
def several(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same with everything outside, as onnx writes it."""
    path = tmp_path / "several" / "net.onnx"
    path.parent.mkdir()
    (path.parent / "below").mkdir()
    location = {"one file": "net.onnx.data", "many files": None, "below": "below/net.data"}[request.param]
    onnx.save_model(
        network(), path, save_as_external_data=True, all_tensors_to_one_file=location is not None, location=location,
        size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    return path


def weights_beside(path: Path) -> dict[str, Path]:
    files = (file for file in path.parent.rglob("*") if file.is_file() and file != path)
    return {file.relative_to(path.parent).as_posix(): file for file in files}


def test_the_same_map_as_from_one_file(one: Path, several: Path) -> None:
    alone, folder = (answer(REQUEST, Sources(path)) for path in (one, several))
    moved = several.rename(one.parent / "elsewhere.onnx")  # what was sent is read by name, wherever it lies
    sent = answer(REQUEST, Sources(moved, data=weights_beside(several)))
    assert alone.map.tobytes() == folder.map.tobytes() == sent.map.tobytes()
    digests = [found.result.provenance.model_sha256 for found in (alone, folder, sent)]
    assert digests[0] != digests[1] == digests[2]


def test_onnxruntime_computes_the_same(one: Path, several: Path) -> None:
    """From the one file: itself it refuses shapes that lie outside."""
    built = load_onnx(several, InputOptions(), dtype=torch.float32, device=CPU)
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = onnxruntime.InferenceSession(one).run(["y"], {"x": x.numpy()})[0]
    outputs: Any = built.run(x, unmarked)
    np.testing.assert_allclose(outputs["y"].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_inspection_and_description_read_them_as_well(one: Path, several: Path) -> None:
    assert inspect_model(several, InputOptions()).layers == inspect_model(one, InputOptions()).layers
    assert describe_onnx(several).operators == describe_onnx(one).operators


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (TensorProto.FLOAT16, SMALL), (TensorProto.BFLOAT16, SMALL), (TensorProto.DOUBLE, SMALL),
        (TensorProto.FLOAT8E4M3FN, 2 * SMALL), (TensorProto.INT8, 2 * SMALL), (TensorProto.INT4, 4 * SMALL),
        (TensorProto.BOOL, 2 * SMALL), (TensorProto.INT4, 6), (TensorProto.BFLOAT16, 5),
    ],
)  # fmt: skip
def test_every_type_of_weight(tmp_path: Path, kind: int, length: int) -> None:
    """Large and small ones: y = x + cast(w) holds the weight's values as onnx itself reads them."""
    values = np.random.default_rng(2).integers(-7, 8, length).astype(np.float32)
    weight = helper.make_tensor("w", kind, [length], values.astype(bool) if kind == TensorProto.BOOL else values)
    weight = numpy_helper.from_array(numpy_helper.to_array(weight), "w")
    steps = [node("Cast", ["w"], ["c"], to=FLOAT), node("Add", ["x", "c"], ["y"])]
    ends = [helper.make_tensor_value_info(name, FLOAT, [1, 1, length]) for name in ("x", "y")]
    graph = helper.make_graph(steps, "g", ends[:1], ends[1:], [weight])
    path = tmp_path / "net.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save_model(made, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (path.parent / "w.bin").stat().st_size == len(weight.raw_data)
    built = load_onnx(path, InputOptions(), dtype=torch.float32, device=CPU)
    outputs: Any = built.run(torch.zeros(1, 1, length), unmarked)
    np.testing.assert_array_equal(outputs["y"].numpy().reshape(-1), numpy_helper.to_array(weight).astype(np.float32))


# ---- hostile forms

OPENED: list[str] = []
WATCHING = [False]


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and WATCHING[0]:
        OPENED.append(str(arguments[0]))


sys.addaudithook(_hear)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Every file that this process opens while the test runs."""
    OPENED.clear()
    WATCHING[0] = True
    yield OPENED
    WATCHING[0] = False


Change = Callable[[dict[str, dict[str, str]]], None]  # entries of w1 and w2, by key


def told(entries: dict[str, dict[str, str]], tensor: str, **values: str) -> None:
    entries[tensor].update(values)


HOSTILE: Mapping[str, tuple[Change, tuple[str, ...]]] = {
    "absolute": (lambda e: told(e, "w1", location="{outside}"), ("not a name relative",)),
    "above": (lambda e: told(e, "w1", location="../outside.bin"), ("../outside.bin", "leads out")),
    "above and back": (lambda e: told(e, "w1", location="below/../../outside.bin"), ("leads out",)),
    "a link that leads out": (lambda e: told(e, "w1", location="link.bin"), ("link.bin", "leads out")),
    "below a link that leads out": (lambda e: told(e, "w1", location="up/outside.bin"), ("leads out",)),
    "missing": (lambda e: told(e, "w1", location="gone.bin"), ("'gone.bin'", "external_data=False")),
    "offset beyond the end": (lambda e: told(e, "w1", offset="500000"), ("'w1'", "net.data", "beyond the end")),
    "a length beyond the end": (lambda e: told(e, "w2", length="9999999"), ("'w2'", "beyond the end")),
    "a length of another shape": (lambda e: told(e, "w1", length="64"), ("'w1'", "6912", "64")),
    "no length, and more bytes than needed": (lambda e: e["w1"].pop("length") and None, ("'w1'", "6912")),
    "negative offset": (lambda e: told(e, "w1", offset="-1"), ("'w1'", "'-1'")),
    "offset of many digits": (lambda e: told(e, "w1", offset="9" * 5000), ("'w1'",)),
    "offset that is no number": (lambda e: told(e, "w1", offset="٣"), ("'w1'",)),
    "overlapping": (lambda e: told(e, "w2", offset="6908"), ("'w1'", "'w2'", "overlap", "net.data")),
    "the same bytes twice": (lambda e: told(e, "w1", offset="6912"), ("'w1'", "'w2'", "overlap")),
}


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[[Change], Path]:
    """A model of two weights beside it whose entries are changed; what lies outside would fit, if it were read."""

    def make(change: Change) -> Path:
        model = network()
        folder = tmp_path / "models"
        folder.mkdir()
        first, second = (numpy_helper.to_array(weight).tobytes() for weight in model.graph.initializer[:2])
        (folder / "net.data").write_bytes(first + second)
        outside = tmp_path / "outside.bin"
        outside.write_bytes(first)
        (folder / "link.bin").symlink_to(outside)
        (folder / "up").symlink_to("..")
        (folder / "below").mkdir()
        entries = {
            "w1": {"location": "net.data", "offset": "0", "length": str(len(first))},
            "w2": {"location": "net.data", "offset": str(len(first)), "length": str(len(second))},
        }
        change(entries)
        for tensor in model.graph.initializer[:2]:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in entries[tensor.name].items():
                tensor.external_data.add(key=key, value=value.replace("{outside}", str(outside)))
        path = folder / "net.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


def test_the_hostile_models_work_unchanged(hostile: Callable[[Change], Path], one: Path) -> None:
    assert (
        answer(REQUEST, Sources(hostile(lambda entries: None))).map.tobytes()
        == answer(REQUEST, Sources(one)).map.tobytes()
    )


@pytest.mark.parametrize("sends", [False, True], ids=["in the folder", "sent"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_form_is_refused_by_name(
    name: str, sends: bool, hostile: Callable[[Change], Path], opened: list[str]
) -> None:
    change, words = HOSTILE[name]
    path = hostile(change)
    OPENED.clear()
    data = {"net.data": path.parent / "net.data"} if sends else None
    with pytest.raises(ProblemError) as caught:
        load_onnx(path, InputOptions(), dtype=torch.float32, device=CPU, data=data)
    assert caught.value.kind == "external-data"
    if "link" not in name or not sends:
        assert all(word in caught.value.problem.detail for word in words), caught.value.problem.detail
    assert str(path) in opened
    assert not [place for place in opened if Path(place).resolve().name == "outside.bin"]


def test_what_is_sent_is_read_and_the_folder_is_not(
    hostile: Callable[[Change], Path], tmp_path: Path, opened: list[str]
) -> None:
    path = hostile(lambda entries: None)
    part = tmp_path / "part-0"
    (path.parent / "net.data").rename(part)
    (path.parent / "net.data").write_bytes(bytes(part.stat().st_size))
    OPENED.clear()
    load_onnx(path, InputOptions(), dtype=torch.float32, device=CPU, data={"net.data": part})
    assert str(part) in opened
    assert str(path.parent / "net.data") not in opened


def verdict(path: Path, data: Mapping[str, Path] | None = None) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        load_onnx(path, InputOptions(), dtype=torch.float32, device=CPU, data=data)
    return caught.value


def test_a_part_that_nobody_names(hostile: Callable[[Change], Path], one: Path) -> None:
    path = hostile(lambda entries: None)
    data = {"net.data": path.parent / "net.data", "stranger.bin": path}
    assert "'stranger.bin' came with the model" in verdict(path, data).problem.detail
    assert "it names none" in verdict(one, {"stranger.bin": path}).problem.detail


def test_a_hundred_thousand_files(tmp_path: Path) -> None:
    model = network()
    for number in range(10**5):
        tensor = model.graph.initializer.add(name=f"t{number}", data_type=FLOAT, dims=[0])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=f"{number}.bin")
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    for data in (None, {}):
        assert "100000 other files" in verdict(path, data).problem.detail


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda t: setattr(t, "raw_data", b"1" * 8), "invalid-model"),  # data here and there
        (lambda t: t.external_data.add(key="location", value="other.bin"), "invalid-model"),  # two names
        (lambda t: t.dims.append(-1), "invalid-model"),
        (lambda t: setattr(t, "data_type", 999), "invalid-model"),
        (lambda t: setattr(t, "data_type", TensorProto.STRING), "invalid-model"),
        (lambda t: t.dims.extend([1 << 40, 1 << 20]), "invalid-model"),
        (lambda t: t.external_data.pop(), "external-data"),  # no name at all
        (lambda t: t.external_data.add(key="part", value="0"), None),  # our own note's key means nothing in a file
    ],
)
def test_entries_that_contradict_themselves(tmp_path: Path, change: Callable[[TensorProto], object], kind: str) -> None:
    model = network()
    (tmp_path / "net.data").write_bytes(model.graph.initializer[2].raw_data)
    bias = model.graph.initializer[2]
    bias.ClearField("raw_data")
    bias.data_location = TensorProto.EXTERNAL
    bias.external_data.add(key="location", value="net.data")
    change(bias)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    if kind is None:
        load_onnx(path, InputOptions(), dtype=torch.float32, device=CPU)
    else:
        assert verdict(path).kind == kind


def test_a_file_that_becomes_shorter_meanwhile(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from erfscope_intake import onnx_model

    rename = onnx_model.renamed

    def shorten(graph: GraphProto) -> object:
        for file in weights_beside(several).values():
            file.write_bytes(b"")
        return rename(graph)

    monkeypatch.setattr(onnx_model, "renamed", shorten)
    assert "became shorter" in verdict(several).problem.detail


def test_onnx_never_opens_a_file_for_us(several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a file of that name in the working directory read."""
    alone = answer(REQUEST, Sources(several))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name, file in weights_beside(several).items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(bytes(file.stat().st_size))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("onnx resolves external data")

    for module in (onnx, onnx.external_data_helper, numpy_helper):
        for name in dir(module):
            if name.startswith("load_external_data"):
                monkeypatch.setattr(module, name, refuse)
    assert answer(REQUEST, Sources(several)).map.tobytes() == alone.map.tobytes()


def test_a_converter_of_onnx2torch_gets_the_weight_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the graph's tensors by itself, and knows of no other file."""
    rois = np.tile(np.array([[0, 0, 7, 7]], np.float32), (SMALL // 16 + 1, 1))
    arrays = {"rois": rois, "batch": np.zeros(len(rois), np.int64)}
    graph = helper.make_graph(
        [node("Relu", ["x"], ["r"]), node("RoiAlign", ["r", "rois", "batch"], ["y"])], "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.save_model(model, tmp_path / "net.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    seen: list[Any] = []

    def convert(node: Any, graph: Any) -> OperationConverterResult:
        seen.append(graph.initializers[node.input_values[1]].to_numpy())
        return OperationConverterResult(torch.nn.Identity(), OnnxMapping(node.input_values[:1], node.output_values))

    known = [key for key in registry() if key.operation_type == "RoiAlign"]
    assert known
    for key in known:
        monkeypatch.setitem(registry(), key, convert)
    load_onnx(tmp_path / "net.onnx", InputOptions(), dtype=torch.float32, device=CPU)
    np.testing.assert_array_equal(seen[0], rois)
