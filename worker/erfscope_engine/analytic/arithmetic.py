"""Transfers of sums and of products with constants."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.analytic.products import TWO_SIGNALS
from erfscope_engine.analytic.transfer import Case, Transfer, linear, transfer
from erfscope_engine.tape import Entry, Ref

aten = torch.ops.aten
MEETING = "paths that meet again in a sum count as uncorrelated"


@transfer("add", "sub", "rsub")
def summed(case: Case) -> Transfer:
    """Variances add, whatever the sign; the two paths of a skip connection count as uncorrelated."""
    left, right, alpha = case.call.arg("self"), case.call.arg("other"), case.call.arg("alpha")
    if case.name == "rsub":
        left, right = right, left
        return linear(case, _sum(case.entry, left, right, 1, alpha**2), shifts=True)
    both = isinstance(left, Ref) and isinstance(right, Ref)
    return linear(case, _sum(case.entry, left, right, 1, alpha**2), shifts=not both, note=MEETING if both else "")


def _sum(entry: Entry, left: Any, right: Any, first: float, second: float) -> Entry:
    """first · left + second · right with constants put to 0, as an operator of the cone."""
    if isinstance(left, Ref) and isinstance(right, Ref):
        return replace(entry, op=aten.add.Tensor, args=(left, right), kwargs={"alpha": second})
    ref, factor, other = (left, first, right) if isinstance(left, Ref) else (right, second, left)
    return _times(entry, ref, factor, like=other)


def _times(entry: Entry, ref: Ref, factor: float, like: Any) -> Entry:
    """factor · ref, broadcast to the shape that the constant `like` would give it."""
    if isinstance(like, Tensor):
        return replace(
            entry, op=aten.mul.Tensor, args=(ref, torch.full_like(like, factor, dtype=_real(like))), kwargs={}
        )
    return replace(entry, op=aten.mul.Scalar, args=(ref, factor), kwargs={})


def _real(like: Tensor) -> torch.dtype:
    return like.dtype if like.is_floating_point() else torch.get_default_dtype()


@transfer("neg")
def negated(case: Case) -> Transfer:
    """A square has no sign."""
    (ref,) = case.entry.refs
    return linear(case, _times(case.entry, ref, 1.0, None), shifts=False)


@transfer("mul")
def multiplied(case: Case) -> Transfer:
    """Constants squared."""
    left, right = case.call.arg("self"), case.call.arg("other")
    if isinstance(left, Ref) and isinstance(right, Ref):
        case.refuse(TWO_SIGNALS)
    ref, factor = (left, right) if isinstance(left, Ref) else (right, left)
    op = aten.mul.Tensor if isinstance(factor, Tensor) else aten.mul.Scalar
    return linear(case, replace(case.entry, op=op, args=(ref, factor * factor), kwargs={}), shifts=False)


@transfer("div")
def divided(case: Case) -> Transfer:
    """By a constant, squared."""
    left, right = case.call.arg("self"), case.call.arg("other")
    if isinstance(right, Ref):
        case.refuse("it divides by a tensor that depends on the input")
    names = [a.name for a in case.entry.op._schema.arguments]
    if "rounding_mode" in names and case.call.arg("rounding_mode") is not None:
        case.refuse("a rounded quotient has no gradient")
    op = aten.div.Tensor if isinstance(right, Tensor) else aten.div.Scalar
    return linear(case, replace(case.entry, op=op, args=(left, right * right), kwargs={}), shifts=False)
