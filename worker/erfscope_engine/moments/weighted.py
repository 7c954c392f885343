"""Operators that hold weights: constant factors squared."""

from torch import Tensor

from erfscope_engine.execution.step import Step
from erfscope_engine.moments.rule import Case, argument, linear
from erfscope_engine.recording.tape import Call, Ref

TWO_SIGNALS = "it multiplies two tensors that both depend on the input (attention, gating)"


def _squared(weight: Tensor) -> Tensor:
    """Squares; a matrix that is repeated over the batch stays one."""
    return weight[0].square().expand(weight.shape) if weight.dim() == 3 and weight.stride(0) == 0 else weight.square()


def weighted(case: Case, factors: tuple[str, ...], bias: str | None) -> Step:
    """Constant factors squared; a drawn bias is a variance of its own, a given one only moves the mean."""
    squared: Call = case.call
    held = [(name, case.call.arg(name)) for name in factors]
    if sum(isinstance(value, Ref) for _, value in held) != 1:
        case.refuse(TWO_SIGNALS)
    for name, value in held:
        if isinstance(value, Tensor):
            squared = argument(squared, name, _squared(value))
    shift = case.call.arg(bias) if bias is not None else None
    if isinstance(shift, Ref):
        case.refuse("what it adds depends on the input")
    if bias is not None and shift is not None:
        squared = argument(squared, bias, shift.square() if case.drawn else shift.new_zeros(shift.shape))
    return linear(case, squared, shifts=shift is not None, redrawn=case.drawn)
