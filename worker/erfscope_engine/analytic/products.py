"""Transfers of the operators that hold weights: convolutions and matrix products; a product of two signals is none."""

from typing import Any

from torch import Tensor

from erfscope_engine.analytic.transfer import Case, Transfer, argument, linear, transfer
from erfscope_engine.tape import Entry, Ref

TWO_SIGNALS = "it multiplies two tensors that both depend on the input (attention, gating)"


def _squared(weight: Tensor) -> Tensor:
    """Squares; a matrix that is repeated over the batch stays one."""
    return weight[0].square().expand(weight.shape) if weight.dim() == 3 and weight.stride(0) == 0 else weight.square()


def _weighted(case: Case, factors: tuple[str, ...], bias: str | None) -> Transfer:
    """Constant factors squared; a drawn bias is a variance of its own, a given one only moves the mean."""
    squared: Entry = case.entry
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


@transfer("convolution")
def convolution(case: Case) -> Transfer:
    """Convolutions, transposed ones too."""
    return _weighted(case, ("input", "weight"), "bias")


@transfer("mm")
def matrix_product(case: Case) -> Transfer:
    """A dense layer."""
    return _weighted(case, ("self", "mat2"), None)


@transfer("bmm")
def batched_product(case: Case) -> Transfer:
    """A dense layer on each sample."""
    return _weighted(case, ("self", "mat2"), None)


@transfer("mv")
def vector_product(case: Case) -> Transfer:
    """A matrix times a vector."""
    return _weighted(case, ("self", "vec"), None)


@transfer("addmm")
def affine_product(case: Case) -> Transfer:
    """A dense layer with a bias."""
    return _scaled(case, "mat1", "mat2")


@transfer("baddbmm")
def batched_affine_product(case: Case) -> Transfer:
    """The same on each sample."""
    return _scaled(case, "batch1", "batch2")


def _scaled(case: Case, left: str, right: str) -> Transfer:
    factors: dict[str, Any] = {name: case.call.arg(name) for name in ("alpha", "beta")}
    if any(factor != 1 for factor in factors.values()):
        case.refuse("its factors alpha and beta are not 1")
    return _weighted(case, (left, right), "self")
