"""Windows taken out as columns, put back, or stepped through by strides."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from erfscope_engine.geometry.digits import Digit, Run
from erfscope_engine.geometry.frame import Frame, Link, Window, everything, fixed, flat, starting, windowed
from erfscope_engine.geometry.seats import Seats
from erfscope_engine.geometry.spans import UNLABELLED, Span, fuse
from erfscope_engine.moments.rule import moved
from erfscope_engine.operators.site import Out, Site, out, unknown
from erfscope_engine.operators.table import operator, varied
from erfscope_engine.operators.views import dealt
from erfscope_engine.operators.windows import per_axis, scattering, spatial
from erfscope_engine.recording.tape import Ref


@operator("unfold", "unfold_copy")
def unfold(site: Site) -> Out:
    """Overlapping windows of one axis, with an axis of their own."""
    (ref,) = site.refs
    size, step, axes = site.arg("size"), site.arg("step"), list(site.frame(ref).axes)
    dim = site.arg("dimension") % len(axes)
    digit, seats = flat(axes[dim], site.frame(ref).seats)
    places, taps = Digit(site.out_shape()[dim], digit.axis, digit.stride * step), Digit(size, digit.axis, digit.stride)
    link = Link(axes[dim], ((places,), (taps,)), _combined((places, taps), (step, 1)))
    axes[dim] = (places,)
    return out(Frame((*axes, (taps,)), seats), (ref, [link]))


def _combined(digits: Run, steps: Sequence[int], start: int = 0) -> Any:
    """Index start + Σ step · digit over several digits of the output, the outermost first.

    Labels are those of the outermost one that counts: the taps of a window are not the whole axis.
    """
    outermost = next((n for n, digit in enumerate(digits) if digit.extent > 1), 0)

    def look(*spans: Span) -> Span:
        lo = start + sum(s * span.lo for s, span in zip(steps, spans, strict=True))
        hi = start + sum(s * (span.hi - 1) for s, span in zip(steps, spans, strict=True)) + 1
        return Span(lo, hi, spans[outermost].why if spans else UNLABELLED)

    return look


def taken_by_strides(site: Site, ref: Ref, places: Sequence[Sequence[tuple[int, int]]]) -> Out:
    """Output axes that step through axes of the operand: by axis of the operand, (output axis, step)."""
    axes: list[Run] = [()] * len(site.out_shape())
    seats, links = site.frame(ref).seats, list[Link]()
    for run, taken in zip(site.frame(ref).axes, places, strict=True):
        digit, seats = flat(run, seats)
        for k, step in taken:
            axes[k] = (Digit(site.out_shape()[k], digit.axis, digit.stride * step),)
        if run:
            outer = sorted(taken, key=lambda each: -each[1])
            looked = _combined(tuple(axes[k][0] for k, _ in outer), [step for _, step in outer])
            links.append(Link(run, tuple(axes[k] for k, _ in outer), looked))
    return out(Frame(tuple(axes), seats), (ref, links))


def _unfolding(site: Site) -> list[list[int]]:
    return [per_axis(site.arg(name), 2) for name in ("kernel_size", "dilation", "padding", "stride")]


@operator("im2col")
def im2col(site: Site) -> Out:
    """Windows as columns: (N, C, H, W) → (N, C·taps, places)."""
    (ref,) = site.refs
    axes, seats = site.frame(ref).axes, site.frame(ref).seats
    links, taps, places = list[Link](), list[Digit](), list[Digit]()
    for run, n, kernel, dilation, padding, stride in zip(
        axes[-2:], site.shape(ref)[-2:], *_unfolding(site), strict=True
    ):
        digit, seats = flat(run, seats)
        count = (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        place = Digit(count, digit.axis, digit.stride * stride)
        tap = Digit(kernel, digit.axis, digit.stride * dilation)
        if digit.axis is not None:
            seats = starting(seats, digit, -padding)
        links.append(Link(run, ((place,), (tap,)), _combined((place, tap), (stride, dilation), -padding)))
        taps.append(tap)
        places.append(place)
    return out(Frame((*axes[:-3], (*axes[-3], *taps), tuple(places)), seats), (ref, links))


@operator("col2im")
def col2im(site: Site) -> Out:
    """Columns summed back into an image: a transposed window over places, each tap its own column."""
    (ref,) = site.refs
    size = site.arg("output_size")
    kernel, dilation, padding, stride = _unfolding(site)
    options = zip(size, kernel, dilation, padding, stride, strict=True)
    counts = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in options]
    frame = site.frame(ref)
    (channels, *taps), tap_cuts = dealt(frame.axes[-2], (site.out_shape()[-3], *kernel))
    places, place_cuts = dealt(frame.axes[-1], counts)
    if place_cuts:
        return unknown(site)[0]  # type: ignore[return-value]
    every = tuple(digit for tap in taps for digit in tap)
    seats: Seats = fixed(frame.seats, every, [Span(0, digit.extent) for digit in every])
    links = [_all_taps(digit) for digit in every if digit in frame.digits]
    links += [_without(cut, every) for cut in tap_cuts]
    outs = list[Run]()
    for run, n, *window in zip(places, size, kernel, stride, padding, dilation, strict=True):
        digit, seats, link = windowed(run, seats, n, scattering(*window))
        outs.append((digit,))
        links.append(link)
    return out(Frame((*frame.axes[:-2], channels, *outs), seats), (ref, links))


def _all_taps(digit: Digit) -> Link:
    """All taps of a window: a window, not the whole extent of space, so without a label."""
    return Link((digit,), (), lambda: Span(0, digit.extent))


def _without(cut: Link, taps: Run) -> Link:
    """A cut of columns into channels and taps, of which all taps are taken."""
    (new,) = cut.of
    kept = tuple(digit for digit in new if digit not in taps)

    def look(*spans: Span) -> Span | None:
        given = dict(zip(kept, spans, strict=True))
        return fuse(new, [given.get(digit) or Span(0, digit.extent) for digit in new])

    return Link(cut.to, tuple((digit,) for digit in kept), look)


@operator("max_unpool2d", "max_unpool3d")
def unpooling(site: Site) -> Out:
    """Elements put where indices say: within the window that they came from, were they pooled so; else anywhere."""
    x, indices = site.arg("self"), site.arg("indices")
    if not isinstance(x, Ref):
        return unknown(site)[0]  # type: ignore[return-value]
    rank = int(site.name[-2])
    pairs = zip(site.shape(x)[-rank:], site.out_shape()[-rank:], strict=True)
    if any(m % n for n, m in pairs):
        return unknown(site)[0]  # type: ignore[return-value]
    windows = [_grown(m // n) for n, m in zip(site.shape(x)[-rank:], site.out_shape()[-rank:], strict=True)]
    axes, seats, links = spatial(site, x, windows)
    reads = [(x, links)]
    if isinstance(indices, Ref):
        _, _, other = spatial(site, indices, windows)
        renamed = [Link(link.to, mine.of, link.look) for link, mine in zip(other, links, strict=True)]
        answered = {d for link in renamed for d in link.to} | {d for run in axes for d in run}
        rest = [digit for digit in site.frame(indices).digits if digit not in answered]
        reads.append((indices, [*renamed, *everything(rest, site.name)]))
    return out(Frame(tuple(axes), seats), *reads)


def _grown(factor: int) -> Window:
    scale = Fraction(1, factor)
    return Window(scale, (scale - 1) / 2, lambda s: Span(s.lo // factor, -(-s.hi // factor), s.why))


varied("unfold", "im2col", "col2im")(moved)
