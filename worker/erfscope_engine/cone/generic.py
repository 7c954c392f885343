"""Steps for every operator that has no kernel: torch runs it, autograd differentiates it, one operator at a time."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from erfscope_engine.cone.box import Box, clipped, cropped_axes, cut, full, lengths, region_of
from erfscope_engine.cone.step import Step
from erfscope_engine.regions.table import Call, needs
from erfscope_engine.tape import Ref

# Operators whose arguments need no change when they run on a part, as long as the axes they mix are whole.
POSITIONWISE = {
    "_softmax", "_log_softmax", "_safe_softmax", "native_layer_norm", "_to_copy", "clone", "detach", "alias",
    "hardswish", "prelu", "_prelu_kernel", "rsub", "where", "masked_fill", "log_sigmoid_forward", "permute",
    "transpose", "t", "native_batch_norm", "contiguous", "fill", "native_dropout",
}  # fmt: skip


PERMUTATIONS = {"permute", "transpose", "t"}


def whole_step(call: Call) -> Step:
    """The operator on whole tensors: always right."""
    tape, entry = call.tape, call.entry
    refs = list(dict.fromkeys(ref.index for ref in entry.refs))
    reads = tuple((index, full(tape.values[index].shape)) for index in refs)
    writes = tuple((index, full(tape.values[index].shape) if index is not None else ()) for index in entry.outputs)
    return _step(call, reads, writes, entry.args, entry.kwargs)


def part_step(call: Call, box: Box) -> Step | None:
    """The operator on a part: element by element, or along axes that the part holds whole."""
    name = call.entry.op.overloadpacket.__name__
    pointwise = torch.Tag.pointwise in call.entry.op.tags
    if not (pointwise or name in POSITIONWISE) or sum(index is not None for index in call.entry.outputs) != 1 + _idle(
        call
    ):
        return None
    reads: dict[int, Box] = {}
    for ref, region in needs(call, region_of(box)):
        shape = call.shape(ref)
        found = clipped(region, shape)
        if (ref.index in reads and reads[ref.index] != found) or not _fills(name, found, shape, box):
            return None
        reads[ref.index] = found
    args = _with_constants_cut(call, box) if pointwise or name in ("where", "masked_fill") else call.entry.args
    if args is None:
        return None
    writes = tuple((index if k == call.out else None, box) for k, index in enumerate(call.entry.outputs))
    return _step(call, tuple(reads.items()), writes, args, call.entry.kwargs)


def _fills(name: str, read: Box, shape: tuple[int, ...], box: Box) -> bool:
    """Whether the operator gives just the box of what is read: not where it needs a cut axis whole (softmax)."""
    if name in PERMUTATIONS:
        return prod(lengths(read)) == prod(lengths(box))
    aligned = lengths(box)[len(box) - len(shape) :]
    return all(n == m or extent == 1 for n, m, extent in zip(lengths(read), aligned, shape, strict=True))


def _idle(call: Call) -> int:
    """Outputs that nothing reads (statistics of a normalisation)."""
    read = {ref.index for entry in call.tape.entries for ref in entry.refs}
    return sum(index is not None and k != call.out and index not in read for k, index in enumerate(call.entry.outputs))


def _with_constants_cut(call: Call, box: Box) -> tuple[Any, ...] | None:
    """Constant tensors that follow a cut axis are cut as well."""
    axes = cropped_axes(box, call.out_shape)

    def adapt(item: Any) -> Any:
        if not isinstance(item, Tensor) or item.dim() == 0:
            return item
        shift = len(box) - item.dim()
        own = full(item.shape)
        wanted = tuple(box[k + shift] if k + shift in axes and n > 1 else (0, n) for k, n in enumerate(item.shape))
        return cut(item, own, wanted)

    return tuple(tree_map(adapt, call.entry.args))


def _step(
    call: Call,
    reads: tuple[tuple[int, Box], ...],
    writes: tuple[tuple[int | None, Box], ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Step:
    op, order = call.entry.op, [index for index, _ in reads]

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        given = {index: _leaf(value) for index, value in zip(order, inputs, strict=True)}
        with torch.enable_grad():
            used, used_kwargs = _fill(args, given), _fill(kwargs, given)
            out = op(*used, **used_kwargs)
        outs = out if isinstance(out, (tuple, list)) else (out,)
        live = any(isinstance(o, Tensor) and o.requires_grad for o in outs)
        kept = (list(outs), [given[index] for index in order]) if live else None
        return [o.detach() if isinstance(o, Tensor) else o for o in outs], kept

    return Step(reads, writes, forward, _differentiate)


def _leaf(value: Tensor) -> Tensor:
    value = value.detach()
    return value.requires_grad_() if value.is_floating_point() else value


def _fill(items: Any, given: dict[int, Tensor]) -> Any:
    return tree_map(lambda item: given[item.index] if isinstance(item, Ref) else item, items)


def _differentiate(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    outs, leaves = kept
    pairs = [(o, g) for o, g in zip(outs, grads, strict=True) if g is not None and o.requires_grad]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    if not pairs:
        return [None] * len(leaves)
    found = iter(
        torch.autograd.grad([o for o, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True, retain_graph=True)
    )
    return [next(found) if leaf.requires_grad else None for leaf in leaves]
