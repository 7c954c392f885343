"""Reductions, arg-extrema, running sums and the like along axes, of every version."""

from collections.abc import Callable

import torch
from torch import Tensor

from erfscope_intake.converters.table import Node, axis_of, converts, numbers

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis_of(a, x.ndim) for a in axes), reverse=True):
        x = torch.prod(x, axis, keepdim=keep)
    return x


def _l1(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.abs().sum(axes, keepdim=keep)


def _l2(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.sqrt(x.square().sum(axes, keepdim=keep).to(_floating(x))).to(x.dtype)


def _floating(x: Tensor) -> torch.dtype:
    return x.dtype if x.is_floating_point() else torch.float64


def _boolean(function: Reduction) -> Reduction:
    """Extrema of booleans: any and all, through uint8."""
    return lambda x, axes, keep: (
        function(x.to(torch.uint8), axes, keep).bool() if x.dtype is torch.bool else function(x, axes, keep)
    )


REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": lambda x, axes, keep: torch.sum(x, axes, keepdim=keep, dtype=x.dtype),
    "ReduceMean": lambda x, axes, keep: x.to(_floating(x)).mean(axes, keepdim=keep).to(x.dtype),
    "ReduceMax": _boolean(lambda x, axes, keep: torch.amax(x, axes, keepdim=keep)),
    "ReduceMin": _boolean(lambda x, axes, keep: torch.amin(x, axes, keepdim=keep)),
    "ReduceProd": _product,
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceLogSum": lambda x, axes, keep: torch.log(x.sum(axes, keepdim=keep)),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x.to(_floating(x)), axes, keepdim=keep).to(x.dtype),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keepdim=keep, dtype=x.dtype),
}
EMPTY = {"ReduceMax": float("-inf"), "ReduceMin": float("inf")}


def _enter(operator: str, reduction: Reduction) -> None:
    @converts(operator, reads=(1,))
    def reduced(node: Node, x: Tensor, axes_input: Tensor | None = None) -> Tensor:
        axes = node.ints("axes", ()) if axes_input is None else numbers(axes_input)
        if not axes and node.int("noop_with_empty_axes", 0):
            return _untouched(node.operator, x)
        axes = [axis_of(axis, x.ndim) for axis in axes] if axes else list(range(x.ndim))
        keep = bool(node.int("keepdims", 1))
        if x.ndim == 0:
            return _untouched(node.operator, x)
        if x.numel() == 0 and operator in EMPTY:
            return _empty(x, axes, keep, EMPTY[operator])
        return reduction(x, axes, keep)


def _untouched(operator: str, x: Tensor) -> Tensor:
    """What a reduction over no axis leaves: the element-wise part of the operator."""
    pointwise: dict[str, Callable[[Tensor], Tensor]] = {
        "ReduceL1": torch.abs, "ReduceL2": torch.abs, "ReduceLogSum": torch.log, "ReduceSumSquare": torch.square,
    }  # fmt: skip
    return pointwise[operator](x) if operator in pointwise else x


def _empty(x: Tensor, axes: list[int], keep: bool, value: float) -> Tensor:
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape) if keep or axis not in axes]
    if x.dtype is torch.bool:
        return torch.full(shape, value > 0, dtype=torch.bool, device=x.device)
    if not x.is_floating_point():
        info = torch.iinfo(x.dtype)
        return torch.full(shape, info.max if value > 0 else info.min, dtype=x.dtype, device=x.device)
    return torch.full(shape, value, dtype=x.dtype, device=x.device)


for _name, _reduction in REDUCTIONS.items():
    _enter(_name, _reduction)


@converts("ArgMax", "ArgMin")
def arg_extremum(node: Node, x: Tensor) -> Tensor:
    """Index of the largest or smallest value, the first or last of equals."""
    axis, keep = axis_of(node.int("axis", 0), x.ndim), bool(node.int("keepdims", 1))
    find = torch.argmax if node.operator == "ArgMax" else torch.argmin
    if not node.int("select_last_index", 0):
        return find(x, axis, keepdim=keep)
    return x.shape[axis] - 1 - find(x.flip(axis), axis, keepdim=keep)


@converts("CumSum", "CumProd", reads=(1,))
def cumulative(node: Node, x: Tensor, axis_input: Tensor) -> Tensor:
    """Running sum or product along an axis, perhaps from the end, perhaps without the element itself."""
    axis = axis_of(numbers(axis_input)[0], x.ndim)
    is_sum = node.operator == "CumSum"
    run = torch.cumsum if is_sum else torch.cumprod
    y = x.flip(axis) if node.int("reverse", 0) else x
    if node.int("exclusive", 0):
        edge = [1 if k == axis else n for k, n in enumerate(y.shape)]
        start = torch.full(edge, 0 if is_sum else 1, dtype=y.dtype, device=y.device)
        y = torch.cat([start, y.narrow(axis, 0, y.shape[axis] - 1)], axis)
    y = run(y, axis, dtype=x.dtype)
    return y.flip(axis) if node.int("reverse", 0) else y


@converts("TopK", reads=(1,))
def top_k(node: Node, x: Tensor, k_input: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k largest (or smallest) values along an axis, and where they are."""
    k = node.int("k", 1) if k_input is None else numbers(k_input)[0]
    axis = axis_of(node.int("axis", -1), x.ndim)
    order = torch.sort(x, dim=axis, descending=bool(node.int("largest", 1)), stable=True)
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"the {k} largest of {x.shape[axis]} values are wanted")
    return order.values.narrow(axis, 0, k), order.indices.narrow(axis, 0, k)
