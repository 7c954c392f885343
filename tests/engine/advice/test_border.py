"""Border layers of small networks, against fields computed by hand."""

import torch
from torch import Tensor, nn

from erfscope_engine import network_of
from erfscope_engine.advice.border import Border, border_in

CHAIN = (*(f"{n} (convolution)" for n in range(6)), "output (convolution)")


def _border(module: nn.Module, side: int, layer: str = "auto") -> Border:
    return border_in(network_of(module.eval(), (1, side, side)), layer)


def _chain(strides: tuple[int, ...]) -> nn.Sequential:
    channels = [1] + [2] * len(strides)
    return nn.Sequential(*(nn.Conv2d(a, 2, 3, s, 1) for a, s in zip(channels, strides, strict=False)))


class _Skip(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class _Excite(nn.Module):
    """Squeeze-and-excite: two 1×1 convolutions of the image's mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(channels, 1, 1), nn.Conv2d(1, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.two(torch.relu(self.one(x.mean((2, 3), keepdim=True)))))


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.qkv, self.out = nn.Conv2d(1, 4, 4, 4), nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.out(torch.softmax(q @ k.transpose(1, 2), -1) @ v)


def test_of_a_chain_the_first_layer_whose_input_reads_more_than_the_image() -> None:
    strides = (1, 2, 1, 2, 1, 1, 1)  # by hand the inputs read 1, 3, 5, 9, 13, 21, 29 px
    assert _border(_chain(strides), 16) == Border(CHAIN, 5, 5, 7)
    assert _border(_chain(strides), 21).longest == 6, "21 px are not more than 21"
    assert _border(_chain(strides), 32) == Border(CHAIN, None, None, 7)


def test_a_skip_keeps_the_shortest_path_short() -> None:
    block = [_Skip(nn.Conv2d(2, 2, 3, padding=1)) for _ in range(6)]
    border = _border(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), *block), 8)  # inputs read 1, 3, 5, 7, 9, 11, 13
    assert (len(border.layers), border.longest, border.shortest, border.depth) == (7, 4, None, 7)


def test_statistics_of_the_whole_image_are_left_out() -> None:
    layers = [nn.Conv2d(1, 4, 3, padding=1), _Excite(4), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)]
    border = _border(nn.Sequential(*layers), 4)  # of the convolutions the inputs read 1, 3, 5
    assert border.layers == ("0 (convolution)", "2 (convolution)", "output (convolution)")
    assert (border.longest, border.depth) == (2, 5)


def test_behind_attention_an_input_reads_everything() -> None:
    border = _border(_Attention(), 16)
    assert (len(border.layers), border.longest, border.shortest, border.depth) == (3, 2, None, 3)
