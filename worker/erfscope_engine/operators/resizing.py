"""Interpolation: each output reads the samples around its place."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from erfscope_engine.execution.box import lengths
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.geometry.frame import Frame, Look, Window
from erfscope_engine.geometry.spans import Span
from erfscope_engine.moments.rule import Case, moved
from erfscope_engine.moments.separable import averaging, one_of, placed
from erfscope_engine.operators.site import Out, Site, out
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.operators.windows import spatial

aten = torch.ops.aten
HALF = Fraction(1, 2)
NEAREST = [f"upsample_nearest{k}d" for k in (1, 2, 3)] + [f"_upsample_nearest_exact{k}d" for k in (1, 2, 3)]
SMOOTH = ["upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d"]


@operator(*NEAREST, *SMOOTH)
def resize(site: Site) -> Out:
    """Each output reads the samples around its place: one, two or four per axis."""
    (ref,) = site.refs
    rank = int(site.name[-2])
    windows = []
    for k, (n, m) in enumerate(zip(site.shape(ref)[-rank:], site.out_shape()[-rank:], strict=True)):
        scale = _scale(site, k, rank, n, m)
        windows.append(_resized(site, scale, _factor(site, k, rank), n, m) if scale else None)
    axes, seats, links = spatial(site, ref, windows)
    return out(Frame(tuple(axes), seats), (ref, links))


def _scale(site: Site, k: int, rank: int, n: int, m: int) -> Fraction:
    """Input samples per output sample along one axis."""
    if site.option("align_corners", False):
        return Fraction(n - 1, m - 1) if m > 1 else Fraction(0)
    factor = _factor(site, k, rank)
    return 1 / Fraction(factor).limit_denominator(10**6) if factor else Fraction(n, m)


def _factor(site: Site, k: int, rank: int) -> float | None:
    """The factor that was given along one axis."""
    names = ["scales"] if rank == 1 else ["scales_d", "scales_h", "scales_w"][-rank:]
    factors = site.option("scale_factors")
    found: float | None = factors[k] if factors else site.option(names[k])
    return found


def _resized(site: Site, scale: Fraction, factor: float | None, n: int, m: int) -> Window:
    align = bool(site.option("align_corners", False))
    if "nearest" in site.name:
        shift = HALF if "exact" in site.name else Fraction(0)
        middle = (scale - 1) / 2
        return Window(scale, middle, _nearest(scale, shift, _places(site.name, factor, n, m)))
    taps = 2 if "cubic" in site.name else 1
    return Window(
        scale, Fraction(0) if align else (scale - 1) / 2, _around(scale, taps, Fraction(0) if align else HALF)
    )


def _places(name: str, factor: float | None, n: int, m: int) -> list[int]:
    """Which sample torch takes for each output: it multiplies in float32, and 11 · 24 / 22 may come out below 12."""
    one = aten._upsample_nearest_exact1d if "exact" in name else aten.upsample_nearest1d
    with torch.no_grad():
        taken = one(torch.arange(n, dtype=torch.float32)[None, None], [m], factor)
    return [int(place) for place in taken.flatten()]


def _nearest(scale: Fraction, shift: Fraction, places: Sequence[int]) -> Look:
    def place(o: int) -> int:
        return places[o] if 0 <= o < len(places) else floor((o + shift) * scale)

    return lambda span: Span(place(span.lo), place(span.hi - 1) + 1, span.why)


def _around(scale: Fraction, taps: int, shift: Fraction) -> Look:
    """The hull over the first and last two outputs: one on a sample reads it alone, its neighbour may reach farther."""

    def reads(o: int) -> tuple[int, int]:
        at = (o + shift) * scale - shift
        low = floor(at)
        return (low, low + 1) if at.denominator == 1 else (low - taps + 1, low + taps + 1)

    def look(span: Span) -> Span:
        ends = {span.lo, min(span.lo + 1, span.hi - 1), max(span.hi - 2, span.lo), span.hi - 1}
        read = [reads(o) for o in ends]
        return Span(min(lo for lo, _ in read), max(hi for _, hi in read), span.why)

    return look


@operator("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")
def smoothed_resize(site: Site) -> Out:
    """A filter as wide as the samples that one output stands for (antialiased; corners align in its scale alone)."""
    (ref,) = site.refs
    windows = []
    for k, (n, m) in enumerate(zip(site.shape(ref)[-2:], site.out_shape()[-2:], strict=True)):
        scale = _scale(site, k, 2, n, m)
        reach = (2 if "cubic" in site.name else 1) * max(scale, Fraction(1))
        windows.append(Window(scale, (scale - 1) / 2, _within(scale, reach)))
    axes, seats, links = spatial(site, ref, windows)
    return out(Frame(tuple(axes), seats), (ref, links))


def _within(scale: Fraction, reach: Fraction) -> Look:
    """The samples nearer than `reach` to an output's place: a filter is 0 at its ends."""

    def look(span: Span) -> Span:
        first, last = (span.lo + HALF) * scale - HALF, (span.hi - HALF) * scale - HALF
        return Span(floor(first - reach) + 1, ceil(last + reach), span.why)

    return look


@stepped("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d",
         "upsample_trilinear3d")  # fmt: skip
def upsample(part: Part) -> Step | None:
    """By whole factors, without aligned corners: the part is upsampled and the box cut out of it."""
    (ref,) = part.site.refs
    shape, read, rank = part.shape(ref), part.read(ref), len(part.out_shape) - 2
    factors = [m // n for n, m in zip(shape[2:], part.out_shape[2:], strict=True)]
    if read is None or not _plain(part, shape, factors):
        return None
    starts = [lo - f * first for (lo, _), (first, _), f in zip(part.box[2:], read[2:], factors, strict=True)]
    linear, spans = "nearest" not in part.name, lengths(part.box)[2:]
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank] if linear else "nearest"

    def grown(x: Tensor) -> Tensor:
        size = [n * f for n, f in zip(x.shape[2:], factors, strict=True)]
        whole = F.interpolate(x, size=size, mode=mode, align_corners=False if linear else None)
        for axis, (start, span) in enumerate(zip(starts, spans, strict=True)):
            whole = whole.narrow(axis + 2, start, span)
        return whole

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        with torch.enable_grad():
            leaf = inputs[0].detach().requires_grad_()
            result = grown(leaf)
        return [result.detach()], (result, leaf)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        (g,) = torch.autograd.grad(kept[0], kept[1], grads[0], retain_graph=True)
        return [g]

    return Step(((ref.index, read),), part.writes, forward, backward, any_format=True, keeps="nothing")


def _plain(part: Part, shape: tuple[int, ...], factors: list[int]) -> bool:
    """Whether sizes are whole multiples, and the scales that were told agree with them."""
    names = [a.name for a in part.call.op._schema.arguments if a.name.startswith("scales")]
    exact = all(n * f == m for n, f, m in zip(shape[2:], factors, part.out_shape[2:], strict=True))
    agree = all(scale is None or scale == f for scale, f in zip(map(part.arg, names), factors, strict=False))
    return exact and agree and not ("nearest" not in part.name and part.arg("align_corners"))


@varied("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d")
def interpolation_variance(case: Case) -> Step:
    """Interpolation weights squared; neighbours that share a source count as uncorrelated."""
    call, rank = case.call, len(case.part.out_shape) - 2
    out = case.part.out_shape[-rank:]
    names = [a.name for a in case.call.op._schema.arguments if a.name.startswith("scales")]
    given = [call.arg(name) for name in names]

    def alone(rows: Tensor, k: int) -> Tensor:
        scales = [given[i] if i == k else None for i in range(rank)] if len(given) == rank else []
        x = placed(rows, k, rank)
        answer: Tensor = case.call.op(x, one_of(out[k], k, rank, 1), call.arg("align_corners"), *scales)
        return answer.flatten(1)

    return averaging(case, alone, rank)


varied(*NEAREST)(moved)
