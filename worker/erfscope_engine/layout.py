"""Where indices lie on the input: every axis of every recorded tensor, followed from the input through the tape.

An axis is a row of digits, outermost first, like a mixed-radix number: a feature map's height is one digit that
follows the input's height at some pace; H·W tokens are two digits; a class token in front is a `lead`. Views only
regroup digits, so token grids and attention windows are recognised rather than assumed, in whatever layout they
come (NCHW, NHWC, N·L·C).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Any

from erfscope_engine.regions.interval import Interval, Region
from erfscope_engine.regions.table import Call, needs
from erfscope_engine.regions.views import blocks
from erfscope_engine.tape import Entry, Ref, Tape

VIEWS = {
    "view",
    "_unsafe_view",
    "reshape",
    "_reshape_alias",
    "squeeze",
    "unsqueeze",
    "flatten",
    "unflatten",
    "view_copy",
}
RESAMPLED = ("upsample", "_upsample", "pixel_shuffle", "_adaptive", "adaptive")

NORMALISES = ("native_group_norm", "native_layer_norm", "native_batch_norm", "_native_batch_norm", "_softmax",
              "_log_softmax", "_safe_softmax", "cum", "_fused_rms_norm", "cudnn_batch_norm")  # fmt: skip


@dataclass(frozen=True)
class Digit:
    """`size` positions that move along input axis `follows` by `pace` pixels each (None: along nothing known).

    `grid` keeps an axis with a lead through views that merge it with others.
    """

    size: int
    follows: int | None = None
    pace: Fraction = Fraction(0)
    grid: "Axis | None" = None


@dataclass(frozen=True)
class Axis:
    """Digits of one tensor axis, outermost first, after `lead` positions that are no part of the grid."""

    digits: tuple[Digit, ...] = ()
    lead: int = 0

    @property
    def count(self) -> int:
        """Positions that the digits number."""
        return prod(d.size for d in self.digits)


@dataclass(frozen=True)
class Layout:
    """The axes of one tensor, and where index 0 of the followed ones lies on each input axis."""

    axes: tuple[Axis, ...]
    base: dict[int, Fraction]


@dataclass(frozen=True)
class _Link:
    """Output index q along one axis reads argument `ref` around pace·q + shift on its axis `axis`."""

    ref: int
    axis: int
    pace: Fraction
    shift: Fraction


def layouts(tape: Tape, followed: Sequence[int]) -> dict[int, Layout]:
    """The layout of every value on the tape; the input's axes in `followed` follow themselves, others nothing."""
    shape = tape.values[0].shape
    start = tuple(_own(k, n, k in followed) for k, n in enumerate(shape))
    found = {0: Layout(start, dict.fromkeys(range(len(shape)), Fraction(0)))}
    for entry in tape.entries:
        for out, index in enumerate(entry.outputs):
            if index is not None:
                found[index] = _through(entry, out, tape, found)
    return found


def _own(axis: int, extent: int, followed: bool) -> Axis:
    if extent == 1:
        return Axis()
    return Axis((Digit(extent, axis, Fraction(1)) if followed else Digit(extent),))


def _through(entry: Entry, out: int, tape: Tape, known: dict[int, Layout]) -> Layout:
    call = Call(entry, tape, out)
    if entry.op.overloadpacket.__name__ in VIEWS:
        source = entry.refs[0].index
        return _regrouped(known[source], tape.values[source].shape, call.out_shape)
    axes: list[Axis] = []
    base: dict[int, Fraction] = {}
    joined = _joined_axis(call)
    for axis, extent in enumerate(call.out_shape):
        if axis == joined:
            made, moved = _join(call, axis, extent, known)
        else:
            made, moved = _follow(call, axis, extent, known) if extent > 1 else (Axis(), {})
        axes.append(made)
        base.update(moved)
    return Layout(tuple(axes), base)


def _joined_axis(call: Call) -> int | None:
    if call.entry.op.overloadpacket.__name__ != "cat":
        return None
    return int(call.arg("dim")) % len(call.out_shape)


def _join(call: Call, axis: int, extent: int, known: dict[int, Layout]) -> tuple[Axis, dict[int, Fraction]]:
    """Parts side by side: copies of one place count as an outer digit, else the largest grid is kept, with a lead."""
    parts = call.arg("tensors")
    if _are_copies(parts, axis, call, known):
        first, count = known[parts[0].index], call.shape(parts[0])[axis]
        inner = _digits(first.axes[axis], count) if count > 1 else ()
        return Axis((Digit(len(parts)), *inner)), dict(first.base)
    best, base, start = Axis(), dict[int, Fraction](), 0
    for part in parts:
        if isinstance(part, Ref):
            there = known[part.index].axes[axis]
            if there.count > best.count and any(d.follows is not None for d in there.digits):
                best, base = Axis(there.digits, there.lead + start), dict(known[part.index].base)
        start += call.shape(part)[axis] if len(call.shape(part)) == len(call.out_shape) else 0
    return best, base


def _are_copies(parts: Sequence[Any], axis: int, call: Call, known: dict[int, Layout]) -> bool:
    """Whether all parts lie on the same places of the input (nearest-neighbour upsampling by joining)."""
    if not all(isinstance(part, Ref) for part in parts):
        return False
    seats = [known[part.index] for part in parts]
    return all(s.axes[axis] == seats[0].axes[axis] and s.base == seats[0].base for s in seats) and (
        len({call.shape(part)[axis] for part in parts}) == 1
    )


def _follow(call: Call, axis: int, extent: int, known: dict[int, Layout]) -> tuple[Axis, dict[int, Fraction]]:
    """The axis of the first argument that it moves with and that follows the input; of any argument otherwise."""
    candidates = [_seen_through(call, link, extent, known[link.ref]) for link in _links(call, axis, extent)]
    for made, base in candidates:
        if base:
            return made, base
    return candidates[0] if candidates else (Axis(), {})


def _seen_through(call: Call, link: _Link, extent: int, layout: Layout) -> tuple[Axis, dict[int, Fraction]]:
    source, into = layout.axes[link.axis], call.tape.values[link.ref].shape[link.axis]
    base = {k: layout.base.get(k, Fraction(0)) for k in _followed(source)}
    if link.pace == 1 and link.shift == 0 and extent == into:
        return source, base
    lead = source.lead - link.shift
    kept = link.pace == 1 and lead.denominator == 1 and 0 <= lead <= extent - source.count
    if len(source.digits) == 1 and not (kept and source.lead):
        return _resampled(source, link, extent, base)
    return (Axis(source.digits, int(lead)), base) if source.digits and kept else (Axis(), {})


def _followed(axis: Axis) -> list[int]:
    """The input axes that the digits of an axis run along, nested grids included."""
    inner = [k for digit in axis.digits if digit.grid for k in _followed(digit.grid)]
    return [digit.follows for digit in axis.digits if digit.follows is not None] + inner


def _resampled(source: Axis, link: _Link, extent: int, base: dict[int, Fraction]) -> tuple[Axis, dict[int, Fraction]]:
    """One digit seen through a window: it goes on evenly into what was joined to it (a border)."""
    (digit,) = source.digits
    if digit.follows is not None:
        base = {digit.follows: base[digit.follows] + digit.pace * (link.shift - source.lead)}
    return Axis((Digit(extent, digit.follows, digit.pace * link.pace),)), base


def _links(call: Call, axis: int, extent: int) -> list[_Link]:
    """Which argument axes move with output axis `axis`, read off the region rule at two neighbouring units."""
    if _joined_axis(call) not in (None, axis):
        return [_Link(part.index, axis, Fraction(1), Fraction(0)) for part in call.entry.refs]
    low = max((extent - 1) // 2, 0)
    for q in dict.fromkeys((low, 0, extent - 2)):
        first, second = _probe(call, axis, q), _probe(call, axis, q + 1)
        links = [
            _link(call, axis, ref, k, first[ref], second[ref], q)
            for ref in first
            if ref in second
            for k in _moving(first[ref], second[ref], call, axis, ref)
        ]
        if links:
            return links
    if call.out == 0 and str(call.entry.op.overloadpacket.__name__).startswith(NORMALISES):
        return [_Link(call.entry.refs[0].index, axis, Fraction(1), Fraction(0))]  # sees all, stays in its place
    sampled = call.entry.args[0] if call.entry.op.overloadpacket.__name__.startswith("grid_sampler") else None
    if isinstance(sampled, Ref) and axis > 1:  # a warp: about where an even grid would be
        pace = Fraction(call.shape(sampled)[axis], extent)
        return [_Link(sampled.index, axis, pace, (pace - 1) / 2)]
    return []


def _moving(first: Region, second: Region, call: Call, axis: int, ref: int) -> list[int]:
    moving = [k for k, (a, b) in enumerate(zip(first, second, strict=True)) if a != b and not (a.wide or b.wide)]
    if not moving and (
        _is_resampled(call) or _is_transposed(call)
    ):  # neighbours may read the same pixel: the axis keeps its place from the end
        k = axis - len(call.out_shape) + len(first)
        spatial = len(call.out_shape) - axis <= len(call.out_shape) - 2
        return [k] if spatial and not first[k].wide and call.tape.values[ref].shape[k] > 1 else []
    return moving


def _probe(call: Call, axis: int, q: int) -> dict[int, Region]:
    point = tuple(_at(q if k == axis else n // 2) for k, n in enumerate(call.out_shape))
    found: dict[int, Region] = {}
    for ref, region in needs(call, point):
        found.setdefault(ref.index, region)
    return found


def _at(position: int) -> Interval:
    return Interval(position, position + 1)


def _is_resampled(call: Call) -> bool:
    return str(call.entry.op.overloadpacket.__name__).startswith(RESAMPLED)


def _is_transposed(call: Call) -> bool:
    return call.entry.op.overloadpacket.__name__ == "convolution" and bool(call.arg("transposed"))


def _link(call: Call, axis: int, ref: int, k: int, first: Region, second: Region, q: int) -> _Link:
    half = Fraction(1, 2)
    if _is_resampled(call):
        pace = Fraction(call.tape.values[ref].shape[k], call.out_shape[axis])
        return _Link(ref, k, pace, half * pace - half)
    if _is_transposed(call):
        return _transposed_link(call, axis, ref, k)
    here, there = (Fraction(i[k].lo + i[k].hi - 1, 2) for i in (first, second))
    return _Link(ref, k, there - here, here - (there - here) * q)


def _transposed_link(call: Call, axis: int, ref: int, k: int) -> _Link:
    n = axis - 2
    stride, padding, dilation = (list(call.arg(name)) for name in ("stride", "padding", "dilation"))
    if n < 0:
        return _Link(ref, k, Fraction(1), Fraction(0))
    at = [values[n % len(values)] for values in (stride, padding, dilation)]
    middle = Fraction(at[2] * (call.shape(call.arg("weight"))[axis] - 1), 2)
    return _Link(ref, k, Fraction(1, at[0]), (at[1] - middle) / at[0])


def _regrouped(layout: Layout, shape: tuple[int, ...], into: tuple[int, ...]) -> Layout:
    axes: list[Axis] = []
    for old, new in blocks(shape, into):
        if old.stop - old.start == new.stop - new.start == 1:
            axes.append(layout.axes[old.start])
            continue
        digits = [d for k in range(old.start, old.stop) for d in _digits(layout.axes[k], shape[k])]
        axes += _deal(digits, into[new])
    base = dict(layout.base)
    if len(into) < 3:  # a flattened head, not a picture
        return Layout(tuple(axes), base)
    return Layout(tuple(_refined(axis, base) for axis in axes), base)


def _refined(axis: Axis, base: dict[int, Fraction]) -> Axis:
    """A followed digit with unfollowed ones inside is one finer digit: depth to space by views (pixel shuffle)."""
    if len(axis.digits) < 2 or any(d.follows is not None or d.grid is not None for d in axis.digits[1:]):
        return axis
    outer, finer = axis.digits[0], prod(d.size for d in axis.digits[1:])
    if outer.follows is None:
        return axis
    base[outer.follows] = base.get(outer.follows, Fraction(0)) - outer.pace * Fraction(finer - 1, 2 * finer)
    return Axis((Digit(outer.size * finer, outer.follows, outer.pace / finer),))


def _digits(axis: Axis, extent: int) -> tuple[Digit, ...]:
    return (
        axis.digits if axis.lead == 0 and axis.count == extent else (Digit(extent, grid=axis if axis.digits else None),)
    )


def _deal(digits: list[Digit], into: tuple[int, ...]) -> list[Axis]:
    """Deal digits out to axes of the given sizes, innermost first, splitting a digit where its size divides."""
    rest = [d for d in digits if d.size > 1]
    axes: list[Axis] = []
    for extent in reversed(into):
        taken: list[Digit] = []
        room = extent
        while room > 1:
            digit = rest.pop()
            if room % digit.size == 0:
                taken.insert(0, digit)
                room //= digit.size
            elif digit.size % room == 0:
                taken.insert(0, replace(digit, size=room, grid=None))
                rest.append(replace(digit, size=digit.size // room, pace=digit.pace * room, grid=None))
                room = 1
            else:  # sizes that do not divide: nothing can be said of this view
                return [Axis() for _ in into]
        whole = taken[0].grid if len(taken) == 1 else None
        axes.insert(0, whole if whole and taken[0].size == extent else Axis(_joined(taken)))
    return axes


def _joined(digits: list[Digit]) -> tuple[Digit, ...]:
    """Neighbours that count one input axis in one go are one digit again."""
    made: list[Digit] = []
    for digit in digits:
        last = made[-1] if made else None
        if last and last.follows is not None and last.follows == digit.follows and last.pace == digit.pace * digit.size:
            made[-1] = replace(digit, size=last.size * digit.size)
        else:
            made.append(digit)
    return tuple(made)
