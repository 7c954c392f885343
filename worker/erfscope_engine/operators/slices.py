"""Operators that take some positions of an axis, or take them in another order."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from erfscope_engine.execution.box import lengths
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step, linear
from erfscope_engine.geometry.digits import Digit, Piece, Run, along_one, plain, size
from erfscope_engine.geometry.frame import Frame, Link, Look, Window, at_index, fixed, flat, starting, windowed
from erfscope_engine.geometry.seats import Seats, meet
from erfscope_engine.geometry.spans import Span, fuse, split
from erfscope_engine.moments.rule import joined
from erfscope_engine.moments.rule import moved as moved_variance
from erfscope_engine.operators.joins import aligned, broadcast, going_along
from erfscope_engine.operators.site import Out, Site, out, unknown
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.operators.views import moved
from erfscope_engine.recording.tape import Ref


def one_axis(site: Site, ref: Ref, dim: int, run: Run | None, seats: Seats, links: Sequence[Link]) -> Out:
    """An operator that changes one axis only; None takes it away."""
    axes = site.frame(ref).axes
    middle = [] if run is None else [run]
    return out(Frame((*axes[:dim], *middle, *axes[dim + 1 :]), seats), (ref, links))


def picked(site: Site, ref: Ref, dim: int, index: int) -> Out:
    """One position of an axis, which goes."""
    run, seats = site.frame(ref).axes[dim], site.frame(ref).seats
    if not run:
        return one_axis(site, ref, dim, None, seats, ())
    moved_seats = at_index(seats, run, index)
    for piece in run[0].pieces:
        if piece.start <= index < piece.stop:
            moved_seats = {**moved_seats, **at_index(_followed(seats, piece), piece.digits, index - piece.start)}
    link = Link(run, (), lambda: Span(index, index + 1))
    return one_axis(site, ref, dim, None, moved_seats, [link])


def _followed(seats: Seats, piece: Piece) -> Seats:
    """The seats of a piece along the input axes that it runs along, mixed by what mixed the join since."""
    along = {a for digit in piece.digits for a in digit.follows}
    return {a: replace(piece.seats[a], why=tuple(dict.fromkeys((*piece.seats[a].why, *seats[a].why)))) for a in along}


@operator("select", "select_copy", moves=True)
def select(site: Site) -> Out:
    """One position of an axis."""
    (ref,) = site.refs
    shape = site.shape(ref)
    dim = site.arg("dim") % len(shape)
    return picked(site, ref, dim, site.arg("index") % shape[dim])


@operator("unbind", "unbind_copy", moves=True)
def unbind(site: Site) -> list[Out | None]:
    """Each position of an axis."""
    (ref,) = site.refs
    dim = site.arg("dim") % len(site.shape(ref))
    return [picked(site, ref, dim, k) for k in range(len(site.call.outputs))]


def sliced(site: Site, ref: Ref, dim: int, start: int, stop: int, step: int = 1) -> Out:
    """Every step-th index from start on: a followed digit gets another stride and origin.

    Cut where real elements are left out; open where what is left out is padding.
    """
    frame, run, n = site.frame(ref), site.frame(ref).axes[dim], site.shape(ref)[dim]
    extent = max(0, -(-(stop - start) // step))
    if extent == n or not run:
        return one_axis(site, ref, dim, run, frame.seats, ())
    for piece in run[0].pieces if len(run) == 1 else ():
        if (start, stop, step) == (piece.start, piece.stop, 1):
            return _piece(site, ref, dim, piece)
    outer_run, inner_run = _split_at(run, step)
    if inner_run and start < step and extent == size(outer_run):  # one index of the inner digits, with each outer one
        seats = at_index(frame.seats, inner_run, start)
        return one_axis(site, ref, dim, outer_run, seats, [Link(inner_run, (), lambda: Span(start, start + 1))])
    inner = size(run[1:])
    if len(run) > 1 and step == 1 and start % inner == stop % inner == 0:  # whole steps of the outermost digit
        first, count = start // inner, extent // inner
        cut = Window(1, first, cut_look(site, run[0], frame.seats, first, count, 1))
        outer, seats, link = windowed(run[:1], frame.seats, count, cut)
        return one_axis(site, ref, dim, (outer, *run[1:]), seats, [link])
    digit, seats = flat(run, frame.seats)
    if digit.axis is None:
        seats = fixed(frame.seats, run, split(run, Span(start, start + (extent - 1) * step + 1)))
    look = cut_look(site, digit, seats, start, extent, step)
    base = seats if digit.axis is None else frame.seats
    out_digit, seats, link = windowed(run, base, extent, Window(step, start, look))
    return one_axis(site, ref, dim, (out_digit,), seats, [link])


def _split_at(run: Run, count: int) -> tuple[Run, Run]:
    """A row of digits as outer and inner ones, of which there are `count` values; no inner ones where none fit."""
    cut = next((k for k in range(1, len(run)) if size(run[k:]) == count > 1), len(run))
    return run[:cut], run[cut:]


def _piece(site: Site, ref: Ref, dim: int, piece: Piece) -> Out:
    """Just what was one operand of a join: its digits again, or such as count as far where another axis has them."""
    frame = site.frame(ref)
    digits, run = piece.digits, frame.axes[dim]
    if set(digits) & {digit for k, other in enumerate(frame.axes) if k != dim for digit in other}:
        digits = plain(digits)

    def look(*spans: Span) -> Span:
        inside = fuse(digits, spans) or Span(0, 0)
        return Span(inside.lo + piece.start, inside.hi + piece.start, inside.why, (piece.start, spans))

    seats = {**frame.seats, **_followed(frame.seats, piece)}
    return one_axis(site, ref, dim, digits, seats, [Link(run, tuple((digit,) for digit in digits), look)])


def cut_look(site: Site, digit: Digit, seats: Seats, start: int, extent: int, step: int) -> Look:
    """What an index of the slice reads; cut at an end where a real element is left out."""

    def real(index: int) -> bool:
        return digit.axis is None or site.is_image_index(digit.axis, seats[digit.axis].at + digit.stride * index)

    behind = start + extent * step
    low = start >= step and real(start - step)
    high = behind <= digit.extent - step and real(behind)

    def look(span: Span) -> Span | None:
        lo, hi = max(span.lo, 0) if low else span.lo, min(span.hi, extent) if high else span.hi
        return Span(lo * step + start, (hi - 1) * step + start + 1, span.why) if lo < hi else None

    return look


@operator("slice", "slice_copy", moves=True)
def slicing(site: Site) -> Out:
    """Every step-th position of an axis."""
    (ref,) = site.refs
    shape = site.shape(ref)
    dim, step = site.arg("dim") % len(shape), site.arg("step") or 1
    start, stop, _ = slice(site.arg("start"), site.arg("end"), step).indices(shape[dim])
    return sliced(site, ref, dim, start, max(stop, start), step)


@operator("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_chunk", "unsafe_split_with_sizes",
          "split_copy", "split_with_sizes_copy", moves=True)  # fmt: skip
def splitting(site: Site) -> list[Out | None]:
    """An axis in parts."""
    (ref,) = site.refs
    dim = site.arg("dim") % len(site.shape(ref))
    outs, start = list[Out | None](), 0
    for k in range(len(site.call.outputs)):
        stop = start + site.out_shape(k)[dim]
        outs.append(sliced(site, ref, dim, start, stop))
        start = stop
    return outs


@operator("slice_scatter", moves=True)
def slice_scatter(site: Site) -> Out:
    """Every step-th position of an axis replaced: each position reads either what stays or what is new."""
    base, part = site.arg("self"), site.arg("src")
    shape = site.out_shape()
    dim, step = site.arg("dim") % len(shape), site.arg("step")
    start = slice(site.arg("start"), site.arg("end"), step).indices(shape[dim])[0]
    if not isinstance(base, Ref):
        return _scattered_on_constant(site, part, dim, start, step)
    frame = site.frame(base)
    reads = [(base, list[Link]())]
    operands = [going_along(frame, (), frame.axes)]
    if isinstance(part, Ref):
        _, _, links = broadcast(site, [base, part], shape, skip=dim)
        run = site.frame(part).axes[dim]
        own = [*links[1], *_every(run, frame.axes[dim], start, step, shape[dim])]
        reads.append((part, own))
        axes, seats = site.frame(part).axes, site.frame(part).seats
        if len(frame.axes[dim]) == 1:  # its first position lies at `start`
            seats = starting(seats, frame.axes[dim][0], -start)
        operands.append(going_along(Frame(axes, seats), own, frame.axes))
    return out(Frame(frame.axes, meet(operands)), *reads)


def _every(run: Run, onto: Run, start: int, step: int, room: int) -> list[Link]:
    """Links of a row of digits that lies at every step-th index of another, which has `room`.

    Where it reaches an end, it is open there, as an operand of a join is.
    """
    extent = size(run)
    is_first, is_last = start < step, start + extent * step >= room

    def look(span: Span) -> Span | None:
        lo, hi = -((start - span.lo) // step), (span.hi - 1 - start) // step + 1
        if not max(lo, 0) < min(hi, extent):
            return None
        return Span(lo if is_first else max(lo, 0), hi if is_last else min(hi, extent), span.why)

    condition = Link((), (onto,), lambda span: span if look(span) else None)
    if not run:
        return [condition]
    if along_one(run):
        return [condition, Link(run, (onto,), look)]

    def one(k: int) -> Link:
        def of(span: Span) -> Span | None:
            inside = look(span)
            return None if inside is None else split(run, inside)[k]

        return Link((run[k],), (onto,), of)

    return [condition, *map(one, range(len(run)))]


def _scattered_on_constant(site: Site, part: Ref, dim: int, start: int, step: int) -> Out:
    """Positions between constants: an axis with a finer stride."""
    frame, shape = site.frame(part), site.out_shape()
    digit, seats = flat(frame.axes[dim], frame.seats)
    fine = Digit(shape[dim], digit.axis, digit.stride / step)
    if digit.axis is not None and digit.stride:
        seats = fixed(seats, (Digit(1, digit.axis, -fine.stride),), [Span(start, start + 1)])
    links = _every(frame.axes[dim], (fine,), start, step, shape[dim])
    return one_axis(site, part, dim, (fine,), seats, links)


@operator("flip", moves=True)
def flip(site: Site) -> Out:
    """Axes in the other direction."""
    (ref,) = site.refs
    return flipped(site, ref, site.arg("dims"))


def flipped(site: Site, ref: Ref, dims: Sequence[int]) -> Out:
    """An operand with these axes backward."""
    axes, seats, shape, links = list(site.frame(ref).axes), site.frame(ref).seats, site.shape(ref), list[Link]()
    for k in {k % len(shape) for k in dims}:
        if axes[k]:
            digit, seats, link = windowed(axes[k], seats, shape[k], _mirror(shape[k]))
            axes[k] = (digit,)
            links.append(link)
    return out(Frame(tuple(axes), seats), (ref, links))


def _mirror(n: int) -> Window:
    return Window(-1, n - 1, lambda span: Span(n - span.hi, n - span.lo, span.why))


@operator("roll", moves=True)
def roll(site: Site) -> Out:
    """A cyclic shift; what crosses the seam reads both ends, so the whole, labelled."""
    (ref,) = site.refs
    if not site.arg("dims"):
        return unknown(site)[0]  # type: ignore[return-value]
    frame = site.frame(ref)
    axes, seats, links = list(frame.axes), frame.seats, list[Link]()
    for shift, dim in zip(site.arg("shifts"), site.arg("dims"), strict=True):
        k = dim % len(axes)
        n = site.shape(ref)[k]
        if not axes[k] or shift % n == 0:
            continue
        turn = shift % n - n if shift % n > n // 2 else shift % n
        digit, seats, _ = windowed(axes[k], seats, n, Window(1, -turn, lambda span, t=turn: span.moved(-t)))
        links.append(Link(axes[k], ((digit,),), _cyclic(n, shift % n)))
        axes[k] = (digit,)
    return out(Frame(tuple(axes), seats), (ref, links)) if links else moved(site, axes)


def _cyclic(n: int, shift: int) -> Look:
    def look(span: Span) -> Span | None:
        inside = span.within(n)
        if inside is None:
            return None
        lo = (inside.lo - shift) % n
        hi = lo + inside.hi - inside.lo
        return Span(lo, hi, inside.why) if hi <= n else Span(0, n, inside.why | {"roll"})

    return look


@operator("glu")
def glu(site: Site) -> Out:
    """Two halves of one axis, multiplied."""
    (ref,) = site.refs
    shape = site.out_shape()
    dim = site.arg("dim") % len(shape)
    first, second = sliced(site, ref, dim, 0, shape[dim]), sliced(site, ref, dim, shape[dim], 2 * shape[dim])
    under = _renamed(first.frame.axes[dim], second.frame.axes[dim])
    links = tuple(
        Link(link.to, tuple(tuple(under.get(d, d) for d in run) for run in link.of), link.look)
        for link in second.reads[0][1]
    )
    seats = meet([(half.frame.seats, half.frame.follows) for half in (first, second)])
    return Out(Frame(first.frame.axes, seats), (*first.reads, (ref.index, links)))


def _renamed(main: Run, other: Run) -> dict[Digit, Digit]:
    """The second half's digits, as the first's."""
    return {d: e for link in aligned(main, other) for d, e in zip(link.to, link.of[0], strict=False)}


@stepped("slice", "slice_copy", "split", "split_with_sizes", "unsafe_split", "chunk", "unsafe_chunk",
         "unsafe_split_with_sizes")  # fmt: skip
def sliced_step(part: Part) -> Step | None:
    """A part of an axis is nothing but the box; with a step, every step-th position of one."""
    (ref,) = part.site.refs
    dim, (start, step) = part.arg("dim") % len(part.out_shape), _start_and_step(part, ref)
    lo, hi = part.box[dim]
    read = (*part.box[:dim], (start + lo * step, start + (hi - 1) * step + 1), *part.box[dim + 1 :])
    if step == 1:
        return linear(part, ref, read, lambda x: x, lambda g: g)
    every, size = (slice(None),) * dim + (slice(None, None, step),), lengths(read)

    def back(g: Tensor) -> Tensor:
        spread = g.new_zeros(size)
        spread[every] = g
        return spread

    return linear(part, ref, read, lambda x: x[every], back)


def _start_and_step(part: Part, ref: Ref) -> tuple[int, int]:
    dim, n = part.arg("dim") % len(part.out_shape), part.shape(ref)
    if part.call.has("step"):
        start, _, step = slice(part.arg("start"), part.arg("end"), part.arg("step")).indices(n[dim])
        return start, step
    return sum(part.site.out_shape(k)[dim] for k in range(part.out)), 1


@stepped("select", "select_copy", "unbind")
def picked_step(part: Part) -> Step | None:
    """One position of an axis."""
    (ref,) = part.site.refs
    shape = part.shape(ref)
    dim = part.arg("dim") % len(shape)
    index = part.arg("index") % shape[dim] if part.call.has("index") else part.out
    read = (*part.box[:dim], (index, index + 1), *part.box[dim:])
    return linear(part, ref, read, lambda x: x.squeeze(dim), lambda g: g.unsqueeze(dim))


@stepped("flip")
def flip_step(part: Part) -> Step | None:
    """The box, mirrored."""
    (ref,) = part.site.refs
    shape = part.shape(ref)
    dims = sorted({d % len(shape) for d in part.arg("dims")})
    read = tuple((shape[k] - hi, shape[k] - lo) if k in dims else (lo, hi) for k, (lo, hi) in enumerate(part.box))
    return linear(part, ref, read, lambda x: x.flip(dims), lambda g: g.flip(dims))


@stepped("roll")
def roll_step(part: Part) -> Step | None:
    """A box that does not cross the seam is nothing but another box."""
    (ref,) = part.site.refs
    if not part.arg("dims"):
        return None
    box = list(part.box)
    for shift, dim in zip(part.arg("shifts"), part.arg("dims"), strict=True):
        k = dim % len(box)
        (lo, hi), n = box[k], part.out_shape[k]
        first = (lo - shift) % n
        if first + hi - lo > n:
            return None
        box[k] = (first, first + hi - lo)
    return linear(part, ref, tuple(box), lambda x: x, lambda g: g)


varied(
    "slice", "slice_copy", "select", "select_copy", "split", "split_with_sizes", "unsafe_split", "chunk",
    "unsafe_chunk", "unbind", "unbind_copy", "flip", "roll",
)(moved_variance)  # fmt: skip
varied("slice_scatter")(joined)
