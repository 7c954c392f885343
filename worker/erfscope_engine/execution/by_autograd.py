"""Steps for every operator without one by hand: torch runs it, autograd differentiates it, one operator at a time."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from erfscope_engine.execution.box import Box, cut, full, lengths
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.operators.table import OPERATORS, is_pointwise
from erfscope_engine.recording.tape import Call, Custom, Ref, Tape


class OrderedNorms(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, the backward of a batch normalisation gets its gradient as a contiguous tensor.

    Torch 2.14 on a CPU gives a wrong result for one sample whose gradient has its channels last in memory. This happens
    when the places behind a normalisation become tokens.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.native_batch_norm_backward.default:
            args = (args[0].contiguous(), *args[1:])
        return func(*args, **(kwargs or {}))


def whole_step(part: Part) -> Step:
    """The operator on whole tensors: always right."""
    tape, call = part.tape, part.call
    refs = list(dict.fromkeys(ref.index for ref in call.refs))
    reads = tuple((index, full(tape.values[index].shape)) for index in refs)
    writes = tuple((index, full(tape.values[index].shape) if index is not None else ()) for index in call.outputs)
    return _step(call, reads, writes, (call.args, call.kwargs), why=_why(call, tape))


def _why(call: Call, tape: Tape) -> str:
    """Why an operator runs by autograd; "" for one that its record tells to be run so."""
    if isinstance(call.op, Custom):
        return "a custom autograd.Function has a gradient of its own"
    if call.name not in OPERATORS and not is_pointwise(call.op):
        return "its geometry has no record"
    return ""


def part_step(part: Part) -> Step | None:
    """The operator on a part: element by element, or along axes that the part holds whole."""
    record, call = OPERATORS.get(part.name), part.call
    how = record.part if record else "broadcast" if is_pointwise(call.op) else ""
    if not how or any(part.is_read(k) for k in range(len(call.outputs)) if k != part.out):
        return None
    reads: dict[int, Box] = {}
    for ref in part.site.refs:
        read = part.read(ref)
        if read is None or not _fills(how, read, part.shape(ref), part.box):
            return None
        reads[ref.index] = read
    if how == "kernel" and "batch_norm" in part.name and 1 in part.cropped:
        return None
    args = _with_constants_cut(part) if how == "broadcast" else call.args
    return _step(
        call, tuple(reads.items()), part.writes, (args, call.kwargs), any_format=how in ("broadcast", "permute")
    )


def _fills(how: str, read: Box, shape: tuple[int, ...], box: Box) -> bool:
    """Whether the operator gives just the box of what is read: not where it needs a cut axis whole (softmax)."""
    if how == "permute":
        return prod(lengths(read)) == prod(lengths(box))
    if len(shape) > len(box):
        return False
    aligned = lengths(box)[len(box) - len(shape) :]
    return all(n == m or extent == 1 for n, m, extent in zip(lengths(read), aligned, shape, strict=True))


def _with_constants_cut(part: Part) -> tuple[Any, ...]:
    """Constant tensors that follow a cut axis are cut as well."""
    axes, box = part.cropped, part.box

    def adapt(item: Any) -> Any:
        if not isinstance(item, Tensor) or item.dim() == 0:
            return item
        shift = len(box) - item.dim()
        wanted = tuple(box[k + shift] if k + shift in axes and n > 1 else (0, n) for k, n in enumerate(item.shape))
        return cut(item, full(item.shape), wanted)

    return tuple(tree_map(adapt, part.call.args))


def _step(
    call: Call,
    reads: tuple[tuple[int, Box], ...],
    writes: tuple[tuple[int | None, Box], ...],
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
    *,
    why: str = "",
    any_format: bool = False,
) -> Step:
    order = [index for index, _ in reads]

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        given = {index: _leaf(value) for index, value in zip(order, inputs, strict=True)}
        with torch.set_grad_enabled(not call.stops):
            args, kwargs = tree_map(lambda a: given[a.index] if isinstance(a, Ref) else a, arguments)
            out = call.op(*args, **kwargs)
        outs = out if isinstance(out, tuple | list) else (out,)
        live = any(isinstance(o, Tensor) and o.requires_grad for o in outs)
        kept = (list(outs), [given[index] for index in order]) if live else None
        return [o.detach() if isinstance(o, Tensor) else o for o in outs], kept

    back = _differentiate_ordered if "batch_norm" in call.name or isinstance(call.op, Custom) else _differentiate
    return Step(reads, writes, forward, back, any_format=any_format, autograd=why, operator=call.name)


def _differentiate_ordered(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """Where a batch normalisation may be inside: a dispatch mode slows every operator."""
    with OrderedNorms():
        return _differentiate(kept, grads)


def _leaf(value: Tensor) -> Tensor:
    value = value.detach()
    return value.requires_grad_() if value.is_floating_point() or value.is_complex() else value


def _differentiate(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    outs, leaves = kept
    pairs = [(o, g) for o, g in zip(outs, grads, strict=True) if g is not None and o.requires_grad]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    if not pairs:
        return [None] * len(leaves)
    through, seeds = [o for o, _ in pairs], [g for _, g in pairs]
    back = iter(torch.autograd.grad(through, wanted, seeds, allow_unused=True, retain_graph=True))
    return [next(back) if leaf.requires_grad else None for leaf in leaves]
