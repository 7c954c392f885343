"""Branches that are scaled to nothing before training are told, and only those."""

import pytest
import torch
from torch import nn

from erfscope_engine import measure


class Residual(nn.Module):
    """x + scale · norm(conv(x)), the scale as ConvNeXt has it."""

    def __init__(self, layer_scale: float, gamma: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        nn.init.constant_(self.norm.weight, gamma)
        self.scale = nn.Parameter(torch.full((4, 1, 1), layer_scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.norm(self.conv(x))


def notes(*blocks: nn.Module) -> str:
    net = nn.Sequential(*blocks, nn.Conv2d(4, 4, 3, padding=1)).eval()
    return " ".join(measure(net, (4, 16, 16), inputs=2).result.provenance.notes)


def test_a_layer_scale_of_convnext_before_training() -> None:
    told = notes(Residual(1e-6, 1.0), Residual(1e-6, 1.0))
    assert "2 scales are at most 1e-06 (0, 1)" in told, "a parameter has the name of its block"
    assert "set these scales to 1" in told


def test_a_scale_in_stages_has_the_name_of_its_block() -> None:
    stages = [nn.Sequential(Residual(1e-6, 1.0), Residual(1e-6, 1.0)), nn.Sequential(Residual(1e-6, 1.0))]
    assert "3 scales are at most 1e-06 (0.0, 0.1, 1.0)" in notes(*stages)


def test_a_scale_without_a_block_has_no_name() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
            self.gamma = nn.Parameter(torch.full((4, 1, 1), 1e-6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen: torch.Tensor = self.last(self.gamma * self.first(x))
            return seen

    told = " ".join(measure(Flat(), (4, 16, 16), inputs=2).notes)
    assert "1 scale is at most 1e-06, as" in told


def test_a_scale_is_not_told_as_of_the_module_behind_it() -> None:
    """ConvNeXt's blocks end with DropPath, which hands its input on at inference."""

    class Block(Residual):
        def __init__(self) -> None:
            super().__init__(1e-6, 1.0)
            self.drop_path = nn.Dropout(0.1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.drop_path(self.scale * self.norm(self.conv(x)))

    assert "1 scale is at most 1e-06 (0)" in notes(Block())


def test_a_gamma_of_0() -> None:
    assert "1 scale is 0 (0.norm" in notes(Residual(1.0, 0.0))


def test_weights_into_which_an_exporter_folded_a_gamma_of_0() -> None:
    block = Residual(1.0, 1.0)
    nn.init.zeros_(block.conv.weight)
    assert "1 scale is 0 (0.conv" in notes(block)


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_scales_as_training_leaves_them_are_not_told(scale: float) -> None:
    assert "scale" not in notes(Residual(scale, scale))


def test_a_scale_that_does_not_lead_to_the_layer_is_not_told() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3), Residual(1e-6, 1.0)).eval()
    (note,) = measure(net, (4, 16, 16), layer="0", inputs=2).result.provenance.notes
    assert "look untrained" in note
