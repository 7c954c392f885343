"""The largest TRF over the phases: that of the unit that reads most, of all that there are."""

from pathlib import Path

import pytest
import torch
from tests.intake.tiles.networks import UNet, exported
from torch import nn

from erfscope_contract.fit import FitRequest
from erfscope_contract.request import InputOptions, ModelRef, Weights
from erfscope_engine.layers import Place
from erfscope_engine.receptive import receptive_field_of
from erfscope_intake.answer import inspect_model
from erfscope_intake.fit import fit
from erfscope_intake.outputs import surveyed
from erfscope_intake.sizes import SizedModel


def strided_decoder() -> nn.Module:
    """Behind a transposed convolution whose kernel is no multiple of its stride: the centre reads one place of two."""
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=4, padding=1),
        nn.ConvTranspose2d(2, 2, (3, 5), stride=(2, 4), padding=1, output_padding=1),
    )


def upsampled() -> nn.Module:
    """Phases of 3 and of 2, behind one another."""
    return nn.Sequential(
        nn.Conv2d(1, 1, 3, stride=2, padding=1),
        nn.Upsample(scale_factor=3),
        nn.Conv2d(1, 1, 3, padding=1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(1, 1, 2),
    )


@pytest.mark.parametrize("net", [UNet(), strided_decoder(), upsampled()], ids=["unet", "strided", "upsampled"])
def test_the_largest_is_that_of_all_units(net: nn.Module, tmp_path: Path) -> None:
    channels = next(net.parameters()).shape[1]
    names = ["mask", "coarse"] if isinstance(net, UNet) else ["map"]
    path = exported(net, (channels, 32, 32), tmp_path / "net.onnx", names)
    options = InputOptions(shape=[channels, 32, 32])
    traced = surveyed(
        SizedModel(ModelRef(sha256="0" * 64), options, Weights.GIVEN, torch.device("cpu"), path).network()
    ).traced
    rows = inspect_model(path, options).layers
    layers = {layer.name: layer for layer in traced.layers}
    differing = 0
    for row in rows:
        layer = layers[row.name]
        units = torch.cartesian_prod(*(torch.arange(n) for n in layer.grid)).tolist()
        sizes = [receptive_field_of(traced, Place(layer, tuple(unit))).size for unit in units]
        largest = [max(each) for each in zip(*sizes, strict=True)]
        assert (row.trf_largest or row.trf_size) == largest, row.name
        differing += row.trf_largest != []
    assert differing
    asked = FitRequest.model_validate(
        {"model": {"sha256": "0" * 64}, "objects": [4], "samples": 2, "layers": [rows[-1].name], "input": options}
    )
    (level,) = fit(asked, path).levels
    assert level.trf_largest == rows[-1].trf_largest
