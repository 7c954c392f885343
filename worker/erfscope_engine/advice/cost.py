"""What a network costs up to a layer: arithmetic, weights, activations."""

from dataclasses import dataclass
from math import prod

from torch import Tensor

from erfscope_engine.layers import Layer, Traced
from erfscope_engine.recording.tape import Call, Ref, Tape

BYTES = 4  # of a float32


@dataclass(frozen=True)
class Cost:
    """What one input takes up to a layer: multiply-accumulates, weights, and bytes of activations in float32.

    Activations are the outputs of all operators that are not views: what a training keeps.
    """

    macs: int
    parameters: int
    memory: int


def cost_of(traced: Traced, layer: Layer) -> Cost:
    """Convolutions and matrix products that lead to a layer."""
    tape = traced.tape
    entries = tape.ancestors([layer.value])
    return Cost(
        sum(_macs(tape, entry) for entry in entries) // tape.batch,
        sum(map(_parameters, entries)),
        sum(_bytes(tape, entry) for entry in entries) // tape.batch,
    )


def _bytes(tape: Tape, entry: Call) -> int:
    if getattr(entry.op, "is_view", False):
        return 0
    return sum(BYTES * prod(tape.values[index].shape) for index in entry.outputs if index is not None)


def _macs(tape: Tape, entry: Call) -> int:
    name = entry.name
    made = entry.outputs[0]
    if made is None:
        return 0
    out = tape.values[made].shape
    if name == "convolution":
        weight = _shape(tape, entry.args[1])
        transposed = bool(entry.args[6])
        positions = prod(_shape(tape, entry.args[0])[2:] if transposed else out[2:])
        return out[0] * positions * prod(weight)
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        left = entry.args[1] if name.startswith(("add", "badd")) else entry.args[0]
        return prod(out) * _shape(tape, left)[-1]
    return 0


def _shape(tape: Tape, item: Ref | Tensor) -> tuple[int, ...]:
    return tape.values[item.index].shape if isinstance(item, Ref) else tuple(item.shape)


def _parameters(entry: Call) -> int:
    """Weights of layers and of normalisations (statistics are none); a repeated matrix counts once."""
    name = entry.name
    if name == "add":  # the bias of a product over more than two axes
        return sum(item.numel() for item in entry.args if isinstance(item, Tensor) and item.dim() == 1)
    if name not in ("convolution", "mm", "bmm", "addmm", "baddbmm") and "norm" not in name:
        return 0
    given = entry.args[1:3] if name == "convolution" or "norm" in name else entry.args
    held = [item for item in given if isinstance(item, Tensor)]
    return sum(prod(n for n, stride in zip(t.shape, t.stride(), strict=True) if stride != 0 or n == 1) for t in held)
