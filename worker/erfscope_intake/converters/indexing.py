"""Gather, scatter and selection by indices."""

import torch
from torch import Tensor

from erfscope_intake.converters.table import Node, axis_of, converts, numbers, within_limit


def _wrapped(indices: Tensor, extent: int) -> Tensor:
    """Indices counted from the end made positive."""
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + extent, indices)


@converts("Gather")
def gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Slices of x along an axis, in the order and shape of the indices."""
    axis = axis_of(node.int("axis", 0), x.ndim)
    shape = [*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]]
    within_limit(shape, x.dtype)
    return x.index_select(axis, _wrapped(indices, x.shape[axis]).reshape(-1)).reshape(shape)


@converts("GatherElements")
def gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Single elements along an axis."""
    axis = axis_of(node.int("axis", 0), x.ndim)
    return x.gather(axis, _wrapped(indices, x.shape[axis]))


def _flat_positions(x: Tensor, indices: Tensor, first: int) -> Tensor:
    """Index tuples into the axes of x from `first` on, as positions in those axes laid end to end."""
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for place in range(indices.shape[-1]):
        extent = x.shape[first + place]
        flat = flat * extent + _wrapped(indices[..., place], extent)
    return flat


@converts("GatherND")
def gather_nd(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Slices of x at tuples of indices, after `batch_dims` shared axes."""
    shared, depth = node.int("batch_dims", 0), indices.shape[-1]
    flat = _flat_positions(x, indices, shared)
    rest = x.shape[shared + depth :]
    rows = x.reshape(*x.shape[:shared], -1, *rest)
    if not shared:
        return rows.index_select(0, flat.reshape(-1)).reshape(*flat.shape, *rest)
    rows = rows.flatten(0, shared - 1)
    picked = [
        row.index_select(0, where.reshape(-1)) for row, where in zip(rows, flat.flatten(0, shared - 1), strict=True)
    ]
    return torch.stack(picked).reshape(*flat.shape, *rest)


def _merge(old: Tensor, new: Tensor, reduction: str, at: Tensor, axis: int) -> Tensor:
    if reduction == "none":
        return old.scatter(axis, at, new)
    kinds = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    return old.scatter_reduce(axis, at, new, kinds[reduction])


@converts("Scatter", "ScatterElements")
def scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """x with single elements along an axis replaced, or reduced with what is there."""
    axis = axis_of(node.int("axis", 0), x.ndim)
    at = _wrapped(indices, x.shape[axis])
    return _merge(x, updates.to(x.dtype), node.text("reduction", "none"), at, axis)


@converts("ScatterND")
def scatter_nd(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """x with slices at tuples of indices replaced, or reduced with what is there."""
    depth = indices.shape[-1]
    flat = _flat_positions(x, indices, 0).reshape(-1)
    rows = x.reshape(-1, *x.shape[depth:]) if depth else x.unsqueeze(0)
    new = updates.to(x.dtype).reshape(-1, *x.shape[depth:])
    reduction = node.text("reduction", "none")
    if reduction == "none":
        return rows.index_copy(0, flat, new).reshape(x.shape)
    at = flat.reshape(-1, *(1,) * (rows.ndim - 1)).expand_as(new)
    return _merge(rows, new, reduction, at, 0).reshape(x.shape)


@converts("TensorScatter", reads=(2,))
def tensor_scatter(node: Node, past: Tensor, update: Tensor, starts: Tensor | None = None) -> Tensor:
    """A cache with a stretch along an axis overwritten, per sample."""
    axis = axis_of(node.int("axis", -2), past.ndim)
    steps, extent = update.shape[axis], past.shape[axis]
    begins = numbers(starts) or [0] * past.shape[0]
    samples = []
    for old, new, begin in zip(past, update, begins, strict=True):
        at = torch.arange(begin, begin + steps, device=past.device)
        at = at % extent if node.text("mode", "linear") == "circular" else at
        samples.append(old.index_copy(axis - 1, at, new))
    return torch.stack(samples)


@converts("OneHot", reads=(1,))
def one_hot(node: Node, indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    """A new axis that is `on` at the index and `off` elsewhere."""
    classes = numbers(depth)[0]
    axis = axis_of(node.int("axis", -1), indices.ndim + 1)
    within_limit([*indices.shape, classes], values.dtype)
    at = _wrapped(indices, classes).unsqueeze(axis)
    places = torch.arange(classes, device=indices.device).reshape(-1, *(1,) * (indices.ndim - axis))
    return torch.where(at == places, values[1], values[0])


@converts("NonZero", selects=True)
def non_zero(_node: Node, x: Tensor) -> Tensor:
    """Positions of what is not zero, one column each."""
    return torch.nonzero(x).T


@converts("Compress", reads=(1,))
def compress(node: Node, x: Tensor, condition: Tensor) -> Tensor:
    """Slices along an axis (or single elements) where the condition holds."""
    kept = torch.nonzero(condition.reshape(-1)).reshape(-1)
    if "axis" in node.attributes:
        return x.index_select(axis_of(node.int("axis", 0), x.ndim), kept)
    return x.reshape(-1).index_select(0, kept)


@converts("Unique", selects=True)
def unique(node: Node, x: Tensor) -> tuple[Tensor, ...]:
    """Distinct values (or slices) with first positions, inverse positions and counts."""
    flat = x.reshape(-1) if "axis" not in node.attributes else x
    axis = axis_of(node.int("axis", 0), flat.ndim)
    values, inverse, counts = torch.unique(flat, sorted=True, return_inverse=True, return_counts=True, dim=axis)
    inverse = inverse.reshape(-1)
    first = torch.full((counts.numel(),), inverse.numel(), dtype=torch.int64, device=x.device)
    first = first.scatter_reduce(0, inverse, torch.arange(inverse.numel(), device=x.device), "amin")
    if node.int("sorted", 1):
        return values, first, inverse, counts
    order = first.argsort()
    return values.index_select(axis, order), first[order], order.argsort()[inverse], counts[order]


@converts("Trilu", reads=(1,))
def trilu(node: Node, x: Tensor, k: Tensor | None = None) -> Tensor:
    """The upper or lower triangle of the last two axes."""
    diagonal = numbers(k)[0] if k is not None and k.numel() else 0
    rows = torch.arange(x.shape[-2], device=x.device)[:, None] + diagonal
    columns = torch.arange(x.shape[-1], device=x.device)
    kept = columns >= rows if node.int("upper", 1) else columns <= rows
    return torch.where(kept, x, torch.zeros((), dtype=x.dtype, device=x.device))
