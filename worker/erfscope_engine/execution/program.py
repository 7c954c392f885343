"""The program of some units: which part of every tensor they need, and the steps that compute just that, and back.

Planned backward from the units' boxes: an operator is asked for the step that fills the part that its readers need;
where none can work on a part, it runs on whole tensors. So a wrong number is never the price of speed. The same program
runs on numbers (gradients) and on moments (expected squared gradients): only the makers of steps differ.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from erfscope_engine.execution.box import Box, cut, full, hull, layout_of, lengths
from erfscope_engine.execution.step import Scaled, Step
from erfscope_engine.recording.tape import Call

if TYPE_CHECKING:
    from erfscope_engine.fields import Map

aten = torch.ops.aten
Target = tuple[int, Box]  # a value, and the box of it that is wanted
Maker = Callable[[Call, dict[int, Box]], Sequence[Step]]  # a call, the boxes wanted so far → its steps


@dataclass(frozen=True)
class Piece:
    """A gradient of a part of a value, times `factor` where it has one (see `Scaled`).

    `owned` says that nobody else holds the memory of `grad`: it may be overwritten.
    """

    box: Box
    grad: Tensor
    owned: bool
    factor: Tensor | None = None


@dataclass(frozen=True)
class Program:
    """Steps in order, the box that is kept of every value, and the targets (one unit, or several that share a run).

    `handed` are values that a run hands out beside its targets, as it has them.
    """

    geometry: "Map"
    steps: tuple[Step, ...]
    boxes: dict[int, Box]
    targets: tuple[Target, ...]
    handed: frozenset[int] = frozenset()

    @classmethod
    def of(cls, geometry: "Map", calls: Sequence[Any], make: Any, targets: Sequence[Target]) -> "Program":
        """Plan the program that holds all targets; `make(call, boxes)` gives the steps of one of `calls`."""
        boxes: dict[int, Box] = {}
        for value, box in targets:
            boxes[value] = hull(boxes.get(value), box)
        steps: list[Step] = []
        for call in reversed(calls):
            for step in make(call, boxes):
                steps.append(step)
                for index, produced in step.writes:
                    if index is not None:
                        boxes[index] = produced
                for index, read in step.reads:
                    boxes[index] = hull(boxes.get(index), read)
        return cls(geometry, tuple(reversed(steps)), boxes, tuple(targets))

    @property
    def notes(self) -> list[str]:
        """What is approximate, in words."""
        return list(dict.fromkeys(step.note for step in self.steps if step.note))

    def run(self, x: Any, box: Box | None = None) -> "Run":
        """Forward, without autograd; `x` is the part of the input in `box`, all of it without (numbers, or moments)."""
        return self.run_on({0: (x, box or full(x.shape))} if 0 in self.boxes else {}, {0})

    def run_on(self, given: Mapping[int, tuple[Any, Box]], live: Iterable[int]) -> "Run":
        """Forward from values that are known, with the box that is known of each.

        Gradients go back to those that are `live`.
        """
        store = {index: _part(part, box, self.boxes[index]) for index, (part, box) in given.items()}
        last = {index: n for n, step in enumerate(self.steps) for index, _ in step.reads}
        wanted = {value for value, _ in self.targets} | self.handed
        kept: list[Any] = []
        live = set(live)
        with torch.no_grad():
            for n, step in enumerate(self.steps):
                inputs = [self._input(store, step, index, read) for index, read in step.reads]
                outs, keeps = _forward(step, inputs)
                useful = keeps is not None and any(index in live for index, _ in step.reads)
                kept.append(keeps if useful else None)
                for (index, _), result in zip(step.writes, outs, strict=False):
                    if index is not None:
                        store[index] = result
                        live |= {index} if useful else set()
                for index, _ in step.reads:
                    if last[index] == n and index not in wanted:
                        store.pop(index, None)
        outputs = tuple(_part(store[value], self.boxes[value], box) for value, box in self.targets)
        return Run(self, outputs, kept, live, {index: store[index] for index in self.handed})

    def _input(self, store: dict[int, Any], step: Step, index: int, read: Box) -> Any:
        part = _part(store[index], self.boxes[index], read)
        return part if step.any_format else _ordered(part, self.geometry.tape.values[index].order)


def _part(x: Any, own: Box, wanted: Box) -> Any:
    return cut(x, own, wanted) if isinstance(x, Tensor) else x.cut(own, wanted)


def _ordered(x: Any, order: tuple[int, ...]) -> Any:
    """A tensor with its axes in memory as they were when the network was recorded."""
    if not isinstance(x, Tensor) or x.dim() < 2:
        return x
    if order == tuple(range(len(order))):
        return x.contiguous()
    seen = x.permute(order)
    return x if seen.is_contiguous() else seen.contiguous().permute([order.index(k) for k in range(len(order))])


@dataclass(frozen=True)
class Run:
    """One forward run: the targets' boxes, and what going back needs."""

    program: Program
    outputs: tuple[Any, ...]
    kept: list[Any]
    live: set[int]
    handed: dict[int, Any]

    def is_differentiable(self, target: int) -> bool:
        """Whether a gradient can go back from a target at all."""
        return self.program.targets[target][0] in self.live

    def back(self, target: int, seed: Tensor) -> Tensor | None:
        """The gradient of `seed` · output of a target with respect to the input's box; None where nothing arrives."""
        return self.gradients(target, seed, [0])[0]

    def gradients(self, target: int, seed: Tensor, ends: Sequence[int]) -> list[Tensor | None]:
        """The gradient of `seed` · output of a target with respect to values that no step makes."""
        value, box = self.program.targets[target]
        pending: dict[int, list[Piece]] = {value: [Piece(box, seed, False)]}
        with torch.no_grad():
            for step, keeps in zip(reversed(self.program.steps), reversed(self.kept), strict=True):
                pieces = [pending.pop(index, []) if index is not None else [] for index, _ in step.writes]
                if keeps is None or not any(pieces):
                    continue
                grads = [_gathered(each, box) for each, (_, box) in zip(pieces, step.writes, strict=True)]
                for index, piece in _backward(step, keeps, grads):
                    pending.setdefault(index, []).append(piece)
            totals = [_gathered(pending.get(end, []), self.program.boxes.get(end, ())) for end in ends]
        return [None if total is None else total.grad for total in totals]


def _forward(step: Step, inputs: Sequence[Any]) -> tuple[Sequence[Any], Any]:
    if not step.relu:
        return step.forward(inputs)
    outs, kept = (step.rectified or step.forward)(inputs)
    if step.rectified is None:
        outs = [outs[0].relu_() if step.fresh else torch.relu(outs[0])]
    return outs, None if kept is None else (kept, outs[0])


def _backward(step: Step, kept: Any, grads: Sequence[Piece | None]) -> Iterator[tuple[int, Piece]]:
    """Gradients of what a step read; a ReLU's mask is its own output."""
    seeds = list(grads)
    if step.relu:
        (piece,), (kept, mask) = seeds, kept
        assert piece is not None
        seeds = [_masked(piece, mask)]
    if step.pointwise is not None:
        (piece,) = [seed for seed in seeds if seed is not None]
        g = step.pointwise(kept, piece.grad, piece.grad if piece.owned else None)
        yield step.reads[0][0], Piece(step.reads[0][1], g, piece.owned or _memory(g) != _memory(piece.grad))
        return
    back = step.backward(kept, [None if seed is None else seed.grad for seed in seeds])
    users = Counter(_memory(g.grad if isinstance(g, Scaled) else g) for g in back if g is not None)
    shared = {_memory(seed.grad) for seed in seeds if seed is not None and not seed.owned}
    for (index, read), result in zip(step.reads, back, strict=False):
        if result is not None:
            g, factor = result if isinstance(result, Scaled) else (result, None)
            owned = users[_memory(g)] == 1 and _memory(g) not in shared and _is_writable(g)
            yield index, Piece(read, g, owned, factor)


def _masked(piece: Piece, mask: Tensor) -> Piece:
    if piece.owned and piece.grad.stride() == mask.stride():
        aten.threshold_backward.grad_input(piece.grad, mask, 0, grad_input=piece.grad)
        return piece
    return Piece(piece.box, aten.threshold_backward(piece.grad, mask, 0), True)


def _is_writable(tensor: Tensor) -> bool:
    """Whether every element has memory of its own (an expanded tensor's have not)."""
    return all(step or extent == 1 for step, extent in zip(tensor.stride(), tensor.shape, strict=True))


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _gathered(pieces: Sequence[Piece], box: Box) -> Piece | None:
    """The sum of gradients of parts of a box; the first one that nobody else holds is the ground for the others."""
    if not pieces:
        return None
    if len(pieces) == 1 and pieces[0].box == box:
        return _computed(pieces[0])
    whole = [piece for piece in pieces if piece.box == box]
    rest = [piece for piece in pieces if piece.box != box]
    if not whole:
        return Piece(box, _placed(rest, box), True)
    ground = next((piece for piece in whole if piece.owned), whole[0])
    others = [piece for piece in whole if piece is not ground]
    total = ground
    for piece in sorted(others, key=lambda piece: _is_writable(piece.grad)):  # what is expanded joins a product first
        total = _sum(total, piece)
    total = _computed(total, fresh=True)
    for piece in rest:
        cut(total.grad, box, piece.box).add_(_computed(piece).grad)
    return total


def _computed(piece: Piece, *, fresh: bool = False) -> Piece:
    """A piece without a factor, in memory of its own where that is asked for."""
    if piece.factor is not None:
        product = torch.mul(piece.grad, piece.factor, out=piece.grad if piece.owned else None)
        return Piece(piece.box, product, True)
    return Piece(piece.box, piece.grad.clone(), True) if fresh and not piece.owned else piece


def _sum(a: Piece, b: Piece) -> Piece:
    """Of two pieces of one box, into one of them that may be overwritten; a factor is applied on the way."""
    if a.factor is not None:
        a, b = (_computed(a) if b.factor is not None else b), (b if b.factor is not None else a)
    target = next((piece.grad for piece in (a, b) if piece.owned), None)
    if b.factor is None:
        return Piece(a.box, torch.add(a.grad, b.grad, out=target), True)
    return Piece(a.box, torch.addcmul(a.grad, b.grad, b.factor, out=target), True)


def _placed(pieces: Sequence[Piece], box: Box) -> Tensor:
    """Parts of a box in their places; where they fill it without meeting, nothing is added."""
    computed = [_computed(piece) for piece in pieces]
    like, shape = computed[0].grad, [hi - lo for lo, hi in box]
    layout = layout_of(like)
    if _tile(computed, box):
        total = torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)
        for piece in computed:
            cut(total, box, piece.box).copy_(piece.grad)
        return total
    total = torch.zeros(shape, dtype=like.dtype, device=like.device).contiguous(memory_format=layout)
    for piece in computed:
        cut(total, box, piece.box).add_(piece.grad)
    return total


def _tile(pieces: Sequence[Piece], box: Box) -> bool:
    """Whether parts fill a box and none meets another."""
    if sum(prod(lengths(piece.box)) for piece in pieces) != prod(lengths(box)):
        return False
    return not any(_meet(a.box, b.box) for a, b in combinations(pieces, 2))


def _meet(a: Box, b: Box) -> bool:
    return all(lo < end and first < hi for (lo, hi), (first, end) in zip(a, b, strict=True))
