"""A model with its weights in other files, on the page: dropped together, one after the other, and as a folder."""

import base64
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from playwright.sync_api import Page, expect
from tests.house.conftest import House
from tests.page.test_page import finished, job_of
from torch import nn

import erfscope

Visit = Callable[..., Page]


@pytest.fixture
def folder(tmp_path: Path, onnx_file: Path) -> Path:
    """`net.onnx` with each weight in a file of its own, and `one.onnx` with the same weights inside."""
    model = onnx.load(onnx_file)
    model.producer_name = "beside"  # another file: a stored one keeps the name that it first came under
    onnx.save(model, tmp_path / "one.onnx")
    onnx.save_model(
        model, tmp_path / "net.onnx", save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0
    )
    return tmp_path


def drop(page: Page, files: Sequence[Path]) -> None:
    """What a browser does when files are let go over the page."""
    contents = [[base64.b64encode(file.read_bytes()).decode(), file.name] for file in files]
    page.evaluate(
        """(contents) => {
            const dataTransfer = new DataTransfer();
            for (const [content, name] of contents) {
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                dataTransfer.items.add(new File([bytes], name));
            }
            document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        contents,
    )


def weights(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and file.suffix != ".onnx")


def measure(page: Page, layers: int = 8) -> str:
    """The id of the job, once its map is drawn."""
    expect(page.locator("#file-hint")).to_contain_text(f"{layers} layers, input 3 × 32 × 32")
    page.get_by_label("Samples", exact=True).fill("3")
    page.get_by_role("button", name="Measure").click()
    finished(page)
    return job_of(page)


def test_a_model_dropped_with_its_weights_is_measured(visit: Visit, house: House, folder: Path) -> None:
    assert len(weights(folder)) == 4
    page = visit()
    drop(page, [weights(folder)[0], folder / "net.onnx", *weights(folder)[1:]])
    job = measure(page)
    with erfscope.Client(house.url) as client:
        dropped = client.job(job).result()
        alone = client.run(folder / "one.onnx", inputs=3)
        assert dropped.array().tobytes() == alone.array().tobytes()
        assert dropped.data.provenance.model_sha256 != alone.data.provenance.model_sha256


def test_the_two_files_of_today_s_exporter(visit: Visit, house: House, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.ReLU()
    network, image = nn.Sequential(*layers).eval(), torch.zeros(1, 3, 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(network, (image,), str(tmp_path / "net.onnx"), verbose=False)
        torch.onnx.export(network, (image,), str(tmp_path / "one.onnx"), verbose=False, external_data=False)
    page = visit()
    drop(page, [tmp_path / "net.onnx", tmp_path / "net.onnx.data"])
    job = measure(page, layers=4)
    with erfscope.Client(house.url) as client:
        alone = client.run(tmp_path / "one.onnx", inputs=3)
        assert client.job(job).result().array().tobytes() == alone.array().tobytes()


def test_missing_weights_are_named_and_may_follow(visit: Visit, folder: Path) -> None:
    page = visit()
    first, *others = weights(folder)
    drop(page, [folder / "net.onnx", first])
    problem = page.locator("#upload-problem")
    for other in others:
        expect(problem).to_contain_text(other.name)
    expect(problem).not_to_contain_text(first.name)
    expect(problem).to_contain_text("external_data=False")
    expect(page.get_by_role("button", name="Measure")).to_be_disabled()
    drop(page, others[:1])
    expect(problem).not_to_contain_text(others[0].name)
    expect(problem).to_contain_text(others[1].name)
    drop(page, others[1:])
    expect(problem).to_be_hidden()
    measure(page)


def test_files_may_be_chosen_and_strangers_among_them_stay_here(visit: Visit, folder: Path) -> None:
    (folder / "notes.txt").write_text("not for the service")
    page, sent = visit(), list[bytes]()
    page.on("request", lambda request: sent.append(request.post_data_buffer or b""))
    page.locator("#file").set_input_files([folder / "net.onnx", *weights(folder)])
    measure(page)
    assert not any(b"not for the service" in body for body in sent)


def test_a_folder_is_dropped(visit: Visit, folder: Path, tmp_path: Path) -> None:
    """Its entries as Chromium gives them for a dropped folder, weights one level below the model."""
    below = tmp_path / "deep"
    (below / "weights").mkdir(parents=True)
    model = onnx.load(folder / "net.onnx", load_external_data=False)
    for file, tensor in zip(weights(folder), sorted(model.graph.initializer, key=lambda one: one.name), strict=True):
        file.rename(below / "weights" / file.name)
        tensor.external_data[0].value = f"weights/{file.name}"
    onnx.save(model, below / "net.onnx")
    page = visit()
    page.evaluate(
        """([model, weights]) => {
            const bytes = (content) => Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const file = (name, content) =>
                ({ name, isFile: true, file: (then) => then(new File([bytes(content)], name)) });
            const folder = (name, entries) => ({
                name,
                isFile: false,
                createReader: () => ({ readEntries: (then) => then(entries.splice(0)) }),
            });
            const inner = folder("weights", weights.map(([name, content]) => file(name, content)));
            const entry = folder("deep", [inner, file("net.onnx", model)]);
            const event = new DragEvent("drop", { bubbles: true });
            Object.defineProperty(event, "dataTransfer", { value: { items: [{ webkitGetAsEntry: () => entry }] } });
            document.getElementById("drop").dispatchEvent(event);
        }""",
        [encoded(below / "net.onnx"), [[file.name, encoded(file)] for file in weights(below / "weights")]],
    )
    measure(page)


def encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def test_two_models_at_once_are_refused(visit: Visit, folder: Path) -> None:
    page = visit()
    drop(page, [folder / "net.onnx", folder / "one.onnx"])
    expect(page.locator("#upload-problem")).to_contain_text("2 ONNX files (net.onnx, one.onnx)")


def external(location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_names_are_read_off_the_bytes_as_onnx_has_them(visit: Visit) -> None:
    """Of weights, attributes and subgraphs; and nothing of bytes that are no model."""
    constant = helper.make_node("Constant", [], ["c"], value=external("constant.bin"))
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [3])])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    weight = [external("dir/ünï.bin"), external("a.bin"), external("a.bin")]
    graph = helper.make_graph([choice], "g", [], [], weight)
    model = helper.make_model(graph).SerializeToString()
    page = visit()
    read = "async (bytes) => (await import('/page/onnx.js')).namesIn(Uint8Array.from(bytes))"
    assert sorted(page.evaluate(read, list(model))) == ["a.bin", "constant.bin", "dir/ünï.bin"]
    assert page.evaluate(read, list(model[:-3])) == []
    assert page.evaluate(read, list(b"no model at all")) == []
