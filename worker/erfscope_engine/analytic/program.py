"""The analytic program of some units: transfers in order, walked once forward for moments, once back per unit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from erfscope_engine.analytic import arithmetic, moves, norms, products, separable
from erfscope_engine.analytic.functions import function_of
from erfscope_engine.analytic.moments import Moments
from erfscope_engine.analytic.transfer import RULES, Case, Transfer, is_float
from erfscope_engine.cone.box import Box, cut, full, hull
from erfscope_engine.cone.program import Target
from erfscope_engine.regions.table import Call
from erfscope_engine.tape import Entry, Tape

__all__ = ["OutOfRangeError", "Pass", "Program", "arithmetic", "moves", "norms", "products", "separable"]

LOW, HIGH = 1e-30, 1e30  # where float32 is left for float64


class OutOfRangeError(Exception):
    """A number came near the end of the range of its type."""


@dataclass(frozen=True)
class Program:
    """Transfers in order, the box that is kept of every value, and the targets."""

    transfers: tuple[Transfer, ...]
    boxes: dict[int, Box]
    targets: tuple[Target, ...]

    @classmethod
    def of(cls, tape: Tape, targets: Sequence[Target], dtype: torch.dtype, *, drawn: bool) -> "Program":
        """Plan the program that holds all targets, on the positions that they need."""
        tape = _converted(tape, dtype)
        boxes: dict[int, Box] = {}
        for value, box in targets:
            boxes[value] = hull(boxes.get(value), box)
        transfers: list[Transfer] = []
        for entry in reversed(tape.ancestors(list(boxes))):
            for made in _transfers(tape, entry, boxes, drawn=drawn):
                transfers.append(made)
                for index, produced in made.writes:
                    if index is not None:
                        boxes[index] = produced
                for index, read in made.reads:
                    boxes[index] = hull(boxes.get(index), read)
        return cls(tuple(reversed(transfers)), boxes, tuple(targets))

    @property
    def notes(self) -> list[str]:
        """What is approximate, in words."""
        return list(dict.fromkeys(made.note for made in self.transfers if made.note))

    def run(self, x: Moments) -> "Pass":
        """Forward; `x` are the moments of the whole input."""
        store: dict[int, Moments] = {}
        if 0 in self.boxes:
            store[0] = _cut(x, full(x.variance.shape), self.boxes[0])
        last = {index: n for n, made in enumerate(self.transfers) for index, _ in made.reads}
        kept, live = list[Any](), {0}
        for n, made in enumerate(self.transfers):
            inputs = [_cut(store[index], self.boxes[index], read) for index, read in made.reads]
            outs, keeps = made.forward(inputs)
            useful = keeps is not None and any(index in live for index, _ in made.reads)
            kept.append(keeps if useful else None)
            for (index, _), out in zip(made.writes, outs, strict=False):
                if index is not None:
                    _in_range(out.variance)
                    store[index] = out
                    live |= {index} if useful else set()
            for index, _ in made.reads:
                if last[index] == n:
                    store.pop(index, None)
        return Pass(self, kept, live)


def _cut(x: Moments, own: Box, wanted: Box) -> Moments:
    return Moments(None if x.mean is None else cut(x.mean, own, wanted), cut(x.variance, own, wanted))


@dataclass(frozen=True)
class Pass:
    """One forward pass: what going back needs."""

    program: Program
    kept: list[Any]
    live: set[int]

    def is_differentiable(self, target: int) -> bool:
        """Whether a gradient can go back from a target at all."""
        return self.program.targets[target][0] in self.live

    def back(self, target: int, seed: Tensor) -> Tensor | None:
        """The expected squared gradient on the input's box of what `seed` puts on a target; None where none arrives."""
        value, box = self.program.targets[target]
        pending: dict[int, Tensor] = {value: _widened(seed, box, self.program.boxes[value])}
        for made, keeps in zip(reversed(self.program.transfers), reversed(self.kept), strict=True):
            grads = [pending.pop(index, None) if index is not None else None for index, _ in made.writes]
            if keeps is None or all(g is None for g in grads):
                continue
            for (index, read), g in zip(made.reads, made.backward(keeps, grads), strict=False):
                if g is not None:
                    _in_range(g)
                    part = _widened(g.clamp_min(0), read, self.program.boxes[index])
                    pending[index] = pending[index] + part if index in pending else part
        return pending.get(0)


def _widened(part: Tensor, own: Box, wanted: Box) -> Tensor:
    """A part in the box that is kept of its value, 0 around it."""
    if own == wanted:
        return part
    whole = part.new_zeros([hi - lo for lo, hi in wanted])
    cut(whole, wanted, own).copy_(part)
    return whole


def _in_range(x: Tensor) -> None:
    """Leave float32 before its numbers get lost: squares of gradients span twice the exponents of gradients."""
    if x.dtype == torch.float32 and x.numel():
        top = float(x.max())
        if top and not LOW < top < HIGH:
            raise OutOfRangeError


def _transfers(tape: Tape, entry: Entry, boxes: dict[int, Box], *, drawn: bool) -> list[Transfer]:
    wanted = [(out, index) for out, index in enumerate(entry.outputs) if index is not None and index in boxes]
    made = [_transfer(Case(Call(entry, tape, out), boxes[index], drawn)) for out, index in wanted]
    whole = [each for each in made if sum(index is not None for index, _ in each.writes) > 1]
    return whole[:1] or made  # an operator on whole tensors gives all of its outputs at once


def _transfer(case: Case) -> Transfer:
    made = function_of(case)
    if made is not None:
        return made
    rule = RULES.get(case.name)
    if rule is None:
        case.refuse("there is no rule for it")
    return rule(case)


def _converted(tape: Tape, dtype: torch.dtype) -> Tape:
    """The tape with its constants in the pass' number type."""

    def convert(item: Any) -> Any:
        return item.to(dtype) if is_float(item) else item

    entries = []
    for entry in tape.entries:
        args, kwargs = tree_map(convert, (entry.args, entry.kwargs))
        entries.append(replace(entry, args=args, kwargs=kwargs))
    return Tape(tape.values, entries, tape.names, tape.stopped)
