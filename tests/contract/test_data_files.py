"""Weights beside a model: names, places on disk, one identity; against onnx's own reading of the same files."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from erfscope_contract import protobuf
from erfscope_contract.data_files import MOST_FILES, beside, identity, identity_of, location_of, matched
from erfscope_contract.named_files import data_beside, names_in
from erfscope_contract.problem import ProblemError


def external(location: str, name: str = "w") -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def model(weights: Sequence[TensorProto] = (), nodes: Sequence[onnx.NodeProto] = ()) -> ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "g", [], [], list(weights)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's own folder; beside it `outside.bin`."""
    (tmp_path / "outside.bin").write_bytes(bytes(16))
    inner = tmp_path / "models"
    inner.mkdir()
    return inner


def refused(model: Path, location: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        beside(model, [location])
    assert caught.value.kind == "external-data"
    assert repr(location)[1:-1] in caught.value.problem.detail
    assert "external_data=False" in caught.value.problem.detail
    return caught.value


@pytest.mark.parametrize(
    ("written", "plain"), [("a.bin", "a.bin"), ("./a.bin", "a.bin"), ("d//é f.bin", "d/é f.bin"), ("...", "...")]
)
def test_a_location_has_one_spelling(written: str, plain: str) -> None:
    assert location_of(written) == plain


@pytest.mark.parametrize(
    "location",
    [
        "/etc/hostname",
        "../a",
        "a/../../b",
        "a/..",
        "",
        ".",
        "C:\\a",
        "C:a",
        "\\\\host\\a",
        "a\nb",
        "a\0b",
        'a"b',
        "x" * 256,
    ],
)
def test_other_locations_are_refused(folder: Path, location: str) -> None:
    with pytest.raises(ProblemError) as caught:
        location_of(location)
    assert caught.value.kind == "external-data"
    with pytest.raises(ProblemError):
        beside(folder / "net.onnx", [location])


def test_files_lie_in_the_folder_or_below(folder: Path) -> None:
    (folder / "below").mkdir()
    for name in ("a.bin", "below/b.bin"):
        (folder / name).write_bytes(b"1")
    found = beside(folder / "net.onnx", ["below/b.bin", "./a.bin"])
    assert found == {"below/b.bin": folder / "below" / "b.bin", "a.bin": folder / "a.bin"}


def test_every_missing_file_is_named_at_once(folder: Path) -> None:
    (folder / "b.bin").write_bytes(b"1")
    with pytest.raises(ProblemError) as caught:
        beside(folder / "net.onnx", ["a.bin", "b.bin", "c.bin"])
    assert caught.value.problem.context == {"files": ["a.bin", "c.bin"]}
    assert "'a.bin', 'c.bin', which are not in the folder of net.onnx" in caught.value.problem.detail


def test_a_link_must_stay_in_the_folder(folder: Path) -> None:
    (folder / "real.bin").write_bytes(b"1")
    (folder / "inside.bin").symlink_to("real.bin")
    (folder / "out.bin").symlink_to("../outside.bin")
    (folder / "up").symlink_to("..")
    (folder / "loop.bin").symlink_to("loop.bin")
    (folder / "nowhere.bin").symlink_to("gone.bin")
    assert beside(folder / "net.onnx", ["inside.bin"]) == {"inside.bin": folder / "real.bin"}
    assert "leads out" in refused(folder / "net.onnx", "out.bin").problem.detail
    assert "leads out" in refused(folder / "net.onnx", "up/outside.bin").problem.detail
    refused(folder / "net.onnx", "loop.bin")
    refused(folder / "net.onnx", "nowhere.bin")


def test_a_download_cache_has_links_for_model_and_data(folder: Path) -> None:
    """As a hub's cache has them: both lead to one folder of files without names."""
    store, page = folder / "blobs", folder / "snapshots" / "main"
    store.mkdir()
    page.mkdir(parents=True)
    for name, blob in (("net.onnx", "1f"), ("net.onnx_data", "2e")):
        (store / blob).write_bytes(blob.encode())
        (page / name).symlink_to(f"../../blobs/{blob}")
    (page / "other").symlink_to("../../../outside.bin")
    assert beside(page / "net.onnx", ["net.onnx_data"]) == {"net.onnx_data": store / "2e"}
    refused(page / "net.onnx", "other")


def test_only_regular_files_are_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe.bin")  # opening it would wait for ever
    (folder / "folder.bin").mkdir()
    for name in ("pipe.bin", "folder.bin"):
        assert "not a regular file" in refused(folder / "net.onnx", name).problem.detail


def test_too_many_files_are_refused_before_any_is_looked_for(folder: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        beside(folder / "net.onnx", [f"{n}.bin" for n in range(10**5)])
    assert "100000 other files" in caught.value.problem.detail
    assert caught.value.problem.context == {"limit": MOST_FILES}


def test_sent_files_are_matched_by_name() -> None:
    assert matched(["b/w.bin", "a.bin"], ["a.bin", "b/w.bin"]) == {"a.bin": "a.bin", "b/w.bin": "b/w.bin"}
    assert matched(["w.bin"], ["weights/w.bin"]) == {"weights/w.bin": "w.bin"}, "curl sends no folders"


@pytest.mark.parametrize(
    ("sent", "locations", "named"),
    [
        ([], ["a.bin", "b.bin"], ["a.bin", "b.bin"]),
        (["w.bin"], ["a/w.bin", "b/w.bin"], ["a/w.bin", "b/w.bin"]),  # which of the two it is, nobody can say
        (["c/w.bin"], ["a/w.bin"], ["a/w.bin"]),
        (["a.bin", "stranger.bin"], ["a.bin"], ["stranger.bin"]),
    ],
)
def test_a_part_too_few_or_too_many_is_named(sent: list[str], locations: list[str], named: list[str]) -> None:
    with pytest.raises(ProblemError) as caught:
        matched(sent, locations)
    assert caught.value.kind == "external-data"
    assert caught.value.problem.context["files"] == named
    assert all(name in caught.value.problem.detail for name in named)


def test_the_identity_covers_every_byte_and_name(tmp_path: Path) -> None:
    for name, content in (("net", b"net"), ("a", b"a"), ("b", b"b")):
        (tmp_path / name).write_bytes(content)
    net, a, b = (tmp_path / name for name in ("net", "a", "b"))
    alone = hashlib.sha256(b"net").hexdigest()
    assert identity_of(net, {}) == identity(alone, {}) == alone
    several = [{"x": a}, {"y": a}, {"x": b}, {"x": a, "y": b}, {"x": b, "y": a}]
    names = {identity_of(net, data) for data in several} | {alone, identity_of(a, {"x": net})}
    assert len(names) == len(several) + 2
    assert identity_of(net, {"y": b, "x": a}) == identity_of(net, {"x": a, "y": b})


def everywhere() -> ModelProto:
    """Data outside in a weight, an attribute, a list of them, a subgraph, a function; and inside, of two kinds."""
    value = helper.make_tensor_value_info("c", TensorProto.FLOAT, [4])
    constant = helper.make_node("Constant", [], ["c"], value=external("attribute.bin"))
    inner = helper.make_node("Constant", [], ["c"], value=external("subgraph.bin"))
    branch = helper.make_graph([inner], "b", [], [value], [external("branch/weight.bin")])
    several = helper.make_node("Own", [], ["d"], domain="own", many=[external("list.bin"), external("list.bin")])
    made = model(
        [external("weight.bin"), numpy_helper.from_array(np.ones(3, np.float32), "inside")],
        [constant, several, helper.make_node("If", ["k"], ["y"], then_branch=branch, else_branch=branch)],
    )
    steps = [helper.make_node("Constant", [], ["b"], value=external("function.bin"))]
    made.functions.append(helper.make_function("own", "F", [], ["b"], steps, [helper.make_opsetid("", 17)]))
    stale = made.graph.initializer.add()  # what some writers leave behind when they take the data in
    stale.CopyFrom(numpy_helper.from_array(np.ones(2, np.float32), "stale"))
    stale.external_data.add(key="location", value="stale.bin")
    return made


def test_names_are_found_wherever_a_tensor_may_be(tmp_path: Path) -> None:
    content = everywhere().SerializeToString()
    (tmp_path / "net.onnx").write_bytes(content)
    wanted = {
        "weight.bin", "attribute.bin", "list.bin", "subgraph.bin", "branch/weight.bin", "function.bin",
    }  # fmt: skip
    for found in (names_in(content), names_in(tmp_path / "net.onnx")):
        assert set(found) == wanted
        assert len(found) == len(wanted)


def test_names_of_what_onnx_saves(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.standard_normal(500).astype(np.float32), f"layer.{n}") for n in range(3)]
    for name, options in (("one", {"location": "one.data"}), ("many", {"all_tensors_to_one_file": False})):
        path = tmp_path / name / "net.onnx"
        path.parent.mkdir()
        onnx.save_model(model(weights), path, save_as_external_data=True, **options)
        written = {file.name for file in path.parent.iterdir()} - {"net.onnx"}
        assert set(names_in(path)) == written == set(data_beside(path))


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x80" * 40, everywhere().SerializeToString()[:-9]])
def test_what_is_no_model_names_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    assert names_in(content) == names_in(tmp_path / "net.onnx") == []


def test_weights_inside_are_stepped_over(tmp_path: Path) -> None:
    """Of 3 GiB that lie in the model's own file, none is read: the file is sparse, and mapped."""
    size = 3 << 30
    tensor = external("outside.bin").SerializeToString()
    raw = protobuf.write_varint(9 << 3 | 2) + protobuf.write_varint(size)
    inside = protobuf.write_varint(5 << 3 | 2) + protobuf.write_varint(len(raw) + size) + raw
    after = protobuf.write_field(5, tensor)
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.write(protobuf.write_varint(7 << 3 | 2) + protobuf.write_varint(len(inside) + size + len(after)) + inside)
        file.seek(size, os.SEEK_CUR)
        file.write(after)
    assert names_in(path) == ["outside.bin"]
    assert path.stat().st_blocks * 512 < 1 << 20
