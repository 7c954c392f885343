"""Maps beside central differences of the network itself: where autograd's own kernels may be wrong."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.engine.oracle import sample
from torch import Tensor, nn

from erfscope_engine import measure

Tail = Callable[[Tensor], Tensor]


def tokens(y: Tensor) -> Tensor:
    """Places as rows, dealt out to an image with the channels last."""
    n, c, h, w = y.shape
    return y.flatten(2).transpose(1, 2).view(n, h, w, c)


class Behind(nn.Module):
    """A convolution, a normalisation, and a rearrangement of what it gives."""

    def __init__(self, norm: nn.Module, tail: Tail) -> None:
        super().__init__()
        self.body, self.tail = nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), norm), tail

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.body(x))


NORMS: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.BatchNorm2d(4),
    "batch norm of batches": lambda: nn.BatchNorm2d(4, track_running_stats=False),
    "instance norm": lambda: nn.InstanceNorm2d(4, affine=True),
    "group norm": lambda: nn.GroupNorm(2, 4),
    "none": nn.Identity,
}
TAILS: dict[str, Tail] = {
    "tokens": tokens,
    "every second token": lambda y: tokens(y)[:, ::2, ::2],
    "channels last": lambda y: y.permute(0, 2, 3, 1),
    "as it is": lambda y: y.permute(0, 2, 3, 1).contiguous(),
}


def by_differences(net: nn.Module, x: Tensor, unit: tuple[int, int]) -> np.ndarray:
    """|d (sum of a unit's channels) / dx| summed over channels, by central differences."""
    step, result = 1e-4, torch.zeros(x.shape[1:], dtype=torch.float64)
    with torch.no_grad():
        for c, i, j in np.ndindex(*x.shape):
            moved = torch.zeros_like(x)
            moved[c, i, j] = step
            ahead, behind = net((x + moved)[None]), net((x - moved)[None])
            result[i, j] += float((ahead - behind)[0, unit[0], unit[1]].sum() / (2 * step)) ** 2
    return result.numpy()


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_a_map_is_that_of_central_differences(norm: Callable[[], nn.Module], tail: Tail) -> None:
    torch.manual_seed(0)
    net = Behind(norm(), tail).eval()
    for p in net.parameters():
        nn.init.normal_(p)
    measured = measure(
        net, (2, 9, 9), dtype="float64", verify=True, average={"inputs": 1}, statistic="rms", channels="sum",
        target={"layer": "output"},
    )  # fmt: skip
    assert measured.result.verify is not None
    assert measured.result.verify.relative_difference < 1e-12
    grid = net(torch.zeros(1, 2, 9, 9))
    truth = by_differences(net.double(), sample((2, 9, 9), 0), (grid.shape[1] // 2, grid.shape[2] // 2))
    ours = measured.map.astype(np.float64) ** 2
    np.testing.assert_allclose(ours / ours.sum(), truth / truth.sum(), atol=1e-6)
