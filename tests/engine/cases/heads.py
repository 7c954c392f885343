"""What `auto` takes: value heads, dead heads, outputs in dictionaries, two inputs; modules with caches and hooks."""

from typing import Any

import torch
from tests.engine.cases.case import Case, Net, around, conv
from tests.engine.steps.writes import Cached, Watched
from torch import Tensor, nn


class ValueHead(nn.Module):
    """Only a number comes out: a 1×1 convolution, flattened, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.value = nn.Sequential(conv(3, 4), nn.ReLU(), conv(4, 4)), conv(4, 1, 1)
        self.dense = nn.Linear(81, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.dense(torch.relu(self.value(self.body(x))).flatten(1)))


class PolicyAndValue(nn.Module):
    """A board of moves, and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.policy, self.value = conv(3, 4), conv(4, 2), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = torch.relu(self.body(x))
        return {"policy": self.policy(y), "value": self.value(y.mean((2, 3)))}


class DeadHead(nn.Module):
    """The output is the number of the largest class, which has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Sequential(conv(3, 4), nn.ReLU(), conv(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x).argmax(1, keepdim=True).to(x.dtype)


class Thresholded(nn.Module):
    """A mask from a comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.features = conv(3, 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        return (self.features(x) > 0).to(x.dtype)


class Scripted(nn.Module):
    """A block that TorchScript runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(3, 4), conv(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x))
        return self.last(y[:, :, 1:] - y[:, :, :-1])


class Lazy(nn.Module):
    """Makes its table of places on the first call, and keeps its features."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(3, 4), conv(4, 2)
        self.table: Tensor | None = None
        self.features = dict[str, Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        if self.table is None or self.table.dtype != x.dtype:
            self.table = torch.linspace(0, 1, y.shape[3], dtype=x.dtype)
        self.features["first"] = y
        return self.last(y * (1 + self.table))


CASES = {
    "value head": Case(ValueHead, (4, 4), (3, 9, 9), taken="value", tensor=lambda net, x: net.value(net.body(x)),
        box=around((4, 4), 2), exact=True),
    "policy beside a value": Case(PolicyAndValue, (4, 5), (3, 9, 9), taken="policy",
        tensor=lambda net, x: net(x)["policy"], box=around((4, 5), 2), exact=False),
    "largest class": Case(DeadHead, (9, 4), taken="logits", tensor=lambda net, x: net.logits(x),
        box=around((9, 4), 2)),
    "thresholded": Case(Thresholded, (9, 4), taken="features", tensor=lambda net, x: net.features(x),
        box=around((9, 4), 2), exact=True),
    "module with a cache": Case(lambda: nn.Sequential(conv(3, 4), Cached(), conv(4, 2)), (9, 4), exact=True,
        box=around((9, 4), 2)),
    "module with a lazy table": Case(Lazy, (9, 4), exact=True, box=around((9, 4), 2)),
    "module that watches itself": Case(lambda: nn.Sequential(Watched(conv(3, 4)), nn.Tanh(), conv(4, 2)), (9, 4),
        exact=True, box=around((9, 4), 2)),
    "TorchScript, whole": Case(lambda: scripted(Scripted()), (9, 4), box=[(7, 13), (2, 7)]),
    "TorchScript, a block": Case(lambda: nn.Sequential(conv(3, 3), scripted(Scripted()), nn.Tanh()), (9, 4),
        box=[(6, 14), (1, 8)]),
    "traced by TorchScript": Case(lambda: nn.Sequential(conv(3, 3), traced(Scripted())), (9, 4),
        box=[(6, 14), (1, 8)]),
    "two outputs of one tensor": Case(lambda: Net(lambda a, x: tuple(a(x).chunk(2, 1)), conv(3, 4)), (9, 4),
        layer="output.1", tensor=lambda net, x: net(x)[1], exact=True),
}  # fmt: skip


def scripted(module: nn.Module) -> Any:
    """A module as TorchScript."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still what many people have
        return torch.jit.script(module)


def traced(module: nn.Module) -> Any:
    """A module as a trace."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(module.double(), torch.zeros(1, 3, 24, 20, dtype=torch.float64))
