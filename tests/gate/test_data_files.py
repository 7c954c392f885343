"""Weights beside a model in the gate: a changed data file is another model; fixtures and modules bring theirs along."""

from pathlib import Path

import onnx
import pytest
import torch
from tests.gate.conftest import onnx_model
from torch import nn

from erfscope import _export, errors
from erfscope.gate.cache import Cache
from erfscope.gate.expect import measure
from erfscope.gate.question import Question, Subject, answered_by
from erfscope_contract.request import ErfRequest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """`net.onnx` and `net.onnx.data`."""
    path = tmp_path / "net.onnx"
    loaded = onnx.load_model_from_string(onnx_model())
    onnx.save_model(loaded, path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    return path


def key(path: Path, url: str | None = None) -> str:
    return Question(Subject("net", path), ErfRequest(), None).key(answered_by(url, "1.0"))


@pytest.mark.parametrize("url", [None, "http://localhost:8000"])
def test_the_key_covers_the_bytes_beside_the_model(model: Path, url: str | None) -> None:
    before = key(model, url)
    assert key(model, url) == before
    data = model.with_name("net.onnx.data")
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    assert key(model, url) != before


def test_the_fixture_reads_them_and_a_missing_one_is_said(model: Path, tmp_path: Path) -> None:
    def metrics() -> dict[str, float | None]:
        cache = Cache(tmp_path / "cache")
        return dict(measure("net.onnx", {"inputs": 2}, root=tmp_path, url=None, cache=cache).metrics)

    alone = tmp_path / "one.onnx"
    alone.write_bytes(onnx_model())
    found = metrics()
    assert found == dict(measure("one.onnx", {"inputs": 2}, root=tmp_path, url=None, cache=None).metrics)
    model.with_name("net.onnx.data").unlink()
    with pytest.raises(errors.ExternalData, match=r"net\.onnx\.data"):
        metrics()


def test_a_large_module_is_measured_with_its_weights_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1))
    fields = {"inputs": 2, "input_shape": (3, 24, 24)}
    small = measure(module, fields, root=tmp_path, url=None, cache=None)
    monkeypatch.setattr(_export, "LARGE", 1000)
    large = measure(module, fields, root=tmp_path, url=None, cache=None)
    assert large.metrics == small.metrics
    assert large.data.provenance.model_sha256 != small.data.provenance.model_sha256
