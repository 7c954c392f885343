"""The largest TRF over the phases: that of the unit that reads most, of all that there are."""

from pathlib import Path

import pytest
from tests.intake.tiles.networks import UNet, exported
from torch import nn

from erfscope_contract.fit import FitRequest
from erfscope_contract.request import InputOptions
from erfscope_engine import receptive_field
from erfscope_intake.answer import inspect_model
from erfscope_intake.fit import fit


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
    """Axes are independent, so the units of a diagonal have all sizes that there are."""
    channels = next(net.parameters()).shape[1]
    names = ["mask", "coarse"] if isinstance(net, UNet) else ["map"]
    path = exported(net, (channels, 32, 32), tmp_path / "net.onnx", names)
    options = InputOptions(shape=[channels, 32, 32])
    rows = inspect_model(path, options).layers
    name = "last" if isinstance(net, UNet) else "auto"
    last = next(row for row in reversed(rows) if row.shape[1:] == [32, 32]) if isinstance(net, UNet) else rows[-1]
    units = [tuple(min(k, n - 1) for n in last.shape[1:]) for k in range(max(last.shape[1:]))]
    sizes = [receptive_field(net, (channels, 32, 32), layer=name, unit=unit).size for unit in units]
    largest = [max(each) for each in zip(*sizes, strict=True)]
    assert (last.trf_largest or last.trf_size) == largest
    assert (last.trf_size != largest) is not isinstance(net, UNet)
    asked = FitRequest.model_validate(
        {"model": {"sha256": "0" * 64}, "objects": [4], "samples": 2, "layers": [last.name], "input": options}
    )
    (level,) = fit(asked, path).levels
    assert level.trf_largest == last.trf_largest
