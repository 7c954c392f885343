"""torch modules are exported where torch is there."""

import io

import onnx
import pytest
import torch
from torch import nn

from erfscope import errors
from erfscope._models import prepare


class Branchy(nn.Module):
    """Cannot be exported: its output is no tensor."""

    def forward(self, x: torch.Tensor) -> object:
        raise RuntimeError("this forward always fails")


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU())


def test_a_module_becomes_onnx_with_its_own_names(module: nn.Module) -> None:
    import onnxruntime

    module[2].eval()
    prepared = prepare(module, (3, 16, 16))
    assert prepared.content is not None
    assert prepared.name == "Sequential.onnx"
    data = b"".join(prepared.content.chunks())
    graph = onnx.load(io.BytesIO(data)).graph
    assert [node.name for node in graph.node] == ["/0/Conv", "/3/Relu"]
    x = torch.randn(1, 3, 16, 16)
    (y,) = onnxruntime.InferenceSession(data).run(None, {"input": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), module.eval()(x))


def test_each_part_keeps_its_mode(module: nn.Module) -> None:
    module.train()
    module[1].eval()
    prepare(module, (3, 16, 16))
    assert [part.training for part in module.modules()] == [True, True, False, True, True]


def test_the_input_shape_is_needed(module: nn.Module) -> None:
    with pytest.raises(errors.APIError, match=r"input_shape=\(3, 224, 224\)"):
        prepare(module)


def test_a_module_that_fails_says_so() -> None:
    with pytest.raises(errors.APIError, match=r"Branchy.*this forward always fails") as caught:
        prepare(Branchy(), (3, 16, 16))
    assert caught.value.kind == "unsupported-model"


def test_what_cannot_be_traced_takes_the_other_exporter(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")

    class Spectral(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.view_as_real(torch.fft.rfft2(x)).sum(-1)

    prepared = prepare(Spectral(), (3, 16, 16))
    assert prepared.content is not None
    graph = onnx.load(io.BytesIO(b"".join(prepared.content.chunks()))).graph
    assert "DFT" in {node.op_type for node in graph.node}
    assert capsys.readouterr().out == ""


def test_double_precision_stays_double(module: nn.Module) -> None:
    prepared = prepare(module.double(), (3, 16, 16))
    assert prepared.content is not None
    graph = onnx.load(io.BytesIO(b"".join(prepared.content.chunks()))).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
