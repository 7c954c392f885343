"""The last operators before a unit, run again on their own: what is put on the unit's channels is judged there.

Whether a sum of channels vanishes (behind a normalisation over channels it may, but for rounding), and whether a
gradient is rounding and nothing else, is decided by these operators alone; the way from there to the input is the
same for every seed. In float64 as well, so that rounding in a shorter number type does not pass for a gradient.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from erfscope_engine.execution.fusion import Fused
from erfscope_engine.execution.numbers import items_of, steps_of
from erfscope_engine.execution.program import Program, Run, Target
from erfscope_engine.fields import Map
from erfscope_engine.layers import Traced
from erfscope_engine.operators.table import OPERATORS
from erfscope_engine.plan import MISFITS, bytes_of
from erfscope_engine.recording.tape import Call, Drawn

LENGTHS = (12, 6, 3)  # operators that compute: the most of these that are a small part of the whole program
MOST_OF_PROGRAM = 0.25  # bytes of a tail in the network's number type, of those of the unit's whole program
SMALL = 32 << 20  # bytes that are no matter, whatever the program has
VANISHING = 1e-5  # rms gradient of the channel sum over that of random signs (behind a LayerNorm: 1e-8)
NOISE = 0.5  # of the largest gradient in float64: a difference beyond it leaves nothing in common
WIDE = {torch.complex64: torch.complex128, torch.complex32: torch.complex128}

Item = Call | Fused
Seed = Callable[[Tensor], Tensor]  # the unit's output → what is put on it


@dataclass(frozen=True)
class Tail:
    """The last operators before a unit as a program, and the same in float64 where that can be had.

    `edge` are the values that they begin with.
    """

    edge: tuple[int, ...]
    plain: Program
    exact: Program | None

    def behind(self, run: Run) -> "Behind":
        """The tail on what a run of the unit's whole program has handed out."""
        return Behind(self, run)


@dataclass(frozen=True)
class Behind:
    """A tail run again behind a run of the whole program."""

    tail: Tail
    run: Run

    def vanishes(self, seed: Seed, other: Seed) -> bool:
        """Whether the gradient of one seed is nothing beside that of another, in float64 where it can be had."""
        passed = self._exact or self._plain
        return _rms(self._gradient(passed, seed)) < VANISHING * _rms(self._gradient(passed, other))

    def is_noise(self, seed: Seed) -> bool:
        """Whether a gradient has nothing in common with the same in float64."""
        if self._exact is None:
            return False
        truth, plain = self._gradient(self._exact, seed), self._gradient(self._plain, seed)
        return bool((truth - plain).abs().max() > NOISE * truth.abs().max()) if truth.numel() else False

    @cached_property
    def _plain(self) -> Run:
        return self._passed(self.tail.plain)

    @cached_property
    def _exact(self) -> Run | None:
        with suppress(Exception):  # an operator that takes no doubles, of the user's own perhaps
            return None if self.tail.exact is None else self._passed(self.tail.exact)
        return None

    def _passed(self, program: Program) -> Run:
        boxes, own, edge = self.run.program.boxes, program.geometry.tape.values, self.tail.edge
        given = {k: (self.run.handed[k].to(own[k].dtype), boxes[k]) for k in edge}
        return program.run_on(given, [k for k in edge if k in self.run.live])

    def _gradient(self, run: Run, seed: Seed) -> Tensor:
        """The gradient at all values of the edge, one after the other, in double."""
        output = run.outputs[0]
        found = run.gradients(0, seed(output).to(output.dtype), self.tail.edge)
        parts = [torch.view_as_real(g).flatten() if g.is_complex() else g.flatten() for g in found if g is not None]
        return torch.cat([part.double() for part in parts]) if parts else torch.zeros(0, dtype=torch.double)


def tails_of(traced: Traced, program: Program) -> list[Tail | None]:
    """The tail of each target of a program; None where even the shortest is a large part of it."""
    items, limit = items_of(traced.geometry, program.targets), max(MOST_OF_PROGRAM * bytes_of(traced, program), SMALL)
    return [_tail(traced, _leading_to(items, target[0]), target, limit) for target in program.targets]


def _tail(traced: Traced, items: Sequence[Item], target: Target, limit: float) -> Tail | None:
    computing = [k for k, item in enumerate(items) if not _moves(_head(item))]
    for length in LENGTHS:
        chosen = items[computing[-length] :] if length < len(computing) else items
        program = _program(traced.geometry, chosen, target)
        if len(chosen) == len(items) or bytes_of(traced, program) <= limit:
            edge = program.boxes.keys() - {index for item in chosen for index in _made(item)}
            wide = any(relates_channels(traced, _head(item)) for item in chosen)
            exact = _in_float64(traced.geometry, chosen, target) if wide else None
            return Tail(tuple(sorted(edge)), program, exact)
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
    if isinstance(leaf, Tensor):
        return leaf.to(_wide(leaf.dtype))
    return _wide(leaf) if isinstance(leaf, torch.dtype) else leaf


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype.is_floating_point else WIDE.get(dtype, dtype)


def _rms(gradient: Tensor) -> float:
    return float(gradient.square().mean().sqrt()) if gradient.numel() else 0.0
