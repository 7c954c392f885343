"""The note on weights that look untrained, of modules that are measured in this process."""

import pytest
import torch
from torch import nn

from erfscope_engine import measure


def notes_of(module: nn.Module) -> str:
    return " ".join(measure(module, (3, 24, 24), inputs=2).notes)


def plain(scheme: str = "default") -> nn.Sequential:
    torch.manual_seed(0)
    sizes = [(3, 16), (16, 16), (16, 16), (16, 16)]
    net = nn.Sequential(*(part for i, o in sizes for part in (nn.Conv2d(i, o, 3, padding=1), nn.ReLU())))
    for layer in net:
        if isinstance(layer, nn.Conv2d) and scheme != "default":
            draw = {"xavier": nn.init.xavier_uniform_, "kaiming": nn.init.kaiming_normal_, "small": _small}[scheme]
            draw(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return net


def _small(weight: torch.Tensor) -> torch.Tensor:
    return nn.init.trunc_normal_(weight, std=0.02)


def normed() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))


@pytest.mark.parametrize("scheme", ["default", "xavier", "kaiming", "small"])
def test_a_new_network_is_noted(scheme: str) -> None:
    assert "all layers have weights and biases as a usual initialisation draws them" in notes_of(plain(scheme))


def test_a_head_of_zeros_is_not_a_trained_layer() -> None:
    net = plain("kaiming")
    net.append(nn.ConvTranspose2d(16, 16, 3))
    nn.init.zeros_(net[-1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(net[-1].bias)  # type: ignore[arg-type]
    found = measure(net, (3, 24, 24), layer="7", inputs=2).notes
    assert any("look untrained" in note for note in found)


def test_normalisations_at_their_start_are_noted_and_moved_ones_are_not() -> None:
    net = normed()
    note = notes_of(net)
    assert "all batch normalisations have the values that they start with" in note
    assert "measure(make, shape, draws=16)" in note
    net.train()(torch.rand(4, 3, 24, 24))
    assert "untrained" not in notes_of(net)


def test_one_step_of_training_ends_the_note() -> None:
    net = plain()
    optimiser = torch.optim.SGD(net.parameters(), lr=1.0)
    target = torch.rand(2, 16, 24, 24, generator=torch.Generator().manual_seed(1))
    for _ in range(200):
        optimiser.zero_grad()
        ((net(torch.ones(2, 3, 24, 24)) - 5 * target) ** 2).mean().backward()
        optimiser.step()
    assert "untrained" not in notes_of(net)


def test_few_layers_tell_nothing() -> None:
    assert "untrained" not in notes_of(plain()[:2])
