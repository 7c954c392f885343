"""Operands side by side on an axis of their own: stack, and a tensor that was taken apart and put together again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.geometry.digits import Digit, Run, size
from erfscope_engine.geometry.frame import Frame, Link
from erfscope_engine.geometry.spans import Span, split
from erfscope_engine.moments.rule import joined as joined_variance
from erfscope_engine.operators.joins import broadcast
from erfscope_engine.operators.rows import is_between, rows_of
from erfscope_engine.operators.site import Out, Site, out
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.recording.tape import Ref


@operator("stack", moves=True)
def stack(site: Site) -> Out:
    """Operands side by side on an axis of their own; rows that were taken apart find their axis again."""
    shape, parts = site.out_shape(), site.arg("tensors")
    dim = site.arg("dim") % len(shape)
    live = [(k, part) for k, part in enumerate(parts) if isinstance(part, Ref)]
    axes, seats, links = broadcast(site, [part for _, part in live], (*shape[:dim], *shape[dim + 1 :]))
    run: Run = (Digit(shape[dim]),)
    others = [digit for run in axes for digit in run]
    whole = _taken_apart(site, parts)
    if whole is not None and _is_again(whole, others):
        return _as_before(whole, parts, axes, dim)
    if len(live) == len(parts):
        for row, moved in rows_of([site.frame(part).seats for _, part in live]):
            if all(is_between(digit, others) for digit in row):
                run, seats = row, seats | moved
                break
    for (k, _), each in zip(live, links, strict=True):
        each += [
            Link((), (), only=(digit, span.lo)) for digit, span in zip(run, split(run, Span(k, k + 1)), strict=True)
        ]
    frame = Frame((*axes[:dim], run, *axes[dim:]), seats)
    return out(frame, *((part, each) for (_, part), each in zip(live, links, strict=True)))


@dataclass(frozen=True)
class _Whole:
    """A tensor of which `run`, a whole axis, was taken apart index by index."""

    ref: Ref
    frame: Frame
    run: Run


def _taken_apart(site: Site, parts: Sequence[Any]) -> _Whole | None:
    """The tensor of which `parts` are all indices of one axis, in order; None where they are not."""
    sources = set[tuple[Ref, int]]()
    for k, part in enumerate(parts):
        call = site.made(part) if isinstance(part, Ref) else None
        if call is None or call.name not in ("select", "unbind"):
            return None
        (ref,) = call.refs
        dim = call.arg("dim") % len(site.shape(ref))
        n = site.shape(ref)[dim]
        index = call.outputs.index(part.index) if call.name == "unbind" else call.arg("index") % n
        if index != k or n != len(parts):
            return None
        sources.add((ref, dim))
    if len(sources) != 1:
        return None
    ((ref, dim),) = sources
    return _Whole(ref, site.frame(ref), site.frame(ref).axes[dim])


def _is_again(whole: _Whole, others: Sequence[Digit]) -> bool:
    """Whether its digits are those of the stacked tensor again: the other axes are what they were."""
    return set(whole.frame.digits) == {*others, *whole.run} and not set(whole.run) & set(others)


def _as_before(whole: _Whole, parts: Sequence[Ref], axes: Sequence[Run], dim: int) -> Out:
    """The tensor that was taken apart, with its axes in another order.

    What a larger image would have beyond both ends is read of the tensor itself: no part has it.
    """
    run, extent = whole.run, size(whole.run)
    beyond = Link((), (run,), lambda span: span if span.lo < 0 or span.hi > extent else None)
    reads = [
        (part, [Link((), (), only=(d, s.lo)) for d, s in zip(run, split(run, Span(k, k + 1)), strict=True)])
        for k, part in enumerate(parts)
    ]
    return out(Frame((*axes[:dim], run, *axes[dim:]), whole.frame.seats), *reads, (whole.ref, [beyond]))


@stepped("stack")
def stack_step(part: Part) -> Step | None:
    """The operands that lie in the box."""
    dim = part.arg("dim") % len(part.out_shape)
    lo, hi = part.box[dim]
    items = part.arg("tensors")[lo:hi]
    if not all(isinstance(item, Ref) for item in items):
        return None
    inner = (*part.box[:dim], *part.box[dim + 1 :])
    return Step(
        tuple((item.index, inner) for item in items),
        part.writes,
        lambda inputs: ([torch.stack(list(inputs), dim)], True),
        lambda kept, grads: [] if grads[0] is None else list(grads[0].unbind(dim)),
        any_format=True,
    )


varied("stack")(joined_variance)
