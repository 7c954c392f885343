"""Operands that meet: broadcasting, element-wise work, cat."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.box import Box, cut, full
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.geometry.digits import Digit, Piece, Run, along_one, blocks, follows_of, plain, size
from erfscope_engine.geometry.frame import Frame, Link, everything, first_of, flat, resting, same, starting
from erfscope_engine.geometry.seats import Seat, Seats, depth_of, meet
from erfscope_engine.geometry.spans import ONE, Span, split
from erfscope_engine.moments.rule import Case, argument, blanked, has_constants, linear, moved, only_refs
from erfscope_engine.moments.rule import joined as joined_variance
from erfscope_engine.operators.rows import row_of
from erfscope_engine.operators.site import Out, Site, out
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.recording.tape import Ref


def aligned(main: Run, other: Run) -> list[Link]:
    """Links from the digits of one row to another row of the same size."""
    if main == other:
        return []
    return [
        Link(block, (partner,), same) if partner else Link(block, (), lambda: ONE)
        for partner, block in blocks(main, other)
    ]


def telling(run: Run) -> tuple[int, int, int]:
    """How much a row of digits tells: positions that follow the input, and few digits."""
    followed = [digit for digit in run if digit.follows]
    return prod(digit.extent for digit in followed), -sum(digit.extent > 1 for digit in run), len(followed)


def _main(runs: Mapping[int, Run], frames: Sequence[Frame]) -> Run:
    """The row that tells most; of such as tell as much, that of the operand where the unit sits."""
    most = max(map(telling, runs.values()))
    best = [n for n, run in runs.items() if telling(run) == most]
    return runs[min(best, key=lambda n: [depth_of(frames[n].seats[axis]) for axis in sorted(follows_of(runs[n]))])]


def going_along(frame: Frame, links: Sequence[Link], axes: Sequence[Run]) -> tuple[Seats, frozenset[int]]:
    """An operand as `meet` takes it: seats as seen from the unit, and the input axes along which it goes with it."""
    taken = {digit for link in links if not link.of for digit in link.to}  # all of these, wherever the unit is
    moved = {digit for link in links for run in link.of for digit in run if _moves(link, digit)}
    answered = {*frame.digits, *moved} - taken
    digits = [digit for run in axes for digit in run]
    along = frozenset(axis for digit in digits if digit in answered for axis in digit.follows)
    return resting(frame.seats, [digit for digit in digits if digit not in answered]), along


def _moves(link: Link, digit: Digit) -> bool:
    """Whether an operand moves along the input as the unit moves along `digit`: channels beside taps do not."""
    return not digit.follows or not digit.follows.isdisjoint(follows_of(link.to))


def broadcast(
    site: Site, refs: Sequence[Ref], shape: tuple[int, ...], skip: int | None = None
) -> tuple[list[Run], dict[int, Seat], list[list[Link]]]:
    """Operands against each other: the axes of the result, its seats, and the links of each operand.

    `skip` is an axis that is left for the caller (it gets the first operand's digits).
    """
    links: list[list[Link]] = [[] for _ in refs]
    frames = [site.frame(ref) for ref in refs]
    axes, used = list[Run](), set[Digit]()
    for k, extent in enumerate(shape):
        runs = dict[int, Run]()
        for n, frame in enumerate(frames):
            axis = k - len(shape) + len(frame.axes)
            if axis < 0 or k == skip:
                continue
            if site.shape(refs[n])[axis] == extent:
                runs[n] = frame.axes[axis]
            else:
                links[n] += first_of(frame.axes[axis])
        main = _main(runs, frames) if runs else (Digit(extent),) if extent > 1 else ()
        if used & set(main):  # x against its own transpose: one digit cannot count two axes
            main = plain(main)
        used |= set(main)
        axes.append(main)
        for n, run in runs.items():
            if run != main:
                links[n] += aligned(main, run)
                if len(main) == 1:
                    frames[n] = Frame(frames[n].axes, flat(run, frames[n].seats)[1])
    seats = meet([going_along(frame, each, axes) for frame, each in zip(frames, links, strict=True)])
    return axes, seats, links


@operator(
    "clone", "alias", "contiguous", "_to_copy", "lift_fresh", "lift_fresh_copy", "native_dropout", "hardswish",
    "_prelu_kernel", "prelu", "rsub", "where", "masked_fill", "log_sigmoid_forward", "rrelu_with_noise", "detach",
    "fill", "floor_divide", "complex", "real", "imag", "polar", "conj", "_conj", "resolve_conj", "resolve_neg",
    "triu", "tril", "_neg_view", "conj_physical", "atan2",
    part="broadcast",
)  # fmt: skip
def pointwise(site: Site) -> Out:
    """Element by element, operands broadcast against each other."""
    axes, seats, links = broadcast(site, site.refs, site.out_shape())
    return out(Frame(tuple(axes), seats), *zip(site.refs, links, strict=True))


@operator("fake_quantize_per_tensor_affine_cachemask", "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
          "fake_quantize_per_channel_affine_cachemask")  # fmt: skip
def quantised(site: Site) -> Out:
    """Element by element, rounded as a quantised network would; its scales are constants."""
    frame = site.frame(site.refs[0])
    return out(frame, *((ref, [] if ref == site.refs[0] else everything(site.frame(ref).digits, site.name))
                        for ref in site.refs))  # fmt: skip


@operator("cat", moves=True)
def cat(site: Site) -> Out:
    """Operands one behind another along an axis; along space, each is a piece with digits of its own."""
    shape = site.out_shape()
    dim = site.arg("dim") % len(shape)
    parts = [part for part in site.arg("tensors") if len(site.shape(part)) == len(shape) and site.shape(part)[dim]]
    if len(parts) == 1:
        return pointwise(site)
    starts = [sum(site.shape(part)[dim] for part in parts[:k]) for k in range(len(parts))]
    live = [(part, start) for part, start in zip(parts, starts, strict=True) if isinstance(part, Ref)]
    axes, seats, links = broadcast(site, [part for part, _ in live], shape, skip=dim)
    pieces = tuple(Piece(start, site.frame(part).axes[dim], site.frame(part).seats) for part, start in live)
    digit, seats = joined(pieces, shape[dim], seats, len(parts))
    axes[dim] = (digit,)
    for n, (part, start) in enumerate(live):
        seams = _seams(start, live, site.shape(part)[dim])
        links[n] += piece_links(site.frame(part).axes[dim], digit, start, seams)
    return out(Frame(tuple(axes), seats), *((part, each) for (part, _), each in zip(live, links, strict=True)))


def joined(pieces: tuple[Piece, ...], extent: int, seats: dict[int, Seat], parts: int) -> tuple[Digit, dict[int, Seat]]:
    """The digit of a joined axis, and the seats with it."""
    along = [piece for piece in pieces if any(digit.follows for digit in piece.digits)]
    if along:
        main = max(along, key=lambda piece: size(piece.digits))
        one, main_seats = flat(main.digits, main.seats)
        if one.axis is None:
            return Digit(extent, pieces=pieces), seats | {a: main.seats[a] for d in main.digits for a in d.follows}
        moved = starting(main_seats, one, -main.start)  # the largest piece goes on evenly into the others
        return Digit(extent, one.axis, one.stride, pieces), seats | {one.axis: moved[one.axis]}
    if all(size(piece.digits) == 1 for piece in pieces) and len(pieces) == parts == extent:
        for axis in seats:  # single rows side by side
            if row := row_of([piece.seats[axis] for piece in pieces], axis, extent):
                return row[0], {**seats, axis: row[1]}
    return Digit(extent), seats


Seams = tuple[int | None, int | None]


def _seams(start: int, live: Sequence[tuple[Ref, int]], extent: int) -> Seams:
    """Where a piece meets another one; None towards an outer end, where it is open."""
    return start if start > live[0][1] else None, start + extent if start < live[-1][1] else None


def piece_links(run: Run, digit: Digit, start: int, seams: Seams) -> list[Link]:
    """The links of one operand of a join, which starts at an index of the joined axis."""
    extent = size(run)

    def share(span: Span) -> Span | None:
        return _share(span, start, extent, seams)

    condition = Link((), ((digit,),), lambda span: span if share(span) else None)
    if not run:
        return [condition]
    if along_one(run):
        return [condition, Link(run, ((digit,),), share)]
    return [condition, *(_one_of_piece(run, k, digit, start, seams) for k in range(len(run)))]


def _one_of_piece(run: Run, position: int, digit: Digit, start: int, seams: Seams) -> Link:
    extent = size(run)

    def look(span: Span) -> Span | None:
        if span.piece and span.piece[0] == start:
            return span.piece[1][position]
        mine = _share(span, start, extent, seams)
        return None if mine is None else split(run, mine)[position]

    return Link((run[position],), ((digit,),), look)


def _share(span: Span, start: int, extent: int, seams: Seams) -> Span | None:
    """What a piece gives of a span: nothing where they are apart, cut at a seam, unclipped towards an end.

    Where one piece alone is needed, it goes on as it would without the others.
    """
    if span.piece:
        return Span(span.lo - start, span.hi - start, span.why) if span.piece[0] == start else None
    if not max(span.lo, start) < min(span.hi, start + extent):
        return None
    lo = span.lo if seams[0] is None else max(span.lo, seams[0])
    hi = span.hi if seams[1] is None else min(span.hi, seams[1])
    return Span(lo - start, hi - start, span.why)


@stepped("cat")
def cat_step(part: Part) -> Step | None:
    """The operands that lie in the box, each as far as it does; constants among them."""
    dim = part.arg("dim") % len(part.out_shape)
    first, last = part.box[dim]
    start, taken = 0, list[tuple[Any, Box]]()
    for item in part.arg("tensors"):
        shape = part.shape(item)
        if len(shape) != len(part.out_shape):
            continue
        lo, hi = max(first - start, 0), min(last - start, shape[dim])
        if lo < hi:
            taken.append((item, (*part.box[:dim], (lo, hi), *part.box[dim + 1 :])))
        start += shape[dim]
    return joined_step(part, taken, dim)


def joined_step(part: Part, taken: Sequence[tuple[Any, Box]], dim: int) -> Step:
    """Parts of operands and of constants side by side along one axis."""
    reads = tuple((item.index, box) for item, box in taken if isinstance(item, Ref))
    constants = {n: cut(item, full(item.shape), box) for n, (item, box) in enumerate(taken) if isinstance(item, Tensor)}
    sizes = [box[dim][1] - box[dim][0] for _, box in taken]

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        given = iter(inputs)
        return [torch.cat([constants[n] if n in constants else next(given) for n in range(len(taken))], dim)], True

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        (g,) = grads
        assert g is not None
        return [each for n, each in enumerate(torch.split_with_sizes(g, sizes, dim)) if n not in constants]

    return Step(reads, part.writes, forward, backward, any_format=True, keeps="nothing")


varied("clone", "alias", "contiguous", "lift_fresh", "detach")(moved)
varied("cat")(joined_variance)


@varied("_to_copy")
def converted_variance(case: Case) -> Step:
    """Another number type: moments keep the pass' own."""
    dtype = case.call.arg("dtype")
    if dtype is not None and not dtype.is_floating_point:
        case.refuse("whole numbers have no gradient")
    return linear(case, argument(case.call, "dtype", None), shifts=False)


@varied("masked_fill")
def filled_variance(case: Case) -> Step:
    """A constant value at constant places."""
    only_refs(case, "self")
    value = case.call.arg("value")
    zero = value.new_zeros(value.shape) if isinstance(value, Tensor) else 0
    return linear(case, argument(case.call, "value", zero), shifts=True)


@varied("where")
def chosen_variance(case: Case) -> Step:
    """Places chosen by a constant condition."""
    if isinstance(case.call.arg("condition"), Ref):
        case.refuse("it chooses by a condition that depends on another tensor than what it chooses from")
    return linear(case, blanked(case.call), shifts=has_constants(case.call))
