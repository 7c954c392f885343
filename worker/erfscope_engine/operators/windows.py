"""What operators with a sliding window along space have in common."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from erfscope_engine.geometry.digits import Digit, Run, size
from erfscope_engine.geometry.frame import Link, Window, windowed
from erfscope_engine.geometry.seats import Seats
from erfscope_engine.geometry.spans import Affine, Span
from erfscope_engine.operators.site import Site
from erfscope_engine.recording.tape import Ref

IDLE = Affine(1, 0, 0)


def per_axis(value: Any, rank: int) -> list[int]:
    """An option of a window, one number per axis."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    return values * rank if len(values) == 1 else values


def sliding(kernel: int, stride: int, padding: int, dilation: int) -> Window:
    """Output q reads q·stride − padding + dilation·(0 … kernel − 1)."""
    reach = dilation * (kernel - 1)
    return Window(stride, Fraction(reach, 2) - padding, Affine(stride, -padding, reach - padding))


def scattering(kernel: int, stride: int, padding: int, dilation: int) -> Window:
    """A transposed window: output o reads every i with i·stride − padding + dilation·k = o."""

    def look(span: Span) -> Span | None:
        ends = {*range(span.lo, min(span.hi, span.lo + stride)), *range(max(span.hi - stride, span.lo), span.hi)}
        taps = [o + padding - dilation * k for o in ends for k in range(kernel)]
        reads = [tap // stride for tap in taps if tap % stride == 0]
        return Span(min(reads), max(reads) + 1, span.why) if reads else None

    return Window(Fraction(1, stride), (padding - Fraction(dilation * (kernel - 1), 2)) / stride, look)


def spatial(site: Site, ref: Ref, windows: Sequence[Window | None], k: int = 0) -> tuple[list[Run], Seats, list[Link]]:
    """The last axes of an operand, each through its own window; None leaves an axis as it is."""
    axes, seats, links = list(site.frame(ref).axes), site.frame(ref).seats, list[Link]()
    for position, window in enumerate(windows, start=len(axes) - len(windows)):
        extent = site.out_shape(k)[position]
        if window and window.look == IDLE and size(axes[position]) == extent:
            continue  # one tap: an axis of rows and columns together stays what it is
        if window and axes[position]:
            digit, seats, link = windowed(axes[position], seats, extent, window)
            axes[position] = (digit,)
            links.append(link)
        elif window:
            axes[position] = (Digit(extent),) if extent > 1 else ()
    return axes, seats, links
