"""Operators that are written down as other operators: torch cannot take them apart; their geometry is that of these.

One record each: the operator's name, and a function of its arguments that computes the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor


def _rot90(x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Quarter turns, as flips and a transpose."""
    first, second = dims
    match k % 4:
        case 1:
            return x.flip(second).transpose(first, second)
        case 2:
            return x.flip(first, second)
        case 3:
            return x.flip(first).transpose(first, second)
    return x.clone()


def _trilinear(
    one: Tensor,
    two: Tensor,
    three: Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Tensor:
    """The sum of products of three tensors that torch.nn.Bilinear is."""
    for dims, k in ((expand1, 0), (expand2, 1), (expand3, 2)):
        for dim in sorted(dims):
            one, two, three = [t.unsqueeze(dim) if n == k else t for n, t in enumerate((one, two, three))]
    return (one * two * three).sum(list(sumdim))


REWRITTEN: dict[str, Callable[..., Any]] = {"rot90": _rot90, "_trilinear": _trilinear}
