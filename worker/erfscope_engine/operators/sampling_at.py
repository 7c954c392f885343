"""Samples at places that a tensor tells: anywhere, so all of space, labelled; samples of a batch stay apart."""

from collections.abc import Sequence
from typing import Any

from erfscope_engine.geometry.digits import Digit
from erfscope_engine.geometry.frame import Frame, Link, everything, mixed
from erfscope_engine.geometry.seats import Seats, meet
from erfscope_engine.operators.joins import going_along
from erfscope_engine.operators.site import Out, Site, out, unknown
from erfscope_engine.operators.table import operator
from erfscope_engine.recording.tape import Ref


@operator("grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler", "deform_conv2d", "roi_align", "roi_pool",
          "ps_roi_align", "ps_roi_pool")  # fmt: skip
def sampled(site: Site) -> Out:
    """Samples at places that a tensor says: anywhere, so the whole of space, labelled; samples stay apart."""
    (ref, *others) = [r for r in site.refs if len(site.shape(r)) > 2] or site.refs
    shape = site.out_shape()
    frame = site.frame(ref)
    if not frame.axes or site.shape(ref)[0] != shape[0]:
        return unknown(site)[0]  # type: ignore[return-value]
    others = [r for r in site.refs if r is not ref]
    rank = len(shape) - 2
    axes = [frame.axes[0], (Digit(shape[1]),)]
    seats = mixed(frame, tuple(d for run in frame.axes[1:] for d in run), site.name)
    operands: list[tuple[Seats, frozenset[int]]] = [(seats, frozenset())]
    like = next(
        (r for r in others if _same_space(site, r, shape, rank)), ref if site.shape(ref)[2:] == shape[2:] else None
    )
    axes += site.frame(like).axes[-rank:] if like and not site.name.startswith("grid") else _free(site, ref, shape)
    reads: list[tuple[Ref, Sequence[Link]]] = [(ref, everything(_behind_batch(frame), site.name))]
    for other in others:
        own = site.frame(other)
        reads.append((other, _along_batch(own, frame, axes, site.name)))
        operands.append(going_along(own, reads[-1][1], axes))
    return out(Frame(tuple(axes), meet(operands)), *reads)


def _behind_batch(frame: Frame) -> list[Digit]:
    return [digit for run in frame.axes[1:] for digit in run]


def _same_space(site: Site, ref: Ref, shape: tuple[int, ...], rank: int) -> bool:
    return site.shape(ref)[-rank:] == shape[-rank:] and len(site.shape(ref)) == len(shape)


def _free(site: Site, ref: Ref, shape: tuple[int, ...]) -> list[Any]:
    """Places of a result: those of an operand of the same extents, else plain."""
    if site.shape(ref)[2:] == shape[2:]:
        return list(site.frame(ref).axes[2:])
    return [(Digit(n),) if n > 1 else () for n in shape[2:]]


def _along_batch(own: Frame, frame: Frame, axes: Sequence[Any], name: str) -> list[Link]:
    """An operand beside: position by position where it has the result's digits, else whole; samples stay apart."""
    shared = {digit for run in axes for digit in run} | set(frame.axes[0])
    return everything([digit for digit in own.digits if digit not in shared], name)
