"""Numbers per spatial axis, as torch reads them: one for all axes, or a list of the right length."""

from collections.abc import Sequence
from typing import Any


class MisfitError(ValueError):
    """A layer cannot take these shapes; the caller adds which layer."""


def per_axis(value: Any, rank: int, field: str) -> tuple[Any, ...]:
    """One value per spatial axis, from one number or a list of the right length."""
    if not isinstance(value, list | tuple):
        return (value,) * rank
    if len(value) != rank:
        raise MisfitError(f"{field} has {len(value)} entries, but the input has {count_axes(rank)}")
    return tuple(value)


def sides(value: int | list[int], rank: int, field: str) -> tuple[tuple[int, int], ...]:
    """(before, after) per spatial axis, first axis first, from torch's order (last axis first)."""
    if isinstance(value, int):
        return ((value, value),) * rank
    if len(value) != 2 * rank:
        raise MisfitError(
            f"{field} has {len(value)} entries, but the input has {count_axes(rank)}, which needs {2 * rank}"
        )
    return tuple((value[2 * i], value[2 * i + 1]) for i in reversed(range(rank)))


def same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """(before, after) of padding `same`: an odd total puts the extra position behind, as torch does."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def groups_of(groups: int | str, channels: int) -> int:
    """The number of groups; depthwise is one per input channel."""
    return channels if isinstance(groups, str) else groups


def count_axes(rank: int) -> str:
    """`2 spatial axes`, for messages."""
    return "no spatial axes" if rank == 0 else f"{rank} spatial {'axis' if rank == 1 else 'axes'}"
