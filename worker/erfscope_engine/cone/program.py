"""The cone of a unit: which part of every tensor it needs, and the steps that compute just that, forward and back.

Walked backward from the unit's box: a kernel is asked for the step that fills the part its readers need; where none can
work on a part, the operator runs on whole tensors. So a wrong number is never the price of speed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.cone import convolution, moves, pointwise, pooling, products
from erfscope_engine.cone.box import Box, cropped_axes, cut, full, hull
from erfscope_engine.cone.fusion import Fused, fuse
from erfscope_engine.cone.generic import part_step, whole_step
from erfscope_engine.cone.step import KERNELS, Step
from erfscope_engine.regions.table import Call
from erfscope_engine.tape import Entry, Tape

__all__ = ["Cone", "convolution", "moves", "pointwise", "pooling", "products"]

aten = torch.ops.aten


@dataclass(frozen=True)
class Part:
    """A gradient of part of a value; `owned` says that nobody else holds its memory, so that it may be overwritten."""

    box: Box
    grad: Tensor
    owned: bool


Target = tuple[int, Box]  # a value, and the box of it that is wanted


@dataclass(frozen=True)
class Cone:
    """Steps in order, the box that is kept of every value, and the targets (one unit, or several that share a run)."""

    steps: tuple[Step, ...]
    boxes: dict[int, Box]
    targets: tuple[Target, ...]

    @classmethod
    def of(cls, tape: Tape, targets: Sequence[Target]) -> "Cone":
        """Plan the cone that holds all targets."""
        boxes: dict[int, Box] = {}
        for value, box in targets:
            boxes[value] = hull(boxes.get(value), box)
        steps: list[Step] = []
        wanted = set(boxes)
        for item in reversed(fuse(tape, tape.ancestors(wanted), wanted)):
            for step in _steps(tape, item, boxes):
                steps.append(step)
                for index, produced in step.writes:
                    if index is not None:
                        boxes[index] = produced
                for index, read in step.reads:
                    boxes[index] = hull(boxes.get(index), read)
        return cls(tuple(reversed(steps)), boxes, tuple(targets))

    def run(self, x: Tensor) -> "Run":
        """Forward, without autograd; `x` is the whole input."""
        store: dict[int, Tensor] = {}
        if 0 in self.boxes:
            store[0] = cut(x, full(x.shape), self.boxes[0]).contiguous(memory_format=_format(x))
        last = {index: n for n, step in enumerate(self.steps) for index, _ in step.reads}
        wanted = {value for value, _ in self.targets}
        kept: list[Any] = []
        live = {0}
        with torch.no_grad():
            for n, step in enumerate(self.steps):
                inputs = [cut(store[index], self.boxes[index], read) for index, read in step.reads]
                outs, keeps = _forward(step, inputs)
                useful = keeps is not None and any(index in live for index, _ in step.reads)
                kept.append(keeps if useful else None)
                for (index, _), out in zip(step.writes, outs, strict=False):
                    if index is not None:
                        store[index] = out
                        live |= {index} if useful else set()
                for index, _ in step.reads:
                    if last[index] == n and index not in wanted:
                        store.pop(index, None)
        return Run(self, tuple(cut(store[value], self.boxes[value], box) for value, box in self.targets), kept, live)


@dataclass(frozen=True)
class Run:
    """One forward run: the targets' boxes, and what going back needs."""

    cone: Cone
    outputs: tuple[Tensor, ...]
    kept: list[Any]
    live: set[int]

    def is_differentiable(self, target: int) -> bool:
        """Whether a gradient can go back from a target at all."""
        return self.cone.targets[target][0] in self.live

    def back(self, target: int, seed: Tensor) -> Tensor | None:
        """The gradient of `seed` · output of a target with respect to the input's box; None where nothing arrives."""
        value, box = self.cone.targets[target]
        pending: dict[int, list[Part]] = {value: [Part(box, seed, False)]}
        with torch.no_grad():
            for step, keeps in zip(reversed(self.cone.steps), reversed(self.kept), strict=True):
                parts = [pending.pop(index, []) if index is not None else [] for index, _ in step.writes]
                if keeps is None or not any(parts):
                    continue
                grads = [_gathered(part, box) for part, (_, box) in zip(parts, step.writes, strict=True)]
                for index, part in _backward(step, keeps, grads):
                    pending.setdefault(index, []).append(part)
        total = _gathered(pending.get(0, []), self.cone.boxes.get(0, ()))
        return None if total is None else total.grad


def _forward(step: Step, inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
    outs, kept = step.forward(inputs)
    if not step.relu:
        return outs, kept
    out = outs[0].relu_() if step.fresh else torch.relu(outs[0])
    return [out], None if kept is None else (kept, out)


def _backward(step: Step, kept: Any, grads: Sequence[Part | None]) -> Iterator[tuple[int, Part]]:
    """Gradients of what a step read; a ReLU's mask is its own output."""
    given = [None if part is None else part.grad for part in grads]
    if step.relu:
        (part,), (kept, mask) = grads, kept
        assert part is not None
        given = [_masked(part, mask)]
    found = step.backward(kept, given)
    owners = Counter(_memory(g) for g in (*found, *given) if g is not None)
    for (index, read), g in zip(step.reads, found, strict=False):
        if g is not None:
            yield index, Part(read, g, owners[_memory(g)] == 1)


def _masked(part: Part, mask: Tensor) -> Tensor:
    if part.owned and part.grad.stride() == mask.stride():
        aten.threshold_backward.grad_input(part.grad, mask, 0, grad_input=part.grad)
        return part.grad
    masked: Tensor = aten.threshold_backward(part.grad, mask, 0)
    return masked


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _steps(tape: Tape, item: Entry | Fused, boxes: dict[int, Box]) -> list[Step]:
    if isinstance(item, Fused):
        call = Call(item.head, tape, 0)
        return [item.step(_part(call, boxes[item.output]) or whole_step(call))]
    wanted = [(out, index) for out, index in enumerate(item.outputs) if index in boxes and index is not None]
    parts = [_part(Call(item, tape, out), boxes[index]) for out, index in wanted]
    if all(parts):
        return [step for step in parts if step is not None]
    return [whole_step(Call(item, tape, wanted[0][0]))]


def _part(call: Call, box: Box) -> Step | None:
    maker = KERNELS.get(call.entry.op.overloadpacket.__name__)
    made = maker(call, box) if maker else None
    return made or (part_step(call, box) if cropped_axes(box, call.out_shape) else None)


def _gathered(parts: Sequence[Part], box: Box) -> Part | None:
    """The sum of gradients of parts of a box; the widest one that nobody else holds is the ground for the others."""
    if not parts:
        return None
    if len(parts) == 1 and parts[0].box == box:
        return parts[0]
    ground = next((part for part in parts if part.box == box and part.owned), None)
    if ground is None:
        like = parts[0].grad
        shape = [hi - lo for lo, hi in box]
        total = torch.zeros(shape, dtype=like.dtype, device=like.device).contiguous(memory_format=_format(like))
    else:
        total = ground.grad
    for part in parts:
        if part is not ground:
            cut(total, box, part.box).add_(part.grad)
    return Part(box, total, True)


def _format(x: Tensor) -> torch.memory_format:
    """Convolutions of many channels run fastest with the channels last."""
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim(), torch.contiguous_format)
