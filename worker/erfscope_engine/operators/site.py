"""Sites: one recorded call as the records of operators see it, with the frames of what it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from erfscope_engine.geometry.digits import Digit
from erfscope_engine.geometry.frame import Frame, Link, everything, mixed
from erfscope_engine.geometry.regions import gather, pull, region_of
from erfscope_engine.geometry.seats import Seat, meet
from erfscope_engine.geometry.spans import Span
from erfscope_engine.recording.tape import Call, Ref, Tape

Reads = tuple[tuple[int, tuple[Link, ...]], ...]  # per operand: its value, and what it gives


@dataclass(frozen=True)
class Out:
    """One output of an operator: its frame, and what it reads of each operand."""

    frame: Frame
    reads: Reads


@dataclass(frozen=True)
class Site:
    """A call on its tape; `frames` are those of the values before it."""

    call: Call
    tape: Tape
    frames: Mapping[int, Frame]
    masked: bool = False  # kernels are as wide as their taps that are not 0

    @property
    def name(self) -> str:
        """The operator's ATen name."""
        return self.call.name

    def arg(self, name: str) -> Any:
        """An argument by its schema name, or its default."""
        return self.call.arg(name)

    def option(self, name: str, default: Any = None) -> Any:
        """An argument that not every overload has."""
        return self.call.arg(name) if self.call.has(name) else default

    @cached_property
    def refs(self) -> list[Ref]:
        """The recorded values that it reads, each once, in order of appearance."""
        return list(dict.fromkeys(self.call.refs))

    def frame(self, ref: Ref) -> Frame:
        """The frame of an operand."""
        return self.frames[ref.index]

    def shape(self, item: Any) -> tuple[int, ...]:
        """The shape of an operand, recorded or constant."""
        return self.tape.values[item.index].shape if isinstance(item, Ref) else tuple(item.shape)

    def out_shape(self, out: int = 0) -> tuple[int, ...]:
        """The shape of an output."""
        index = self.call.outputs[out]
        assert index is not None  # only tensors are asked for
        return self.tape.values[index].shape

    def made(self, ref: Ref) -> Call | None:
        """The call that an operand is an output of; None for the input."""
        place = self.tape.values[ref.index].made
        return None if place is None else self.tape.calls[place]

    def is_image_index(self, axis: int, place: Any) -> bool:
        """Whether a position along an input axis lies on the image."""
        return bool(0 <= place < self.tape.values[0].shape[axis])


def out(frame: Frame, *reads: tuple[Ref, Sequence[Link]]) -> Out:
    """An output with its reads."""
    return Out(frame, tuple((ref.index, tuple(links)) for ref, links in reads))


def unknown(site: Site) -> list[Out | None]:
    """No record: loud. Every operand whole, in the operator's name; a tensor of the same shape keeps its place."""
    return [None if index is None else unknown_output(site, k) for k, index in enumerate(site.call.outputs)]


def empty_output(site: Site, k: int) -> Out:
    """A tensor without elements, as the statistics that a batch norm saves in training: it reads nothing."""
    return out(Frame(tuple((Digit(n),) for n in site.out_shape(k)), site.frames[0].seats))


def unknown_output(site: Site, k: int) -> Out:
    """One output of an operator without a record."""
    shape, name = site.out_shape(k), site.name
    like = next((ref for ref in site.refs if site.shape(ref) == shape), None)
    batch = _batch_digit(site, shape)
    axes = site.frame(like).axes if like else tuple((Digit(n),) for n in shape)
    if like is None and batch is not None:
        axes = ((batch,), *axes[1:])
    seats = _mixed_seats(site)
    if like:
        seats = {a: replace(s, at=site.frame(like).seats[a].at) for a, s in seats.items()}
    reads = [(ref, _all_but(site.frame(ref), batch, name)) for ref in site.refs]
    return out(Frame(axes, seats), *reads)


def _all_but(frame: Frame, batch: Digit | None, name: str) -> list[Link]:
    """All of an operand's digits but that of the batch."""
    return everything([digit for digit in frame.digits if digit is not batch], name)


def _batch_digit(site: Site, shape: tuple[int, ...]) -> Digit | None:
    """The digit that counts samples, where all operands and the output have it in front: taken to be the batch."""
    runs = {site.frame(ref).axes[0] if site.frame(ref).axes else () for ref in site.refs}
    (run,) = runs if len(runs) == 1 else ((),)
    first = site.frames[0].axes[0]
    return first[0] if run == first and shape and shape[0] == first[0].extent else None


def _mixed_seats(site: Site) -> dict[int, Seat]:
    operands = [(mixed(site.frame(ref), site.frame(ref).digits, site.name), frozenset[int]()) for ref in site.refs]
    return meet(list(operands))


Box = tuple[tuple[int, int], ...]


def reads_of(made: Out, box: Box, frames: Mapping[int, Frame]) -> list[tuple[int, Box | None]]:
    """What a box of an output needs of each operand (unclipped: it may stick out), None where nothing."""
    region = region_of(made.frame, [Span(lo, hi) for lo, hi in box])
    needs: list[tuple[int, Box | None]] = []
    for index, links in made.reads:
        back = pull(region, links, frames[index], padded=True)
        spans = None if back is None else [gather(back, run) for run in frames[index].axes]
        empty = spans is None or None in spans
        needs.append((index, None if empty else tuple((s.lo, s.hi) for s in spans or () if s is not None)))
    return needs
