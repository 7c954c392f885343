"""Weights beside a model in the SDK: found, hashed and sent with it; and large modules exported that way."""

import hashlib
import io
from collections.abc import Callable
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from erfscope import _calls, _export, errors
from erfscope._calls import Call, Content
from erfscope._models import prepare
from erfscope._split import SMALLEST, split
from erfscope_contract.request import ErfRequest

Parts = list[tuple[str, str | None, bytes]]


def parts(call: Call[Any]) -> Parts:
    """Name, file name and content of each part, as another reader of MIME has them."""
    assert callable(call.body)
    body = b"".join(call.body())
    assert int(call.headers["Content-Length"]) == len(body)
    message = BytesParser().parsebytes(f"Content-Type: {call.headers['Content-Type']}\r\n\r\n".encode() + body)
    return [
        (str(part.get_param("name", header="content-disposition")), part.get_filename(), part.get_payload(decode=True))
        for part in message.get_payload()
    ]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """`net.onnx` with its weights in `below/net.data` and, both of them, in `one.onnx`."""
    rng = np.random.default_rng(1)
    weight = numpy_helper.from_array(rng.standard_normal((4, 3, 3, 3)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", 1, [1, 3, 8, 8])], [helper.make_tensor_value_info("y", 1, None)], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "one.onnx")
    (tmp_path / "below").mkdir()
    path = tmp_path / "net.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="below/net.data", size_threshold=0)
    return path


def test_a_path_brings_the_files_that_it_names(saved: Path) -> None:
    for given in (saved, str(saved)):
        prepared = prepare(given)
        assert [(one.name, one.source) for one in prepared.data] == [
            ("below/net.data", saved.parent / "below/net.data")
        ]
    alone = prepare(saved.parent / "one.onnx")
    assert alone.data == ()
    assert alone.sha256 == hashlib.sha256((saved.parent / "one.onnx").read_bytes()).hexdigest()


def test_the_name_of_a_model_follows_the_bytes_beside_it(saved: Path) -> None:
    before = prepare(saved).sha256
    assert prepare(saved).sha256 == before
    data = saved.parent / "below" / "net.data"
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    assert prepare(saved).sha256 != before
    assert before != hashlib.sha256(saved.read_bytes()).hexdigest()


def test_a_missing_file_is_refused_before_anything_is_sent(saved: Path) -> None:
    (saved.parent / "below" / "net.data").unlink()
    with pytest.raises(errors.ExternalData, match=r"'below/net.data'.*put it there.*external_data=False"):
        prepare(saved)


@pytest.mark.parametrize("read", [lambda path: path.read_bytes(), lambda path: io.BytesIO(path.read_bytes())])
def test_bytes_have_no_folder(saved: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(errors.ExternalData, match=r"'below/net.data'.*give the path of its file"):
        prepare(read(saved))
    assert prepare(read(saved.parent / "one.onnx")).data == ()


def test_a_submit_has_a_part_for_each_file(saved: Path) -> None:
    prepared = prepare(saved)
    assert prepared.content is not None
    call = _calls.submit(ErfRequest(dtype="float64"), prepared.content, "key", prepared.data)
    assert parts(call) == [
        ("request", None, b'{"dtype":"float64"}'),
        ("model", "net.onnx", saved.read_bytes()),
        ("data", "below/net.data", (saved.parent / "below" / "net.data").read_bytes()),
    ]
    assert parts(call) == parts(call), "a retry reads the files again"


def test_an_upload_is_a_form_only_where_files_lie_beside_it(saved: Path) -> None:
    prepared = prepare(saved)
    assert prepared.content is not None
    form = parts(_calls.upload_model(prepared.content, prepared.data))
    assert [(name, file) for name, file, _ in form] == [("model", "net.onnx"), ("data", "below/net.data")]
    raw = _calls.upload_model(Content(b"data", "net.onnx"))
    assert raw.headers["Content-Type"] == "application/octet-stream"


# ---- modules


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU()).eval()


def test_a_small_module_is_one_file(module: nn.Module) -> None:
    assert prepare(module, (3, 16, 16)).data == ()


@pytest.mark.parametrize("traceable", [True, False])
def test_a_large_module_has_its_weights_beside_it(
    module: nn.Module, traceable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_export, "LARGE", 5_000)
    once = _export._export_once

    def no_tracing(*arguments: Any, dynamo: bool) -> None:
        if not dynamo:
            raise RuntimeError("cannot be traced")
        once(*arguments, dynamo=dynamo)

    if not traceable:
        monkeypatch.setattr(_export, "_export_once", no_tracing)
    prepared = prepare(module, (3, 16, 16))
    assert prepared.content is not None
    path = prepared.content.source
    assert isinstance(path, Path)
    assert prepared.name == "Sequential.onnx"
    assert prepared.data
    assert prepared.content.size < 4 * (16 * 16 * 9)
    x = torch.randn(1, 3, 16, 16)
    (y,) = onnxruntime.InferenceSession(path).run(None, {"input": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), module(x))
    folder = path.parent
    assert folder.is_dir()
    del prepared
    assert not folder.exists(), "nothing stays behind"


def test_size_counts_buffers_too() -> None:
    module = nn.Module()
    assert not _export.is_large(module)
    module.register_buffer("table", torch.empty(_export.LARGE // 8 + 1, dtype=torch.float64, device="meta"))
    assert _export.is_large(module)


def test_a_split_model_is_the_same_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    arrays = {
        "large": rng.standard_normal(SMALLEST).astype(np.float32),
        "larger": rng.standard_normal((3, SMALLEST // 3)),
        "small": np.arange(5),
        "bytes": rng.integers(0, 255, SMALLEST + 1).astype(np.uint8),
    }
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    weights[0].doc_string = "kept"
    graph = helper.make_graph([helper.make_node("Relu", ["large"], ["y"])], "g", [], [], weights)
    model = helper.make_model(graph, producer_name="a test")
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    data = split(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, data.name]
    bare = onnx.load(path, load_external_data=False)
    outside = [tensor for tensor in bare.graph.initializer if tensor.external_data]
    assert [tensor.name for tensor in outside] == ["large", "larger", "bytes"]
    offsets = [int(entry.value) for tensor in outside for entry in tensor.external_data if entry.key == "offset"]
    assert all(offset % 64 == 0 for offset in offsets)
    assert path.stat().st_size < SMALLEST
    whole = onnx.load(path)
    for tensor in whole.graph.initializer:
        tensor.ClearField("data_location")  # what onnx leaves behind when it takes the data in
        del tensor.external_data[:]
    assert whole == model
