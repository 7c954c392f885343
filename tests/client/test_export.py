"""torch modules are exported where torch is there."""

import io
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from erfscope import errors
from erfscope._models import prepare
from erfscope._request import build, shapes_given


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


class Guided(nn.Module):
    """Two images, the second of half the size and another number of channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(2, 4, 5, padding=2)

    def forward(self, image: torch.Tensor, guide: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        small = torch.relu(self.second(guide))
        return torch.sigmoid(self.first(image)) * scale + nn.functional.interpolate(small, scale_factor=2.0)


class Scaled(Guided):
    """The same with an argument between them that has a default."""

    def forward(self, image: torch.Tensor, scale: float = 1.0, guide: torch.Tensor | None = None) -> torch.Tensor:  # type: ignore[override]  # another order is the point
        assert guide is not None
        return super().forward(image, guide, scale)


SHAPES = {"guide": (2, 8, 8), "image": (3, 16, 16)}


@pytest.mark.parametrize("kind", [Guided, Scaled])
def test_a_module_of_several_inputs_is_exported_by_their_names(kind: type[Guided]) -> None:
    import onnxruntime

    module = kind()
    prepared = prepare(module, SHAPES)
    assert "forward" not in vars(module)
    assert prepared.content is not None
    session = onnxruntime.InferenceSession(b"".join(prepared.content.chunks()))
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ("image", [1, 3, 16, 16]), ("guide", [1, 2, 8, 8])
    ]  # fmt: skip
    image, guide = torch.randn(1, 3, 16, 16), torch.randn(1, 2, 8, 8)
    (y,) = session.run(None, {"image": image.numpy(), "guide": guide.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), Guided()(image, guide), rtol=1e-4, atol=1e-5)


def test_defaults_of_the_only_input_do_not_become_inputs() -> None:
    class Gained(nn.Module):
        def forward(self, x: torch.Tensor, gain: float = 2.0) -> torch.Tensor:
            return nn.functional.avg_pool2d(x, 3) * gain

    prepared = prepare(Gained(), (3, 16, 16))
    assert prepared.content is not None
    graph = onnx.load(io.BytesIO(b"".join(prepared.content.chunks()))).graph
    assert [value.name for value in graph.input] == ["input"]


@pytest.mark.parametrize(("fields", "name", "trf"), [
    ({}, "guide", [5, 5]), ({"input_name": "image"}, "image", [3, 3]), ({"input_name": "guide"}, "guide", [5, 5]),
])  # fmt: skip
def test_one_of_several_inputs_is_measured(fields: dict[str, str], name: str, trf: list[int], tmp_path: Path) -> None:
    from erfscope_intake.answer import Sources, answer

    asked = build(None, {"input_shape": SHAPES, "inputs": 1, "layer": "auto", **fields})
    assert (asked.input.name, asked.input.shape) == (name, list(SHAPES[name]))
    prepared = prepare(Guided(), shapes_given(asked, {"input_shape": SHAPES}))
    assert prepared.content is not None
    file = tmp_path / "net.onnx"
    file.write_bytes(b"".join(prepared.content.chunks()))
    result = answer(asked, Sources(model=file), device="cpu").result
    assert result.input is not None
    assert (result.input.name, result.input.why) == (name, "it was asked for by name")
    assert (result.trf.size, result.input_shape) == (trf, list(SHAPES[name]))


def test_shapes_by_name_are_checked() -> None:
    with pytest.raises(errors.APIError, match=r"names 'mask', which Guided.forward does not take; it takes 'image'"):
        prepare(Guided(), {"image": (3, 16, 16), "mask": (1, 16, 16)})
    with pytest.raises(errors.APIError, match=r"could not be exported .* at input shape image \[3, 16, 16\]"):
        prepare(Guided(), {"image": (3, 16, 16)})
    with pytest.raises(errors.APIError, match="input_shape has no 'mask'; it has 'guide', 'image'"):
        build(None, {"input_shape": SHAPES, "input_name": "mask"})
    with pytest.raises(errors.APIError, match=r"input_shape by name is for a torch\.nn\.Module"):
        prepare("preset:resnet50", SHAPES)
