"""A constant factor per channel (layer scale) taken into the dense layer before it."""

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from erfscope_engine.execution.fusion import Fused
from erfscope_engine.operators.table import OPERATORS
from erfscope_engine.recording.tape import Call, Ref

if TYPE_CHECKING:
    from erfscope_engine.fields import Map

aten = torch.ops.aten
Items = Sequence[Call | Fused]


def with_scales_folded(geometry: "Map", items: Items, wanted: Set[int]) -> list[Call | Fused]:
    """Calls with every factor that follows a product with a constant matrix in the matrix.

    Between the two, only moves of elements that nobody else reads. The factor's place is taken by an alias.
    """
    heads = {call.outputs[0]: call for call in items if isinstance(call, Call) and call.name in ("mm", "addmm")}
    changed = dict[int, Call]()  # by the output of the call that is replaced
    for call in items if heads else ():
        if isinstance(call, Call) and call.name == "mul" and not call.stops:
            changed |= _folded(geometry, call, heads, wanted)
    return [changed.get(_output(item), item) if isinstance(item, Call) else item for item in items]


def _output(call: Call) -> int:
    output = call.outputs[0]
    return -1 if output is None else output


def _folded(geometry: "Map", call: Call, heads: dict[int | None, Call], wanted: Set[int]) -> dict[int, Call]:
    """The product with the factor in it, and the alias; nothing where it does not go."""
    left, right = call.arg("self"), call.arg("other")
    ref, factor = (left, right) if isinstance(left, Ref) else (right, left)
    if not isinstance(ref, Ref) or not isinstance(factor, Tensor) or not factor.is_floating_point():
        return {}
    head = _product_before(geometry, ref.index, heads, wanted)
    output, shape = call.outputs[0], geometry.tape.values[ref.index].shape
    if head is None or output is None or geometry.tape.values[output].shape != shape:
        return {}
    factor = factor.reshape(*(1,) * (len(shape) - factor.dim()), *factor.shape)
    along = [k for k, n in enumerate(factor.shape) if n > 1]
    columns = geometry.frames[_output(head)].axes[-1]
    if len(along) != 1 or geometry.frames[ref.index].axes[along[0]] != columns or not columns:
        return {}
    alias = replace(call, op=aten.alias.default, args=(ref,), kwargs={})
    return {_output(head): _scaled(head, factor.flatten()), output: alias}


def _product_before(geometry: "Map", value: int, heads: dict[int | None, Call], wanted: Set[int]) -> Call | None:
    """The product whose elements a value has in another order; None where anyone else reads them on the way."""
    tape = geometry.tape
    while value not in wanted and len(tape.readers.get(value, [])) == 1:
        if value in heads:
            return heads[value] if _is_constant(heads[value]) else None
        made = tape.values[value].made
        call = None if made is None else tape.calls[made]
        record = None if call is None else OPERATORS.get(call.name)
        if call is None or record is None or not record.moves or call.stops or len(call.refs) != 1 or call.constants:
            return None
        value = call.refs[0].index
    return None


def _is_constant(head: Call) -> bool:
    """Whether a product's matrix (and what is added) is one tensor each, times 1."""
    constants: list[Any] = [head.arg("mat2"), *([head.arg("self")] if head.name == "addmm" else [])]
    factors = [head.arg(name) for name in ("alpha", "beta")] if head.name == "addmm" else []
    return all(isinstance(each, Tensor) for each in constants) and all(factor == 1 for factor in factors)


def _scaled(head: Call, factor: Tensor) -> Call:
    if head.name == "mm":
        return replace(head, args=(head.args[0], head.args[1] * factor))
    return replace(head, args=(head.args[0] * factor, head.args[1], head.args[2] * factor, *head.args[3:]))
