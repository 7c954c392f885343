"""What may be submitted."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from erfscope import Architecture, ErfscopeError, ModelRef, StoredModel, errors
from erfscope._models import prepare, read_file

SPEC: dict[str, Any] = {
    "name": "tiny",
    "input": {"channels": 1, "size": [16, 16]},
    "layers": [{"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": "same"}],
}
SHA = "ab" * 32


def test_an_onnx_path_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"onnx")
    for given in (path, str(path)):
        prepared = prepare(given)
        assert prepared.content is not None
        assert (prepared.content.source, prepared.content.size, prepared.name) == (path, 4, "net.onnx")
        assert prepared.ref is None


def test_bytes_and_open_files_are_sent(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"onnx")
    with path.open("rb") as file:
        opened = prepare(file)
    for prepared, name in (
        (prepare(b"onnx"), "model.onnx"),
        (opened, "net.onnx"),
        (prepare(io.BytesIO(b"onnx")), "upload"),
    ):
        assert prepared.content is not None
        assert (b"".join(prepared.content.chunks()), prepared.name) == (b"onnx", name)


def test_specs_travel_inside_the_request(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    expected = Architecture.model_validate(SPEC)
    for given in (SPEC, expected, path, str(path)):
        prepared = prepare(given)
        assert prepared.content is None
        assert prepared.ref == ModelRef(architecture=expected)
        assert prepared.name == "tiny"


def test_stored_models_are_named_by_their_digest() -> None:
    stored = StoredModel(sha256=SHA, size=1, name="net", status="succeeded")
    for given in (SHA, ModelRef(sha256=SHA), stored):
        assert prepare(given).ref == ModelRef(sha256=SHA)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (3, errors.APIError, "a int is not a model"),
        (None, errors.APIError, "NoneType"),
        ("no/such.onnx", errors.APIError, "no/such.onnx does not exist"),
        (Path("/"), errors.APIError, "is a directory"),
        ({"layers": []}, errors.APIError, "/"),
        ({"nonsense": 1}, errors.APIError, "/nonsense"),
        (io.StringIO("text"), errors.APIError, "mode 'rb'"),
    ],
)
def test_what_cannot_be_submitted(given: Any, error: type[ErfscopeError], words: str) -> None:
    with pytest.raises(error, match=words):
        prepare(given)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".h5", ".tflite"])
def test_other_formats_say_what_to_do(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(b"")
    with pytest.raises(ErfscopeError, match=r"ONNX|nn\.Module|tf2onnx") as caught:
        prepare(path)
    assert getattr(caught.value, "kind", None) == "unsupported-media-type"


def test_broken_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text("{")
    with pytest.raises(ErfscopeError, match=r"spec\.json is not JSON"):
        prepare(path)


def test_files_to_upload(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"png")
    assert b"".join(read_file(path).chunks()) == b"png"
    assert read_file(str(path)).name == "cat.png"
    assert b"".join(read_file(b"png").chunks()) == b"png"
    assert b"".join(read_file(io.BytesIO(b"png")).chunks()) == b"png"
