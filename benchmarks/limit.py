"""The physical limit of a sample: its arithmetic, by kind, over the peaks that this machine reaches for that kind."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.ways import clocked

DENSE, PRODUCT = "dense 3×3", "product"
DEPTHWISE = {7: "depthwise 7×7", 5: "depthwise 5×5", 3: "depthwise 3×3"}
CHANNELS, EXTENT, TRIES = 256, 56, 8


class Arithmetic(TorchDispatchMode):
    """Counts floating-point operations of convolutions and products, forward and backward, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.by_kind: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.by_kind[kind_of(func._overloadpacket, args)] += formula(*args, **(kwargs or {}), out_val=out)
        return out


def kind_of(packet: Any, args: Any) -> str:
    """Which peak bounds a call: that of products for 1×1 convolutions, by kernel for depthwise ones."""
    aten = torch.ops.aten
    if packet not in (aten.convolution, aten._convolution, aten.convolution_backward):
        return PRODUCT
    backward = packet is aten.convolution_backward
    weight, groups = args[2 if backward else 1], args[9 if backward else 8]
    kernel = max(weight.shape[2:])
    if groups > 1 and weight.shape[1] == 1:
        return next((kind for size, kind in DEPTHWISE.items() if kernel >= size), DEPTHWISE[3])
    return PRODUCT if kernel == 1 else DENSE


def arithmetic_of(run: Callable[[], object]) -> Counter[str]:
    """Floating-point operations of one run, by kind."""
    with Arithmetic() as counted:
        run()
    return counted.by_kind


def peaks(device: str) -> dict[str, float]:
    """Operations per second by kind, the best of several forward runs (float32, channels last)."""
    batch = 4 if device == "cpu" else 64
    found = {kind: _convolution(kernel, CHANNELS, batch, device) for kernel, kind in DEPTHWISE.items()}
    return {DENSE: _convolution(3, 1, batch, device), PRODUCT: _product(batch, device), **found}


def _convolution(kernel: int, groups: int, batch: int, device: str) -> float:
    conv = nn.Conv2d(CHANNELS, CHANNELS, kernel, padding=kernel // 2, groups=groups, device=device)
    conv = conv.to(memory_format=torch.channels_last).requires_grad_(False)
    x = torch.randn(batch, CHANNELS, EXTENT, EXTENT, device=device).to(memory_format=torch.channels_last)
    return _best(lambda: conv(x), device)


def _product(batch: int, device: str) -> float:
    rows: Tensor = torch.randn(batch * EXTENT**2, CHANNELS, device=device)
    wide = torch.randn(CHANNELS, 4 * CHANNELS, device=device)
    return _best(lambda: rows @ wide, device)


def _best(run: Callable[[], object], device: str) -> float:
    return arithmetic_of(run).total() / min(clocked(run, device) for _ in range(TRIES))


def limit(arithmetic: Counter[str], reached: dict[str, float]) -> float:
    """Seconds that the arithmetic takes at its peaks."""
    return sum(count / reached[kind] for kind, count in arithmetic.items())
