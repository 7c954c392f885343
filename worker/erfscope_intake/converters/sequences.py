"""Sequences of tensors, as older exports use them between a split and a concat."""

from collections.abc import Sequence

import torch
from torch import Tensor

from erfscope_intake.converters.table import Node, axis_of, converts, numbers


@converts("SequenceConstruct", since=11)
def sequence_construct(_node: Node, *parts: Tensor) -> list[Tensor]:
    """A sequence of the inputs."""
    return list(parts)


@converts("SplitToSequence", since=11, reads=(1,))
def split_to_sequence(node: Node, x: Tensor, sizes: Tensor | None = None) -> list[Tensor]:
    """Slices along an axis as a sequence, of extent 1 by default."""
    axis = axis_of(node.int("axis", 0), x.ndim)
    wanted = numbers(sizes) or [1]
    parts = list(torch.split(x, wanted[0] if sizes is None or sizes.ndim == 0 else wanted, axis))
    if sizes is None and not node.int("keepdims", 1):
        return [part.squeeze(axis) for part in parts]
    return parts


@converts("SequenceAt", since=11, reads=(1,))
def sequence_at(_node: Node, parts: Sequence[Tensor], position: Tensor) -> Tensor:
    """One tensor of a sequence."""
    return parts[numbers(position)[0]]


@converts("SequenceLength", since=11, shape_only=True)
def sequence_length(_node: Node, parts: Sequence[Tensor]) -> Tensor:
    """How many tensors a sequence holds."""
    return torch.tensor(len(parts), dtype=torch.int64)


@converts("ConcatFromSequence", since=11)
def concat_from_sequence(node: Node, parts: Sequence[Tensor]) -> Tensor:
    """The tensors of a sequence joined along an axis, or stacked along a new one."""
    join = torch.stack if node.int("new_axis", 0) else torch.cat
    return join(list(parts), node.int("axis", 0))
