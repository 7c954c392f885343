"""Modules of the exported network as names of layers: both exporters write down where a node comes from."""

import warnings
from pathlib import Path

import pytest
import torch
from onnx import NodeProto, StringStringEntryProto
from torch import nn

from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_engine import measure, measure_network
from erfscope_intake.onnx_model import open_onnx
from erfscope_intake.onnx_scopes import SCOPES, modules_of


class Block(nn.Module):
    """A convolution, an activation, and a sum with what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.act = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.act(self.conv(x))


class Net(nn.Module):
    """Two blocks in a sequence, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(Block(), Block())
        self.head = nn.Conv2d(2, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.stage(x))
        return out


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", ["stage.0", "stage.0.act", "stage.1.conv", "stage", "head"])
def test_a_module_s_name_means_the_same_tensor_as_in_the_module_itself(
    tmp_path: Path, name: str, *, dynamo: bool
) -> None:
    net, path = Net().eval(), tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 2, 12, 12),), path, dynamo=dynamo, verbose=False)
    request = ErfRequest.model_validate({"target": {"layer": name}, "average": {"inputs": 1}})
    opened = open_onnx(path, InputOptions(), dtype=torch.float32, device=torch.device("cpu"), layer=name)
    result = measure_network(opened.network, request).result
    expected = {"stage.0": 3, "stage.0.act": 3, "stage.1.conv": 5, "stage": 5, "head": 7}[name]
    assert result.trf.size == [expected, expected]
    assert measure(net, (2, 12, 12), layer=name, inputs=1).result.trf.size == [expected, expected]


def test_paths_of_the_older_exporter_repeat_the_name_of_a_sequence() -> None:
    node = NodeProto(name="/layer4/layer4.0/downsample/downsample.1/Conv")
    assert modules_of(node) == ("layer4", "layer4.0", "layer4.0.downsample", "layer4.0.downsample.1")
    assert modules_of(NodeProto(name="Conv_3")) == ()
    assert modules_of(NodeProto(name="/Add")) == ()


@pytest.mark.parametrize("text", ["[", "1", "['a', 2]", "__import__('os')", "[" * 5000, ""])
def test_what_is_no_list_of_names_says_nothing(text: str) -> None:
    assert modules_of(NodeProto(metadata_props=[StringStringEntryProto(key=SCOPES, value=text)])) == ()


# The older exporter leaves no trace of a normalisation that it folds.
@pytest.mark.parametrize(("name", "dynamo"), [("1.0", True), ("1.1", True), ("1", True), ("1.0", False), ("1", False)])
def test_a_convolution_with_a_folded_normalisation_has_its_own_name_as_well(
    tmp_path: Path, name: str, dynamo: bool
) -> None:
    def block(inputs: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    torch.manual_seed(0)
    net, path = nn.Sequential(block(2), block(4)).eval(), tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 2, 12, 12),), path, dynamo=dynamo, verbose=False)
    request = ErfRequest.model_validate({"target": {"layer": name}, "average": {"inputs": 8}})
    opened = open_onnx(path, InputOptions(), dtype=torch.float32, device=torch.device("cpu"), layer=name)
    assert measure_network(opened.network, request).result.trf.size == [5, 5]
