"""Slices, joins, indices, rolls, pads and writes."""

from typing import Any

import torch
from tests.engine.cases.case import Case, Net, around, conv
from tests.engine.steps.moves import merged, partitioned
from tests.engine.steps.step import to_last
from torch import Tensor, nn
from torch.nn import functional as F

CENTER = (12, 10)


def _halves(first: Any, second: Any, x: Tensor) -> Tensor:
    return torch.cat([second(part) for part in first(x).split([10, 14], 2)], 2)


def _index(part: Any) -> nn.Module:
    """Channels by a constant index between two convolutions."""
    return Net(lambda a, b, x: b(a(x)[:, part]), conv(3, 4), conv(len(part) if isinstance(part, list) else 4, 2))


def _circular(a: Any, b: Any, x: Tensor) -> Tensor:
    """Circular padding by copies into an empty tensor, as old libraries do it."""
    y = a(x)
    z = torch.empty(len(y), 4, y.shape[2] + 2, y.shape[3], dtype=y.dtype)
    z[:, :, 1:-1] = y
    z[:, :, :1].copy_(y[:, :, -1:])
    z[:, :, -1:].copy_(y[:, :, :1])
    return b(z)


def _accumulated(a: Any, b: Any, x: Tensor) -> Tensor:
    y = a(x)
    y[:, :, 1:] += 2 * y[:, :, :-1]
    y[:, :, :, :-1] -= y[:, :, :, 1:] / 2
    return b(y.relu_())


def _into_zeros(a: Any, x: Tensor) -> Tensor:
    y = x.new_zeros(len(x), 4, 28, 24)
    y[:, :, 2:-2, 2:-2] = a(x)
    return y


def _scattered(a: Any, b: Any, x: Tensor) -> Tensor:
    """Rows written one by one."""
    y = a(x)
    out = torch.zeros_like(y)
    for k in range(y.shape[2]):
        out[:, :, k] = y[:, :, k] * (k % 3 + 1)
    return b(out)


def _index_put(a: Any, b: Any, x: Tensor) -> Tensor:
    y = a(x).clone()
    rows = torch.tensor([3, 9, 10])
    y[:, :, rows] = torch.tanh(y[:, :, rows])
    return b(y)


def _first_of_two(a: Any, b: Any, x: Tensor) -> Tensor:
    return torch.tanh(torch.cat([a(x), b(x)], 1)).chunk(2, 1)[0]


def _behind(move: Any, kernel: int = 5) -> nn.Module:
    """A move between two convolutions, the second one larger, so that it is read across the border."""
    return Net(lambda a, b, x: b(move(a(x))), conv(3, 4), conv(4, 2, kernel))


def _by_windows(x: Tensor) -> Tensor:
    """Max pooling of 2×2 windows, cut out by Tensor.unfold."""
    return x.unfold(2, 2, 1).unfold(3, 2, 1).amax((-1, -2))


def _in_windows(a: Any, b: Any, x: Tensor) -> Tensor:
    """A convolution in windows of 4, then one over all."""
    windows = a(partitioned(x, 4))
    return b(merged(windows, (24, 20), 4))


def _columns(a: Any, b: Any, x: Tensor) -> Tensor:
    """A 3×3 convolution by unfold and a product, behind another one."""
    return (b.weight.flatten(1) @ F.unfold(a(x), 3, padding=1)).view(len(x), -1, *x.shape[2:])


# The border of the image, where a move by index, by view or by window must read on as the plain one does.
BORDERS = {
    "every second row by a slice": Case(lambda: _behind(lambda y: y[:, :, ::2]), (11, 4), box=[(17, 28), (1, 8)]),
    "every second row by index_select": Case(lambda: _behind(lambda y: y.index_select(2, torch.arange(0, 24, 2))),
        (11, 4), box=[(17, 28), (1, 8)]),
    "backwards by index_select": Case(lambda: _behind(lambda y: y.index_select(2, torch.arange(23, -1, -1))), (0, 4),
        box=[(20, 27), (1, 8)]),
    "unbound and stacked": Case(lambda: _behind(lambda y: torch.stack(y.unbind(2), 2)), (0, 4), box=[(-3, 4), (1, 8)]),
    "mirrored pad of 2, corner": Case(lambda: nn.Sequential(conv(3, 4), nn.ReflectionPad2d(2)), (0, 0),
        layer="output", exact=True),
    "windows by Tensor.unfold before a large kernel": Case(lambda: _behind(_by_windows, 31), (11, 9), (3, 24, 20),
        box=[(-5, 29), (-7, 27)]),
    "columns behind a large kernel": Case(lambda: Net(_columns, conv(3, 4, 31), conv(4, 2)), (11, 9),
        box=[(-5, 28), (-7, 26)]),
    "local response norm first": Case(lambda: nn.Sequential(nn.LocalResponseNorm(3), conv(3, 4)), (9, 4), exact=True,
        box=around((9, 4), 1)),
    "local response norm of volumes": Case(lambda: nn.Sequential(nn.Conv3d(3, 4, 3, padding=1),
        nn.LocalResponseNorm(3), nn.Conv3d(4, 2, 3, padding=1)), (4, 4, 5), (3, 8, 8, 10), exact=True,
        box=around((4, 4, 5), 2)),
    "windows at the border": Case(lambda: Net(_in_windows, conv(3, 4), conv(4, 2)), (0, 4), holds=[(-2, 3), (2, 7)]),
}  # fmt: skip
CASES = BORDERS | {
    "view of channels into rows, chunk": Case(lambda: Net(lambda a, x: a(x).view(len(x), 4, 24, 20).chunk(2, 1)[0] * 2,
        conv(3, 4)), (9, 4), exact=True),
    "constant permutation of channels": Case(lambda: Net(lambda a, b, x: b(a(x)[:, torch.tensor([2, 0, 3, 1])]),
        conv(3, 4), conv(4, 2)), (9, 4), exact=True, box=around((9, 4), 2)),
    "every second channel": Case(lambda: Net(lambda a, b, x: b(a(x)[:, torch.arange(0, 4, 2)]), conv(3, 4),
        conv(2, 2)), (9, 4), exact=True, box=around((9, 4), 2)),
    "channels by a boolean mask": Case(lambda: Net(lambda a, b, x: b(a(x)[:, torch.tensor([True, False, True, True])]),
        conv(3, 4), conv(3, 2)), (9, 4), exact=True, box=around((9, 4), 2)),
    "channels by a list": Case(lambda: _index([3, 1]), (9, 4), exact=True, box=around((9, 4), 2)),
    "channels of an NHWC map": Case(lambda: Net(lambda a, b, x: b(to_last(a(x))), conv(3, 4), nn.Linear(4, 6)), (9, 4),
        axes=(0, 1), channels=(5,), exact=True, box=around((9, 4), 1)),
    **{f"a single row {how}, then along the width": Case(lambda form=form: Net(lambda a, b, x: b(form(a(x))),
        nn.Conv2d(3, 4, (5, 3), padding=(0, 1)), nn.Conv1d(4, 2, 3, padding=1)), (16,), (3, 5, 32), taken="output",
        box=[(0, 5), (14, 19)], exact=True)
        for how, form in {"squeezed away": lambda y: y.squeeze(2), "flattened into the width": lambda y: y.flatten(2),
        "flattened into the channels": lambda y: y.flatten(1, 2)}.items()},
    **{f"upsampled by {n} by indices, unit {unit}": Case(lambda n=n: Net(lambda a, b, x: b(a(x).index_select(2,
        torch.arange(24 * n) // n)), conv(3, 4), conv(4, 2)), (unit, 4), center=((unit + 0.5) / n - 0.5, 4))
        for n in (2, 3, 4, 5) for unit in (0, 12 * n + 1)},
    "a grey volume expanded and flattened": Case(lambda: Net(lambda a, x: a(x.unsqueeze(1).expand(-1, 2, -1, -1, -1,
        -1).flatten(1, 2)), nn.Conv3d(2, 2, 3, padding=1)), (3, 4, 5), (1, 8, 10, 10), taken="output",
        box=around((3, 4, 5), 1), exact=True),
    "halves joined, unit 0": Case(lambda: Net(_halves, conv(3, 4), conv(4, 4)), (0, 0), box=around((0, 0), 2),
        exact=True),
    "halves joined, at the seam": Case(lambda: Net(_halves, conv(3, 4), conv(4, 4)), (10, 9),
        box=[(9, 13), (7, 12)], exact=True),
    "circular pad as last layer, unit 0": Case(lambda: nn.Sequential(conv(3, 4), nn.CircularPad2d((0, 0, 3, 3))),
        (0, 0), layer="output", box=[(20, 23), (-1, 2)], exact=True),
    "zero pad as last layer, unit 2": Case(lambda: nn.Sequential(conv(3, 4), nn.ZeroPad2d((1, 0, 2, 0))), (2, 3),
        layer="output", box=[(-1, 2), (1, 4)], exact=True, center=(0, 2)),
    "circular padding by copies": Case(lambda: Net(_circular, conv(3, 4), nn.Conv2d(4, 2, 3, padding=(0, 1))), (12, 4),
        box=around((12, 4), 2), exact=True),
    "circular padding by copies, unit 0": Case(lambda: Net(_circular, conv(3, 4), nn.Conv2d(4, 2, 3, padding=(0, 1))),
        (0, 4)),
    "grey image repeated to three channels": Case(lambda: Net(lambda a, x: a(x.repeat(1, 3, 1, 1)),
        nn.Sequential(conv(3, 4), conv(4, 4))), (0, 0), (1, 24, 20), box=around((0, 0), 2), exact=True),
    "grey image expanded to three channels": Case(lambda: Net(lambda a, x: a(x.expand(-1, 3, -1, -1)),
        nn.Sequential(conv(3, 4), conv(4, 4))), (0, 0), (1, 24, 20), box=around((0, 0), 2), exact=True),
    "one tensor joined with itself": Case(lambda: Net(lambda a, x: a(torch.cat([x, x, x], 1)),
        nn.Sequential(conv(3, 4), conv(4, 4))), (0, 0), (1, 24, 20), box=around((0, 0), 2), exact=True),
    "slice of channels that never met the 7×7": Case(lambda: Net(lambda a, b, x: torch.cat([a(x), b(x)], 1)[:, :4],
        conv(3, 4, 1), conv(3, 4, 7)), CENTER, box=around(CENTER, 0), exact=True),
    "chunk that never met the 7×7": Case(lambda: Net(_first_of_two, conv(3, 4, 1), conv(3, 4, 7)), CENTER,
        box=around(CENTER, 0), exact=True),
    "in-place sums of slices": Case(lambda: Net(_accumulated, conv(3, 4), conv(4, 2)), (9, 4)),
    "written into zeros": Case(lambda: Net(_into_zeros, conv(3, 4)), (2, 5), box=[(-1, 2), (2, 5)], exact=True),
    "rows written one by one": Case(lambda: Net(_scattered, conv(3, 4), conv(4, 2)), (9, 4), box=around((9, 4), 2),
        exact=True),
    "rows by index_put": Case(lambda: Net(_index_put, conv(3, 4), conv(4, 2)), (9, 4)),
    "roll": Case(lambda: Net(lambda a, x: a(x.roll(3, 2)), conv(3, 4)), (9, 4), box=[(5, 8), (3, 6)], exact=True,
        center=(6, 4)),
    "shifted by four rolls": Case(lambda: Net(lambda a, x: torch.cat([part.roll(by, axis) for part, by, axis in
        zip(a(x).chunk(4, 1), (1, -1, 1, -1), (2, 2, 3, 3), strict=True)], 1), conv(3, 4)), (9, 4),
        box=[(7, 12), (2, 7)], exact=True),
    "flip": Case(lambda: Net(lambda a, x: a(x.flip(3)), conv(3, 4)), (9, 4), box=[(8, 11), (14, 17)], exact=True,
        center=(9, 15)),
    "transposed image": Case(lambda: Net(lambda a, x: a(x.transpose(2, 3)), nn.Conv2d(3, 4, (3, 5), padding=(1, 2))),
        (4, 9), box=[(7, 12), (3, 6)], exact=True),
    "reflect pad and crop": Case(lambda: Net(lambda a, x: a(F.pad(x, (4, 4, 4, 4), mode="reflect"))[:, :, 3:-3, 3:-3],
        nn.Conv2d(3, 4, 3)), (9, 4), box=around((9, 4), 1), exact=True),
}  # fmt: skip
