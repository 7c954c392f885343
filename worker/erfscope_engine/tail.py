"""The last operators before a unit, run again on their own: what is put on the unit's channels is judged there.

Whether a sum of channels vanishes (behind a normalisation over channels it may, but for rounding), and whether a
gradient is rounding and nothing else, is decided by these operators alone; the way from there to the input is the
same for every seed. In float64 as well, so that rounding in a shorter number type does not pass for a gradient.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from erfscope_engine.execution.box import cut, lengths
from erfscope_engine.execution.fusion import Fused
from erfscope_engine.execution.memory import peak_bytes
from erfscope_engine.execution.numbers import items_of, steps_of
from erfscope_engine.execution.program import Program, Run, Target
from erfscope_engine.fields import Map
from erfscope_engine.layers import Traced
from erfscope_engine.operators.table import OPERATORS
from erfscope_engine.plan import MISFITS, bytes_of
from erfscope_engine.recording.tape import Call, Drawn
from erfscope_engine.room import memory_limit

LENGTHS = (12, 6, 3)  # operators that compute: the most of these that relate channels and are a small part of the whole
MOST_OF_PROGRAM = 0.25  # bytes of a tail in the network's number type, of those of the unit's whole program
SMALL = 32 << 20  # bytes that are no matter, whatever the program has
VANISHING = 1e-5  # rms gradient of the channel sum over that of random signs (behind a LayerNorm: 1e-8)
AS_WIDE = 3  # times the bytes of a tail, which it takes with its twin in float64
NOISE = 0.5  # of the largest gradient in float64: a difference beyond it leaves nothing in common
WIDE = {torch.complex64: torch.complex128, torch.complex32: torch.complex128}

Item = Call | Fused
Channels = str | tuple[int, ...]  # "sum", "random", or a list


@dataclass(frozen=True)
class Tail:
    """The last operators before a unit, which begin with the values of `edge`; `wide`: in float64 as well.

    `batch` is the axis of the samples in the target's box.
    """

    geometry: Map
    items: Sequence[Item]
    target: Target
    batch: int
    edge: tuple[int, ...]
    wide: bool

    def behind(self, run: Run, samples: int, put: Callable[[Channels, Tensor], Tensor]) -> "Behind":
        """Run again for the first samples of a run of the unit's whole program; `put` seeds the gradients."""
        value, box = self.target
        first = box[self.batch][0]
        part = (*box[: self.batch], (first, first + samples), *box[self.batch + 1 :])
        return Behind(self, run, (value, part), put)


@dataclass(frozen=True)
class Behind:
    """A tail behind a run of the whole program, planned and run when first asked."""

    tail: Tail
    run: Run
    target: Target
    put: Callable[[Channels, Tensor], Tensor]
    _gradients: dict[tuple[int, Channels], Tensor] = field(default_factory=dict)  # by run and channels

    def is_silent(self, channels: Channels) -> bool:
        """Whether these samples have no gradient at all, so that nothing can be judged by them."""
        return not self._gradient(self._exact or self._plain, channels).any()

    def vanishes(self, channels: Channels, other: Channels) -> bool:
        """Whether the gradient of these channels is nothing beside that of others, in float64 where it can be had."""
        passed = self._exact or self._plain
        return _rms(self._gradient(passed, channels)) < VANISHING * _rms(self._gradient(passed, other))

    def is_noise(self, channels: Channels) -> bool:
        """Whether a gradient has nothing in common with the same in float64."""
        if self._exact is None:
            return False
        truth, plain = self._gradient(self._exact, channels), self._gradient(self._plain, channels)
        return bool((truth - plain).abs().max() > NOISE * truth.abs().max()) if truth.numel() else False

    @cached_property
    def _plain(self) -> Run:
        return self._passed(_program(self.tail.geometry, self.tail.items, self.target))

    @cached_property
    def _exact(self) -> Run | None:
        """None where that cannot be had."""
        exact = _in_float64(self.tail.geometry, self.tail.items, self.target) if self.tail.wide else None
        with suppress(Exception):  # an operator that takes no doubles, of the user's own perhaps
            return None if exact is None else self._passed(exact)
        return None

    def _passed(self, program: Program) -> Run:
        boxes, own, edge = self.run.program.boxes, program.geometry.tape.values, self.tail.edge
        given = {k: (self.run.handed[k].to(own[k].dtype), boxes[k]) for k in edge if k in program.boxes}
        return program.run_on(given, [k for k in edge if k in self.run.live])

    def _gradient(self, run: Run, channels: Channels) -> Tensor:
        """The gradient at all values of the edge, one after the other, in double."""
        key = (id(run), channels)
        if key not in self._gradients:
            output = run.outputs[0]
            found = run.gradients(0, self.put(channels, output).to(output.dtype), self.tail.edge)
            parts = [self._spread(run, k, g) for k, g in zip(self.tail.edge, found, strict=True)]
            self._gradients[key] = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.double)
        return self._gradients[key]

    def _spread(self, run: Run, value: int, gradient: Tensor | None) -> Tensor:
        """The gradient of a part of a value as one of all that was handed out of it: programs may need other parts."""
        known, out = self.run.program.boxes[value], self.run.handed[value]
        whole = torch.zeros(lengths(known), dtype=_wide(out.dtype), device=out.device)
        if gradient is not None:
            cut(whole, known, run.program.boxes[value]).copy_(gradient)
        return (torch.view_as_real(whole) if whole.is_complex() else whole).flatten().double()


def tails_of(traced: Traced, program: Program, batches: Sequence[int]) -> list[Tail | None]:
    """The tail of each target of a program; None where even the shortest is a large part of it, or has no room.

    `batches` are the axes of the samples in the targets' boxes.
    """
    items, limit = items_of(traced.geometry, program.targets), max(MOST_OF_PROGRAM * bytes_of(traced, program), SMALL)
    most = memory_limit(traced.network.device)
    room = math.inf if most is None else most - peak_bytes(program)
    return [
        _tail(traced, _leading_to(items, target[0]), target, batch, limit, room)
        for target, batch in zip(program.targets, batches, strict=True)
    ]


def _tail(traced: Traced, items: Sequence[Item], target: Target, batch: int, limit: float, room: float) -> Tail | None:
    computing = [k for k, item in enumerate(items) if not _moves(_head(item))]
    for length in LENGTHS:
        chosen = items[computing[-length] :] if length < len(computing) else items
        wide = any(relates_channels(traced, _head(item)) for item in chosen)
        if not wide and length > LENGTHS[-1]:
            continue  # nothing there that a sum of channels could vanish in but what weights happen to do last
        program = _program(traced.geometry, chosen, target)
        size = bytes_of(traced, program)
        if (len(chosen) == len(items) or size <= limit) and size * (AS_WIDE if wide else 1) <= room:
            edge = program.boxes.keys() - {index for item in chosen for index in _made(item)}
            return Tail(traced.geometry, chosen, target, batch, tuple(sorted(edge)), wide)
    return None


def _moves(call: Call) -> bool:
    """Whether an operator only moves elements: no gradient is lost in it."""
    record = OPERATORS.get(call.name)
    return getattr(call.op, "is_view", False) or (record is not None and record.moves)


def _leading_to(items: Sequence[Item], value: int) -> list[Item]:
    """Those that a value depends on, in order."""
    needed, chosen = {value}, list[Item]()
    for item in reversed(items):
        if not needed.isdisjoint(_made(item)):
            chosen.append(item)
            needed |= {ref.index for ref in _head(item).refs}
    return chosen[::-1]


def relates_channels(traced: Traced, call: Call) -> bool:
    """Whether an operator relates the channels of a place, such that their sum may be the same whatever the input."""
    if "batch_norm" in call.name or not any(name in call.name for name in RELATING) or not call.refs:
        return False
    frames = traced.geometry.frames
    axes = frames[call.refs[0].index].axes
    dims = call.arg("dim") if call.has("dim") else None
    along = [dims] if isinstance(dims, int) else list(dims or range(1, len(axes)))
    runs = [axes[k] for k in along if axes[k] != frames[0].axes[0]]
    return any(digit.extent > 1 and not digit.follows for run in runs for digit in run)


RELATING = ("softmax", "norm", "var_mean", "mean", "logsumexp", "sum")


def _program(geometry: Map, items: Sequence[Item], target: Target) -> Program:
    return Program.of(geometry, items, partial(steps_of, geometry), [target])


def _head(item: Item) -> Call:
    return item.head if isinstance(item, Fused) else item


def _made(item: Item) -> set[int | None]:
    return {item.output} if isinstance(item, Fused) else set(item.outputs)


def _in_float64(geometry: Map, items: Sequence[Item], target: Target) -> Program | None:
    """The same operators on doubles; None where one of them cannot be planned so, or they are on doubles already."""
    if geometry.tape.values[target[0]].dtype == torch.float64:
        return None
    tape = replace(geometry.tape, values=[replace(v, dtype=_wide(v.dtype)) for v in geometry.tape.values])
    with suppress(*MISFITS):
        return _program(replace(geometry, tape=tape), [_widened(item) for item in items], target)
    return None


def _widened(item: Item) -> Item:
    head = _head(item)
    args, kwargs = tree_map(_widened_leaf, (head.args, head.kwargs))
    wide = replace(head, args=args, kwargs=kwargs)
    return replace(item, head=wide) if isinstance(item, Fused) else wide


def _widened_leaf(leaf: Any) -> Any:
    if isinstance(leaf, Drawn):
        return Drawn(leaf.values.to(_wide(leaf.values.dtype)))
    if isinstance(leaf, Tensor) and leaf.layout == torch.strided:  # one that is seen many times stays one
        one = leaf[tuple(slice(0, None if step else 1) for step in leaf.stride())]
        return one.to(_wide(leaf.dtype)).expand(leaf.shape)
    if isinstance(leaf, Tensor):
        return leaf.to(_wide(leaf.dtype))
    return _wide(leaf) if isinstance(leaf, torch.dtype) else leaf


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype.is_floating_point else WIDE.get(dtype, dtype)


def _rms(gradient: Tensor) -> float:
    return float(gradient.square().mean().sqrt()) if gradient.numel() else 0.0
