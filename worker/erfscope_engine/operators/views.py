"""Operators that deal the digits of an index out anew: views, permutations, repeats, pixel shuffles."""

from collections.abc import Iterator, Sequence
from math import prod

from erfscope_engine.execution.box import Box, lengths
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step, linear
from erfscope_engine.geometry.digits import Digit, Piece, Run, deal, follows_of, size
from erfscope_engine.geometry.frame import Frame, Link, first_of, fixed, same
from erfscope_engine.geometry.spans import Span, fuse
from erfscope_engine.moments.rule import moved as moved_variance
from erfscope_engine.operators.joins import joined, piece_links, pointwise
from erfscope_engine.operators.site import Out, Site, empty_output, out, unknown
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.recording.tape import Ref


def dealt(digits: Run, shape: Sequence[int]) -> tuple[list[Run], list[Link]]:
    """Digits dealt out to axes of these extents, and the links of those that had to be cut."""
    axes, cuts = deal(digits, tuple(shape))
    return axes, [Link(old, (new,), same) for old, new in cuts]


def moved(site: Site, axes: Sequence[Run], links: Sequence[Link] = ()) -> Out:
    """The only operand with other axes."""
    (ref,) = site.refs
    return out(Frame(tuple(axes), site.frame(ref).seats), (ref, links))


@operator("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "_reshape_copy", moves=True)
def view(site: Site) -> Out:
    """Axes regrouped: digits stay what they are, one that straddles two axes is cut."""
    (ref,) = site.refs
    if site.call.has("dtype"):  # other number types of the same bytes
        return unknown(site)[0]  # type: ignore[return-value]
    if site.shape(ref) == site.out_shape():
        return pointwise(site)
    if 0 in site.out_shape():
        return empty_output(site, 0)
    frame = site.frame(ref)
    axes, links = dealt(frame.digits, site.out_shape())
    seats = frame.seats
    for copies in {digit for link in links for digit in link.to if _is_copies(digit)}:
        opened = _opened(frame.digits, copies, site.out_shape())
        if opened:
            return out(Frame(tuple(opened[0]), {**seats, **copies.pieces[0].seats}), (ref, opened[1]))
    for link in links:
        if follows_of(link.to) and not follows_of(link.of[0]):  # renumbered: places became channels
            seats = fixed(seats, link.to, [Span(0, digit.extent) for digit in link.to])
    alone = [_alone(run, site.frames[0].axes[0]) for run in axes]
    left = tuple(digit for run, kept in zip(axes, alone, strict=True) for digit in run if digit not in kept)
    return out(Frame(tuple(alone), seats), (ref, [*links, *first_of(left)]))


def _alone(run: Run, batch: Run) -> Run:
    """A digit along the input without the digits of one position beside it: alone, it goes on beyond the border.

    With one of another axis (a channel beside rows) it would be a row along two axes, which no operator slides along.
    """
    long = [digit for digit in run if digit.extent > 1]
    if len(long) != 1 or len(run) == 1 or long[0].axis is None or set(run) & set(batch):
        return run
    beside = [digit for digit in run if digit.extent == 1]
    return run if any(long[0].axis in digit.follows for digit in beside) else (long[0],)


def _is_copies(digit: Digit) -> bool:
    """Whether a digit counts the copies of one tensor, one behind another: half of an upsampling by views."""
    first, *others = digit.pieces or (None,)
    alike = all(piece.digits == first.digits and piece.seats == first.seats for piece in others if first)
    return bool(others) and alike and first is not None and len(digit.pieces) * size(first.digits) == digit.extent


def _opened(digits: Run, copies: Digit, shape: Sequence[int]) -> tuple[list[Run], list[Link]] | None:
    """Digits dealt out where a view cuts copies: which of them, and then what each is made of; None where it cannot."""
    first = copies.pieces[0]
    inner = (Digit(len(copies.pieces)), *first.digits)
    place = digits.index(copies)
    axes, cuts = deal((*digits[:place], *inner, *digits[place + 1 :]), tuple(shape))
    if any(len(old) > 1 for old, _ in cuts):
        return None  # renumbered together with others
    new = {old[0]: run for old, run in cuts}

    def look(_: Span, *spans: Span) -> Span:
        inside = fuse(first.digits, spans) or Span(0, 0)
        return Span(inside.lo, inside.hi, inside.why, (first.start, spans))  # the first copy stands for all

    links = [Link((copies,), tuple(new.get(digit, (digit,)) for digit in inner), look)]
    return axes, links + [Link((old,), (run,), same) for old, run in new.items() if old not in inner]


@operator("permute", "permute_copy", moves=True, part="permute")
def permute(site: Site) -> Out:
    """Axes in another order."""
    axes = site.frame(site.refs[0]).axes
    return moved(site, [axes[k] for k in site.arg("dims")])


@operator("transpose", "t", "transpose_copy", "t_copy", moves=True, part="permute")
def transpose(site: Site) -> Out:
    """Two axes change places."""
    axes = list(site.frame(site.refs[0]).axes)
    if len(axes) < 2:
        return moved(site, axes)
    a, b = (site.arg("dim0"), site.arg("dim1")) if site.call.has("dim0") else (0, 1)
    axes[a], axes[b] = axes[b], axes[a]
    return moved(site, axes)


@operator("unsqueeze", "unsqueeze_copy", moves=True)
def unsqueeze(site: Site) -> Out:
    """An axis of one position more."""
    axes = list(site.frame(site.refs[0]).axes)
    axes.insert(site.arg("dim") % (len(axes) + 1), ())
    return moved(site, axes)


@operator("squeeze", "squeeze_copy", moves=True)
def squeeze(site: Site) -> Out:
    """Axes of one position go."""
    (ref,) = site.refs
    shape, dims = site.shape(ref), site.option("dim")
    dims = range(len(shape)) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {d % len(shape) for d in dims if shape[d] == 1}
    axes = site.frame(ref).axes
    lost = [digit for k in sorted(gone) for digit in axes[k]]
    return moved(site, [run for k, run in enumerate(axes) if k not in gone], first_of(tuple(lost)))


@operator("expand", "expand_copy", moves=True)
def expand(site: Site) -> Out:
    """An axis of one position seen as many."""
    return pointwise(site)


@operator("repeat", moves=True)
def repeat(site: Site) -> Out:
    """Copies side by side: along space a join of the tensor with itself, elsewhere an outer digit that counts them."""
    (ref,) = site.refs
    times, frame = site.arg("repeats"), site.frame(ref)
    rows = [()] * (len(times) - len(frame.axes)) + list(frame.axes)
    axes, seats, ways = list[Run](), dict(frame.seats), [list[Link]()]
    for count, run in zip(times, rows, strict=True):
        if count > 1 and follows_of(run):
            pieces = tuple(Piece(k * size(run), run, frame.seats) for k in range(count))
            digit, seats = joined(pieces, count * size(run), seats, count)
            seams = [(p.start if k else None, p.stop if k < count - 1 else None) for k, p in enumerate(pieces)]
            each = [piece_links(run, digit, p.start, seam) for p, seam in zip(pieces, seams, strict=True)]
            ways = [[*way, *links] for way in ways for links in each]
            axes.append((digit,))
        else:
            axes.append(((Digit(count),) if count > 1 else ()) + run)
    return out(Frame(tuple(axes), seats), *((ref, way) for way in ways))


@operator("pixel_shuffle", moves=True)
def pixel_shuffle(site: Site) -> Out:
    """Channels become phases of space."""
    (ref,) = site.refs
    run, factor = site.frame(ref).axes, site.arg("upscale_factor")
    (channels, rows, columns), links = dealt(run[-3], (site.out_shape()[-3], factor, factor))
    return moved(site, (*run[:-3], channels, (*run[-2], *rows), (*run[-1], *columns)), links)


@operator("pixel_unshuffle", moves=True)
def pixel_unshuffle(site: Site) -> Out:
    """Phases of space become channels."""
    (ref,) = site.refs
    run, factor = site.frame(ref).axes, site.arg("downscale_factor")
    height, width = site.out_shape()[-2:]
    (rows, row_phase), first = dealt(run[-2], (height, factor))
    (columns, column_phase), second = dealt(run[-1], (width, factor))
    return moved(site, (*run[:-3], (*run[-3], *row_phase, *column_phase), rows, columns), first + second)


@operator("channel_shuffle", "native_channel_shuffle", moves=True)
def channel_shuffle(site: Site) -> Out:
    """Groups of channels interleaved."""
    (ref,) = site.refs
    axes, groups = site.frame(ref).axes, site.arg("groups")
    (outer, inner), links = dealt(axes[1], (groups, site.shape(ref)[1] // groups))
    return moved(site, (axes[0], inner + outer, *axes[2:]), links)


@operator("as_strided", "as_strided_copy")
def as_strided(site: Site) -> Out:
    """Windows as strides over a tensor whose memory is in order (what a short-time Fourier transform does)."""
    (ref,) = site.refs
    places = _places(site, ref)
    if places is None:
        return unknown(site)[0]  # type: ignore[return-value]
    shape = site.shape(ref)
    if shape == site.out_shape() and all(
        p == [(k, 1)] or n == 1 for k, (p, n) in enumerate(zip(places, shape, strict=True))
    ):
        return pointwise(site)  # as it was, seen in another order of memory
    from erfscope_engine.operators.columns import taken_by_strides

    return taken_by_strides(site, ref, places)


def _places(site: Site, ref: Ref) -> list[list[tuple[int, int]]] | None:
    """By axis of the operand: (output axis, step in elements of that axis); None where strides do not tell."""
    shape, order = site.shape(ref), site.tape.values[ref.index].order
    if order != tuple(range(len(shape))) or site.arg("storage_offset"):
        return None
    pitches = [1] * len(shape)
    for k in range(len(shape) - 2, -1, -1):
        pitches[k] = pitches[k + 1] * shape[k + 1]
    places: list[list[tuple[int, int]]] = [[] for _ in shape]
    for k, (extent, stride) in enumerate(zip(site.out_shape(), site.arg("stride"), strict=True)):
        if extent == 1:
            continue
        axis = next(
            (a for a, n in enumerate(shape) if n > 1 and pitches[a] <= stride and stride % pitches[a] == 0), None
        )
        if axis is None:
            return None
        places[axis].append((k, stride // pitches[axis]))
    inside = all(
        sum((site.out_shape()[k] - 1) * step for k, step in taken) < n for taken, n in zip(places, shape, strict=True)
    )
    return places if inside else None


@stepped("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "squeeze", "unsqueeze")
def regrouped(part: Part) -> Step | None:
    """The same elements in another shape, where the box is a box of the operand too."""
    (ref,) = part.site.refs
    read = part.read(ref)
    if read is None or part.call.has("dtype"):
        return None
    size, before = lengths(part.box), lengths(read)
    if prod(size) != prod(before) or not _in_order(part, ref, read):
        return None
    return linear(part, ref, read, lambda x: x.reshape(size), lambda g: g.reshape(before))


def _in_order(part: Part, ref: Ref, read: Box) -> bool:
    """Whether elements come in the same order: of every block of axes that is regrouped, one row without gaps."""
    shape, size, before = part.out_shape, lengths(part.box), lengths(read)
    return all(
        _is_plain(shape[new], size[new], part.shape(ref)[old], before[old])
        for new, old in axis_blocks(shape, part.shape(ref))
    )


def _is_plain(new: tuple[int, ...], size: tuple[int, ...], old: tuple[int, ...], before: tuple[int, ...]) -> bool:
    if len(new) == len(old) == 1:
        return size == before
    return _is_row(new, size) and _is_row(old, before) and prod(size) == prod(before)


def _is_row(shape: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether a box's elements are neighbours in memory: one position, then a range, then whole axes."""
    cut = next((k for k, m in enumerate(size) if m != 1), len(size))
    return size[cut + 1 :] == shape[cut + 1 :]


def axis_blocks(new: Sequence[int], old: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """The smallest groups of axes that hold the same elements on both sides of a view."""
    i = j = 0
    while i < len(new) or j < len(old):
        first, start = i, j
        left = right = 1
        while i < len(new) or j < len(old):
            if (left <= right and i < len(new)) or j == len(old):
                left, i = left * new[i], i + 1
            else:
                right, j = right * old[j], j + 1
            if left == right and i > first and j > start:
                break
        yield slice(first, i), slice(start, j)


@stepped("expand")
def expanded(part: Part) -> Step | None:
    """One position seen as many."""
    (ref,) = part.site.refs
    read = part.read(ref)
    if read is None:
        return None
    size, before = lengths(part.box), lengths(read)
    return linear(part, ref, read, lambda x: x.expand(size), lambda g: g.sum_to_size(before))


varied(
    "view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "squeeze", "squeeze_copy", "unsqueeze",
    "unsqueeze_copy", "permute", "permute_copy", "transpose", "transpose_copy", "t", "expand", "expand_copy", "repeat",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle",
)(moved_variance)  # fmt: skip
