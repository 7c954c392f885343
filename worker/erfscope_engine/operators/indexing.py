"""Operators that take elements by a table of indices."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.geometry.digits import Digit, Run, follows_of, size
from erfscope_engine.geometry.frame import Frame, Link, Look, Window, everything, fixed, flat, starting, windowed
from erfscope_engine.geometry.seats import Seat
from erfscope_engine.geometry.spans import Span
from erfscope_engine.moments.rule import joined, moved
from erfscope_engine.operators.joins import pointwise
from erfscope_engine.operators.mixing import staying
from erfscope_engine.operators.site import Out, Site, out, unknown
from erfscope_engine.operators.slices import flipped, sliced
from erfscope_engine.operators.table import operator, varied
from erfscope_engine.recording.tape import Ref


@dataclass(frozen=True)
class Table:
    """The constant indices of one axis: `places` has an axis for each of `dims`, axes of the index' own shape."""

    axis: int
    places: Tensor
    dims: tuple[int, ...]
    grouped: bool = False  # one axis whose places come in equal groups: its digits are group and place in it

    def digits(self, new: list[Run]) -> Run:
        """The digits of the result that count its places."""
        return new[self.dims[0]] if self.grouped else tuple(digit for k in self.dims for digit in new[k])

    def renew(self, new: list[Run], digits: Run) -> None:
        """Put other digits in their place."""
        if self.grouped:
            new[self.dims[0]] = digits
        else:
            new_runs = dict(zip(self.dims, digits, strict=True))
            new[:] = [(new_runs[k],) if k in new_runs else run for k, run in enumerate(new)]


@operator("index", "_unsafe_index", "index_select")
def index(site: Site) -> Out:
    """Elements at constant indices: a table per axis; evenly spaced ones keep the axis."""
    x, tables = site.arg("self"), _tables(site)
    if isinstance(x, Tensor) and (looked_up := _of_constant(site)) is not None:
        return looked_up
    if tables is None or not isinstance(x, Ref):
        return unknown(site)[0]  # type: ignore[return-value]
    if len(tables) == 1 and (even := _as_slice(site, x, tables[0])) is not None:
        return even
    indexed = [table.axis for table in tables]
    shape = _joint_shape([table for _, table in _raw(site)])
    together = indexed == list(range(indexed[0], indexed[-1] + 1))
    first = indexed[0] if together else 0
    frame = site.frame(x)
    new: list[Run] = [(Digit(n),) for n in shape]
    seats = dict(frame.seats)
    for table in tables:
        if table.grouped:
            new[table.dims[0]] = tuple(Digit(n) for n in table.places.shape)
    for table in tables:
        seats = _taken(frame.axes[table.axis], seats, table, new)
    links = [
        Link(frame.axes[table.axis], tuple((digit,) for digit in table.digits(new)), _looked_up(table))
        for table in tables
        if frame.axes[table.axis]
    ]
    rest = [run for k, run in enumerate(frame.axes) if k not in indexed]
    axes = (*rest[:first], *(run if size(run) > 1 else () for run in new), *rest[first:])
    return out(Frame(axes, seats), (x, links))


def _of_constant(site: Site) -> Out | None:
    """Rows of a constant table at places that a tensor says: its places stay; None where several tensors say so."""
    given = [site.arg("index")] if site.name == "index_select" else site.arg("indices")
    if len(site.refs) != 1 or sum(each is not None for each in given) != 1:
        return None
    (ref,) = site.refs
    axis = site.arg("dim") if site.name == "index_select" else next(k for k, v in enumerate(given) if v is not None)
    frame, extents = site.frame(ref), site.arg("self").shape
    plain = [(Digit(n),) if n > 1 else () for n in extents]
    return out(Frame((*plain[:axis], *frame.axes, *plain[axis % len(extents) + 1 :]), frame.seats), (ref, []))


def _as_slice(site: Site, x: Ref, table: Table) -> Out | None:
    """A row of evenly spaced places is a slice, or a whole axis backward; None where it is neither."""
    steps = {int(step) for step in table.places.diff()} if table.places.dim() == len(table.dims) == 1 else set[int]()
    start, stop, n = int(table.places.flatten()[0]), int(table.places.flatten()[-1]), site.shape(x)[table.axis]
    if len(steps) != 1 or table.grouped:
        return None
    (step,) = steps
    if step > 0:
        return sliced(site, x, table.axis, start, stop + 1, step)
    return flipped(site, x, [table.axis]) if (step, start, stop) == (-1, n - 1, 0) else None


def _joint_shape(tables: list[Tensor]) -> tuple[int, ...]:
    return tuple(torch.broadcast_shapes(*(table.shape for table in tables)))  # type: ignore[no-untyped-call]


def _raw(site: Site) -> list[tuple[int, Tensor]]:
    """The given indices by axis; a mask along one axis is a list of places."""
    if site.name == "index_select":
        return [(site.arg("dim") % len(site.shape(site.arg("self"))), site.arg("index").reshape(-1))]
    given = [(k, table) for k, table in enumerate(site.arg("indices")) if table is not None]
    return [(k, t.nonzero()[:, 0] if t.dtype == torch.bool else t) for k, t in given]


def _tables(site: Site) -> list[Table] | None:
    """The constant tables; None where one depends on the input, or is a mask of several axes."""
    given: list[Any] = [site.arg("index")] if site.name == "index_select" else site.arg("indices")
    if any(isinstance(t, Ref) or (isinstance(t, Tensor) and t.dtype == torch.bool and t.dim() > 1) for t in given):
        return None
    raw = _raw(site)
    rank = len(_joint_shape([table for _, table in raw]))
    return [_table(site, axis, table.cpu(), rank) for axis, table in raw]


def _table(site: Site, axis: int, given: Tensor, rank: int) -> Table:
    extent = site.shape(site.arg("self"))[axis]
    places = torch.where(given < 0, given + extent, given)
    moving = [k for k in range(places.dim()) if places.shape[k] > 1]
    dims = tuple(rank - places.dim() + k for k in moving)
    if places.dim() == 1 and (groups := _in_groups(places)) is not None:
        return Table(axis, groups, dims, grouped=True)
    return Table(axis, places.reshape([places.shape[k] for k in moving] or [1]), dims)


def _in_groups(places: Tensor) -> Tensor | None:
    """A row of places as equal groups, each moved on evenly from the one before; None where it is not such."""
    moves = places.diff()
    jumps = (moves != moves.mode().values).nonzero()[:, 0] if len(moves) else moves
    if not len(jumps) or len(places) % (int(jumps[0]) + 1) or len(places) == int(jumps[0]) + 1 or not int(jumps[0]):
        return None
    groups = places.reshape(-1, int(jumps[0]) + 1)
    steps = groups.diff(dim=0)
    even = bool((steps == steps[0, 0]).all()) and bool((groups.diff(dim=1) == moves.mode().values).all())
    return groups if even and int(steps[0, 0]) and int(moves.mode().values) else None


def _taken(run: Run, seats: dict[int, Seat], table: Table, new: list[Run]) -> dict[int, Seat]:
    """Seats of what a table takes of one axis; evenly spaced places (but for borders) run along the axis still."""
    digit, flattened = flat(run, seats)
    if digit.axis is None:  # places along several axes became channels
        return fixed(seats, run, [Span(0, each.extent) for each in run]) if follows_of(run) else seats
    if table.places.dim() == len(table.dims) == 1 and (window := _even_window(table.places)) is not None:
        slid, moved_seats, _ = windowed((digit,), flattened, size(table.digits(new)), window)
        table.renew(new, (slid,))
        return moved_seats
    steps = _steps(table.places) if table.dims else None
    if steps is None:  # places in no even row: along the axis still, all of them one window
        table.renew(new, tuple(Digit(each.extent, digit.axis) for each in table.digits(new)))
        return fixed(flattened, (digit,), [Span(int(table.places.min()), int(table.places.max()) + 1)])
    pairs = zip(table.digits(new), steps, strict=True)
    table.renew(new, tuple(Digit(each.extent, digit.axis, digit.stride * step) for each, step in pairs))
    middle = [n // 2 for n in table.places.shape]
    zero = int(table.places[tuple(middle)]) - sum(m * step for m, step in zip(middle, steps, strict=True))
    return starting(flattened, digit, zero)


def _even_window(places: Tensor) -> Window | None:
    """A table of one axis as a window that slides evenly but for borders, every few places; None where it does not.

    Upsampling by indices takes each place several times: 0, 0, 0, 1, 1, 1. Two in three of those move on by 1 after
    two, but all of them after three: the lag at which most do is the right one.
    """
    count = len(places)
    shares = dict[int, float]()
    for lag in range(1, min(9, count)):
        moves = places[lag:] - places[:-lag]
        step = int(moves.mode().values)
        if step:
            shares[lag] = float((moves == step).float().mean())
    if max(shares.values(), default=0.0) <= 0.5:
        return None
    lag = max(shares, key=shares.__getitem__)  # the first of equals
    moves = places[lag:] - places[:-lag]
    step = int(moves.mode().values)
    start = next((i for i in range(min(count // 2, len(moves) - 1), -1, -1) if int(moves[i]) == step), 0)
    period = [int(places[min(start + k, count - 1)]) for k in range(lag)]

    def place(q: int) -> int:
        return period[(q - start) % lag] + (q - start) // lag * step

    scale = Fraction(step, lag)
    middle = sum((place(q) - scale * q for q in range(lag)), Fraction(0)) / lag
    return Window(scale, middle, lambda span: Span(place(span.lo), place(span.lo) + 1))


def _steps(places: Tensor) -> list[int] | None:
    """The step along each axis of a table that is even for the most part; None where it is not."""
    steps = [int(places.diff(dim=k).flatten().mode().values) for k in range(places.dim())]
    even = all((places.diff(dim=k) == s).float().mean() > 0.5 and s for k, s in enumerate(steps))
    return steps if even else None


def _looked_up(table: Table) -> Look:
    places, beyond = table.places, _beyond(table)

    def look(*spans: Span) -> Span:
        part = places
        for k, span in enumerate(spans):
            lo = min(max(span.lo, 0), part.shape[k] - 1)
            part = part.narrow(k, lo, max(min(span.hi, part.shape[k]) - lo, 1))
        why = frozenset().union(*(span.why for span in spans))
        read = [int(part.min()), int(part.max())]
        if beyond and (spans[0].lo < 0 or spans[0].hi > len(places)):
            read += [beyond(spans[0].lo), beyond(spans[0].hi - 1)]
        return Span(min(read), max(read) + 1, why)

    return look


def _beyond(table: Table) -> Callable[[int], int] | None:
    """Which place an index before or behind a table would have, where it is even up to both its ends."""
    if table.grouped or not table.places.dim() == len(table.dims) == 1:
        return None
    window = _even_window(table.places)

    def place(index: int) -> int:
        span = window.look(Span(index, index + 1)) if window else None
        return span.lo if span else 0

    ends = (0, len(table.places) - 1)
    return place if window and all(place(k) == table.places[k] for k in ends) else None


@operator("gather", "take_along_dim")
def gather(site: Site) -> Out:
    """Elements along one axis at places that a tensor says: all of that axis."""
    x, places = site.arg("self"), site.arg("index")
    rank = len(site.shape(x))
    dim = site.arg("dim") % rank
    if not isinstance(x, Ref) or any(site.shape(x)[k] != site.out_shape()[k] for k in range(rank) if k != dim):
        return unknown(site)[0]  # type: ignore[return-value]
    made = staying(site, x, [dim])
    if site.out_shape()[dim] == site.shape(x)[dim] and not isinstance(places, Ref):
        return made
    frame = site.frame(x)
    chosen = site.frame(places).axes[dim] if isinstance(places, Ref) else (Digit(site.out_shape()[dim]),)
    axes = (*frame.axes[:dim], chosen, *frame.axes[dim + 1 :])
    reads = [(x, everything(frame.axes[dim], site.name))]
    if isinstance(places, Ref):
        shared = {digit for run in axes for digit in run}
        rest = [digit for digit in site.frame(places).digits if digit not in shared]
        reads.append((places, everything(rest, site.name)))
    return out(Frame(axes, made.frame.seats), *reads)


@operator("index_put", "_unsafe_index_put", "index_add", "index_copy", "index_fill", "scatter", "scatter_add",
          "scatter_reduce", "masked_scatter", "diagonal_scatter", "select_scatter", "index_reduce")  # fmt: skip
def written(site: Site) -> Out:
    """Elements written at places: each place keeps its own, and may read any of what is written."""
    base = site.arg("self")
    if not isinstance(base, Ref):
        return unknown(site)[0]  # type: ignore[return-value]
    frame = site.frame(base)
    reads = [(base, list[Link]())]
    shared = set(frame.axes[0]) if frame.axes else set()
    for other in site.refs:
        if other != base:
            digits = [digit for digit in site.frame(other).digits if digit not in shared]
            reads.append((other, everything(digits, site.name)))
    return out(frame, *reads)


@operator("embedding")
def embedding(site: Site) -> Out:
    """A constant table read at places that depend on the input: place by place, without a gradient."""
    places = site.arg("indices")
    if not isinstance(places, Ref) or isinstance(site.arg("weight"), Ref):
        return unknown(site)[0]  # type: ignore[return-value]
    frame = site.frame(places)
    return out(Frame((*frame.axes, (Digit(site.out_shape()[-1]),)), frame.seats), (places, []))


@operator("bucketize", "searchsorted", "nan_to_num")
def looked(site: Site) -> Out:
    """Place by place."""
    return pointwise(site)


varied("index", "_unsafe_index", "index_select", "gather")(moved)
varied("select_scatter")(joined)
