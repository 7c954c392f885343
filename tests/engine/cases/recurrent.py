"""Networks over time and frequency: recurrent layers, CRNN, spectra, complex weights."""

from typing import Any

import torch
from tests.engine.cases.case import Case, Net, conv
from torch import Tensor, nn


class Spectral(nn.Module):
    """A convolution with a Fourier branch beside it (fast Fourier convolution)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix, self.last = conv(3, 6), nn.Conv2d(12, 12, 1), conv(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        f = torch.fft.rfft2(x, norm="ortho")
        real, imaginary = torch.relu(self.mix(torch.cat([f.real, f.imag], 1))).chunk(2, 1)
        return self.last(x + torch.fft.irfft2(torch.complex(real, imaginary), s=x.shape[-2:], norm="ortho"))


class FourierOperator(nn.Module):
    """Complex weights on the lowest frequencies (FNO)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.weight = nn.Conv1d(2, 4, 1), nn.Parameter(torch.randn(4, 4, 6, dtype=torch.complex64) / 3)
        self.side, self.last = nn.Conv1d(4, 4, 1), nn.Conv1d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        f = torch.fft.rfft(x)
        low = torch.einsum("nix,iox->nox", f[..., :6], self.weight)
        out = torch.zeros_like(f)
        out[..., :6] = low
        return self.last(torch.tanh(torch.fft.irfft(out, n=x.shape[-1]) + self.side(x)))


class ComplexConv(nn.Module):
    """A convolution with complex weights of a complex signal."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 3, 5, padding=2, dtype=torch.complex64)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(torch.complex(x[:, :1], x[:, 1:]))
        return torch.cat([y.real, y.imag.tanh()], 1)


class Spectrogram(nn.Module):
    """A short-time Fourier transform, its logarithm, convolutions over frequency and time."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(16))
        self.conv = nn.Sequential(conv(1, 4), nn.ReLU(), conv(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        f = torch.stft(x[:, 0], 16, 4, window=self.window, center=False, return_complex=True)
        return self.conv(torch.log(f.abs() + 1e-2).unsqueeze(1))


class CRNN(nn.Module):
    """Text recognition: convolutions, height pooled away, an LSTM in both directions, a dense layer per step."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(1, 4), nn.ReLU(), nn.MaxPool2d(2), conv(4, 6), nn.ReLU(), nn.MaxPool2d((2, 1)))
        self.rows, self.head = nn.LSTM(6, 5, batch_first=True, bidirectional=True), nn.Linear(10, 7)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).mean(2).transpose(1, 2)
        return self.head(self.rows(y)[0])


class VAD(nn.Module):
    """Voice activity: features of frames, an LSTM, a probability per frame."""

    def __init__(self) -> None:
        super().__init__()
        self.frames, self.cell, self.head = nn.Conv1d(1, 6, 8, 4), nn.LSTM(6, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.cell(torch.relu(self.frames(x)).transpose(1, 2))
        return torch.sigmoid(self.head(y))


class ByHand(nn.Module):
    """A recurrence written as a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.cell = nn.Conv1d(3, 4, 3, padding=1), nn.GRUCell(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        y, h, states = self.first(x), torch.zeros(len(x), 5, dtype=x.dtype), list[Tensor]()
        for step in y.unbind(2):
            h = self.cell(step, h)
            states.append(h)
        return torch.stack(states, 2)


def _over_time(first: Any, cell: Any, x: Tensor) -> Tensor:
    out: Tensor = cell(first(x).transpose(1, 2))[0]
    return out


def _time_first(first: Any, cell: Any, x: Tensor) -> Tensor:
    out: Tensor = cell(first(x).permute(2, 0, 1))[0]
    return out.permute(1, 2, 0)


def _signal() -> nn.Module:
    return nn.Conv1d(3, 4, 3, padding=1)


SIGNAL = (3, 24)
CASES = {
    "GRU over time": Case(lambda: Net(_over_time, _signal(), nn.GRU(4, 5, batch_first=True)), (9,), SIGNAL, axes=(0,)),
    "LSTM of two layers, both directions": Case(lambda: Net(_over_time, _signal(), nn.LSTM(4, 3, 2, batch_first=True,
        bidirectional=True)), (9,), SIGNAL, axes=(0,), channels=(1,)),
    "RNN, time first": Case(lambda: Net(_time_first, _signal(), nn.RNN(4, 5)), (9,), SIGNAL),
    "GRU of two layers, last step": Case(lambda: Net(_time_first, _signal(), nn.GRU(4, 5, 2)), (23,), SIGNAL),
    "GRU cell in a loop": Case(ByHand, (9,), SIGNAL),
    "CRNN, a step": Case(CRNN, (5,), (1, 16, 24), layer="output", axes=(0,), channels=(3,)),
    "CRNN, what auto takes": Case(CRNN, (2, 5), (1, 16, 24), taken="body", tensor=lambda net, x: net.body(x)),
    "voice activity": Case(VAD, (5,), (1, 64), axes=(0,), taken="output"),
    "Fourier branch": Case(Spectral, (9, 4), tolerance=1e-8),
    "complex weights of frequencies": Case(FourierOperator, (9,), (2, 32)),
    "complex convolution": Case(ComplexConv, (9,), (2, 32), box=[(7, 12)], exact=True),
    "stft": Case(Spectrogram, (6,), (1, 96), exact=False),
}  # fmt: skip
