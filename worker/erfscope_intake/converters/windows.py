"""Sliding windows: strides, dilations and the paddings of every ONNX convention, for 1 to 3 axes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import Node, within_limit

Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class Window:
    """A window over the spatial axes; `pads` are (begin, end) per axis, already resolved."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pairs

    @property
    def spans(self) -> list[int]:
        """Extent of the dilated window per axis."""
        return [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]

    @property
    def symmetric(self) -> bool:
        """Both ends are padded alike on every axis."""
        return all(begin == end for begin, end in self.pads)

    @property
    def begins(self) -> list[int]:
        """Padding before each axis."""
        return [begin for begin, _ in self.pads]


def window(node: Node, size: Sequence[int], kernel: Sequence[int]) -> Window:
    """The node's window over an input of spatial `size`."""
    rank = len(size)
    if not 1 <= rank <= 3:
        raise ProblemError(
            "unsupported-op",
            f"{node.operator} over {rank} spatial axes cannot be converted: one, two or three are possible.",
        )
    strides = _per_axis(node, "strides", rank)
    dilations = _per_axis(node, "dilations", rank)
    if len(kernel) != rank:
        raise ValueError(f"a kernel of {len(kernel)} axes does not fit an input of {rank} spatial axes")
    pads = _pads(node, size, kernel, strides, dilations)
    return Window(tuple(kernel), strides, dilations, pads)


def _per_axis(node: Node, name: str, rank: int) -> tuple[int, ...]:
    values = node.ints(name, (1,) * rank) or [1] * rank
    if len(values) != rank:
        raise ValueError(f"{name} has {len(values)} values for {rank} spatial axes")
    return tuple(values)


def _pads(
    node: Node, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Pairs:
    rank, mode = len(size), node.text("auto_pad", "NOTSET")
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        return [
            split_padding(max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0), mode)
            for n, k, s, d in zip(size, kernel, strides, dilations, strict=True)
        ]
    pads = node.ints("pads", (0,) * 2 * rank) or [0] * 2 * rank
    if len(pads) != 2 * rank:
        raise ValueError(f"pads has {len(pads)} values for {rank} spatial axes")
    return list(zip(pads[:rank], pads[rank:], strict=True))


def split_padding(total: int, mode: str) -> tuple[int, int]:
    """A total padding as (begin, end): the odd one goes to the end for SAME_UPPER, else to the beginning."""
    small = total // 2
    return (small, total - small) if mode == "SAME_UPPER" else (total - small, small)


def pad(x: Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """x with its last axes padded (or cropped, where negative) by a constant."""
    if not any(begin or end for begin, end in pads):
        return x
    padded = [n + begin + end for n, (begin, end) in zip(x.shape[-len(pads) :], pads, strict=True)]
    within_limit([*x.shape[: -len(pads)], *padded], x.dtype)
    return F.pad(x, [amount for pair in reversed(pads) for amount in pair], value=value)
