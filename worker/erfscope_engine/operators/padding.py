"""Padding: indices move; what lies beyond the border is constant, or reads the image once more."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional as F

from erfscope_engine.execution.box import as_padding, beyond, clipped, is_beside
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.geometry.digits import Digit
from erfscope_engine.geometry.frame import Frame, Link, Look, Window, flat, windowed
from erfscope_engine.geometry.spans import Affine, Span
from erfscope_engine.moments.rule import Case, argument, linear, moved
from erfscope_engine.operators.site import Out, Site, out
from erfscope_engine.operators.slices import cut_look
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.recording.tape import Ref

Mirror = Callable[[Span, int, int, int], Span | None]  # a span of the operand's indices, its extent, both borders


def _open(span: Span, n: int, before: int, after: int) -> Span | None:
    """As if the image went on: a border of constants is what a convolution's own padding is."""
    return span


def _reflected(span: Span, n: int, before: int, after: int) -> Span | None:
    lo, hi = span.lo, span.hi
    first, last = max(lo, -before), min(hi, n + after)  # nothing is mirrored beyond the border's own ends
    if hi <= 0 or lo >= n:  # beyond the border: what is mirrored there alone
        there = (1 - hi, 1 - first) if hi <= 0 else (2 * n - 1 - last, 2 * n - 1 - lo)
        return Span(max(there[0], 0), min(there[1], n), span.why) if there[0] < there[1] else None
    if lo < 0:
        hi = max(hi, min(1 - first, n))
    if span.hi > n:
        lo = min(lo, max(2 * (n - 1) - (last - 1), 0))
    return Span(lo, hi, span.why)


def _replicated(span: Span, n: int, before: int, after: int) -> Span | None:
    if span.hi <= 0 or span.lo >= n:  # beyond the border: the outermost place alone
        return Span(0, 1, span.why) if span.hi <= 0 else Span(n - 1, n, span.why)
    return span


MIRRORS: dict[str, Mirror] = {
    "constant": _open,
    "reflection": _reflected,
    "replication": _replicated,
}


@operator("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
          "replication_pad2d", "replication_pad3d")  # fmt: skip
def pad(site: Site) -> Out:
    """A border: indices move; constants are read by nobody, mirrored ones read the image once more."""
    (ref,) = site.refs
    border = site.arg("pad") if site.call.has("pad") else site.arg("padding")
    axes, seats, links = list(site.frame(ref).axes), site.frame(ref).seats, list[Link]()
    for k in range(len(border) // 2):
        before, after = border[2 * k : 2 * k + 2]
        axis = len(axes) - 1 - k
        if not (before or after):
            continue
        if not axes[axis]:
            axes[axis] = (Digit(site.out_shape()[axis]),)
            continue
        shift = Window(1, -before, lambda span, by=before: span.moved(-by))
        digit, moved, _ = windowed(axes[axis], seats, site.out_shape()[axis], shift)
        links.append(Link(axes[axis], ((digit,),), _bordered(site, ref, axis, before, after)))
        axes[axis], seats = (digit,), moved
    return out(Frame(tuple(axes), seats), (ref, links))


def _bordered(site: Site, ref: Ref, axis: int, before: int, after: int) -> Look:
    n = site.shape(ref)[axis]
    mirror = MIRRORS[site.name.split("_")[0]]
    if before >= 0 and after >= 0:
        if mirror is _open:
            return Affine(1, -before, -before)
        return lambda span: mirror(span.moved(-before), n, before, after)
    one, seats = flat(site.frame(ref).axes[axis], site.frame(ref).seats)  # a crop is a slice
    first = max(-before, 0)
    cut = cut_look(site, one, seats, first, n + min(before, 0) + min(after, 0), 1)
    return lambda span: cut(span.moved(-max(before, 0)))


@stepped("constant_pad_nd")
def constant_pad(part: Part) -> Step | None:
    """What of the padding lies in the box."""
    (ref,) = part.site.refs
    need, shape = part.need(ref), part.shape(ref)
    if need is None or is_beside(need, shape):
        return None
    borders, value = as_padding(beyond(need, shape)), part.arg("value") or 0

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], object]:
        return [F.pad(inputs[0], borders, value=value) if any(borders) else inputs[0]], True

    def backward(kept: object, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        (g,) = grads
        return [g if g is None or not any(borders) else F.pad(g, [-p for p in borders])]

    return Step(((ref.index, clipped(need, shape)),), part.writes, forward, backward, any_format=True, keeps="nothing")


@stepped("reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d",
         "replication_pad3d")  # fmt: skip
def mirrored_pad(part: Part) -> Step | None:
    """Inside, padding only moves the origin; at a border the whole is taken."""
    (ref,) = part.site.refs
    shape, border = part.shape(ref), part.arg("padding")
    need = part.need(ref)
    for k in range(len(border) // 2):
        lo, hi = part.box[-1 - k]
        if lo < border[2 * k] or hi > border[2 * k] + shape[-1 - k]:
            return None
    if need is None:
        return None
    return Step(
        ((ref.index, clipped(need, shape)),),
        part.writes,
        lambda inputs: ([inputs[0]], True),
        lambda kept, grads: [grads[0]],
        any_format=True,
    )


varied("reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d",
       "replication_pad3d")(moved)  # fmt: skip


@varied("constant_pad_nd")
def padded_variance(case: Case) -> Step:
    """A constant border has no variance."""
    return linear(case, argument(case.call, "value", 0), shifts=bool(case.call.arg("value")))
