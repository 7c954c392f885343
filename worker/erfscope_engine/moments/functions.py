"""Steps of nonlinearities: gradients pass with the mean square of the function's slope.

Element-wise operators that all come from one tensor (x · sigmoid(x), the parts of a GELU) are one function of it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.fusion import NORMALISATIONS
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step, computed
from erfscope_engine.moments.gaussian import Evaluate, Piece, Response, piecewise, quadrature
from erfscope_engine.moments.rule import Case, step_of
from erfscope_engine.moments.state import Moments
from erfscope_engine.operators.table import is_pointwise
from erfscope_engine.recording.tape import Call, Ref, Tape

INDEPENDENT = "slopes of nonlinearities are taken at Gaussian pre-activations that do not depend on the gradient"
BENDING = {"hardswish", "prelu", "_prelu_kernel", "where", "log_sigmoid_forward", "masked_fill"}
STRAIGHT = {"add", "sub", "rsub", "mul", "div", "neg", "_to_copy", "clone", "contiguous", "detach", "alias"}
SMOOTH = {"tanh", "sigmoid", "gelu", "silu", "softplus", "mish", "log_sigmoid_forward", "erf", "exp", "sin", "cos"}
SIDED = {"relu", "leaky_relu", "abs"}
WEIGHTED = {"convolution", "mm", "addmm", "bmm", "baddbmm"}
Pieces = Callable[[Call], Sequence[Piece]]
INF = math.inf


def _kinks(low: float, high: float, slope: float = 1.0, shift: float = 0.0) -> list[Piece]:
    """Constant below `low`, slope · x + shift up to `high`, constant above."""
    return [
        Piece(-INF, low, 0, slope * low + shift),
        Piece(low, high, slope, shift),
        Piece(high, INF, 0, slope * high + shift),
    ]


def _bounds(call: Call) -> list[Piece]:
    low, high = ("min_val", "max_val") if call.has("min_val") else ("min", "max")
    bounds = [call.arg(low), call.arg(high)]
    first, last = -INF if bounds[0] is None else float(bounds[0]), INF if bounds[1] is None else float(bounds[1])
    below = [] if math.isinf(first) else [Piece(-INF, first, 0, first)]
    above = [] if math.isinf(last) else [Piece(last, INF, 0, last)]
    return [*below, Piece(first, last, 1, 0), *above]


def _rectifier(slope: float) -> list[Piece]:
    return [Piece(-INF, 0, slope, 0), Piece(0, INF, 1, 0)]


# Piecewise linear functions of one tensor: exact moments. A nonlinearity that is not here goes by quadrature.
PIECES: dict[str, Pieces] = {
    "relu": lambda call: _rectifier(0.0),
    "leaky_relu": lambda call: _rectifier(float(call.arg("negative_slope"))),
    "relu6": lambda call: _kinks(0, 6),
    "hardtanh": _bounds,
    "clamp": _bounds,
    "clamp_min": lambda call: [Piece(-INF, call.arg("min"), 0, call.arg("min")), Piece(call.arg("min"), INF, 1, 0)],
    "clamp_max": lambda call: [Piece(-INF, call.arg("max"), 1, 0), Piece(call.arg("max"), INF, 0, call.arg("max"))],
    "hardsigmoid": lambda call: _kinks(-3, 3, 1 / 6, 0.5),
    "abs": lambda call: _rectifier(-1.0),
    "threshold": lambda call: [
        Piece(-INF, call.arg("threshold"), 0, call.arg("value")),
        Piece(call.arg("threshold"), INF, 1, 0),
    ],
}


def is_elementwise(call: Call) -> bool:
    """Whether an operator works element by element."""
    return is_pointwise(call.op) or call.name in BENDING | STRAIGHT


def _bends(entry: Call) -> bool:
    """Whether an element-wise operator is no linear function of one tensor and constants."""
    name = entry.name
    if name not in STRAIGHT:
        return True
    return (name == "mul" and len(entry.refs) > 1) or (name == "div" and not isinstance(entry.args[0], Ref))


def function_of(case: Case) -> Step | None:
    """The transfer of an element-wise operator as a function of one tensor; None where it is none, or is linear."""
    entry = case.call
    if not is_elementwise(entry) or len([o for o in entry.outputs if o is not None]) > 2:
        return None
    sources = {ref.index for ref in entry.refs}
    if len(sources) == 1 and not _bends(entry):
        return None
    if len(sources) == 1:
        (only,) = sources
        made = case.tape.values[only].made
        source = only if made is None or not _bent(case.tape, only) else _root(case.tape, only)
    else:
        roots = {_root(case.tape, index) for index in sources}
        if len(roots) > 1:
            return None
        (source,) = roots
    return _function(case, source)


def _maker(tape: Tape, value: int) -> Call | None:
    index = tape.values[value].made
    return None if index is None else tape.calls[index]


def _root(tape: Tape, value: int) -> int:
    """The tensor of the same shape that a value is an element-wise function of, as far back as that goes."""
    seen: dict[int, int] = {}
    order, stack = [value], [value]
    while stack:  # the element-wise ancestors, without recursion: chains may be long
        entry = _maker(tape, stack.pop())
        if entry is None or not is_elementwise(entry):
            continue
        for ref in entry.refs:
            if ref.index not in order:
                order.append(ref.index)
                stack.append(ref.index)
    for index in sorted(order):  # values are numbered in the order of computation
        entry = _maker(tape, index)
        roots = {seen[ref.index] for ref in entry.refs if ref.index in seen} if entry else set()
        whole = entry is not None and is_elementwise(entry) and len(roots) == 1
        (root,) = roots if whole else {index}
        seen[index] = root if tape.values[root].shape == tape.values[index].shape else index
    return seen[value]


def _bent(tape: Tape, value: int) -> bool:
    """Whether a nonlinearity stands between a value and its root."""
    return any(_bends(entry) for entry in _between(tape, _root(tape, value), value))


def _between(tape: Tape, root: int, value: int) -> list[Call]:
    """The operators that make `value` of `root`, in order."""
    found: dict[int, Call] = {}
    stack = [value]
    while stack:
        index = stack.pop()
        made = tape.values[index].made
        if index == root or made is None or made in found:
            continue
        found[made] = tape.calls[made]
        stack += [ref.index for ref in tape.calls[made].refs]
    return [found[made] for made in sorted(found)]


def _function(case: Case, source: int) -> Step:
    target = case.call.outputs[case.part.out]
    assert target is not None  # a box is only ever asked of a tensor
    entries = _between(case.tape, source, target)
    pieces = PIECES.get(case.name) if len(entries) == 1 and not _has_tensor_arguments(case.call) else None
    smooth = all(entry.name in SMOOTH | STRAIGHT for entry in entries)
    steps = [step_of(_inside(case, entry), entry) for entry in entries]

    def respond(x: Moments) -> Response:
        if pieces is not None:
            return piecewise(x, pieces(case.call))
        return quadrature(x, _evaluation(steps, source, target), smooth=smooth)

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        response = respond(inputs[0])
        return [response.out], response.gain

    return Step(
        ((source, case.box),),
        tuple((index if k == case.part.out else None, case.box) for k, index in enumerate(case.call.outputs)),
        forward,
        lambda gain, grads: [None if grads[case.part.out] is None else grads[case.part.out] * gain],
        note="" if _is_exact(case, source) else INDEPENDENT,
    )


def _is_exact(case: Case, source: int) -> bool:
    """Whether the gain is exact: turning the sign of a drawn row of weights swaps the two sides of a rectifier."""
    made = _maker(case.tape, source)
    while made is not None and made.op.overloadpacket.__name__ in NORMALISATIONS:
        made = _maker(case.tape, made.refs[0].index)
    return case.drawn and case.name in SIDED and made is not None and made.op.overloadpacket.__name__ in WEIGHTED


def _has_tensor_arguments(entry: Call) -> bool:
    return any(isinstance(a, Tensor) for a in (*entry.args, *entry.kwargs.values()))


def _inside(case: Case, entry: Call) -> Case:
    """The case of an operator inside the function, on the same box."""
    return Case(Part.of(case.part.geometry, entry, 0, case.box), case.drawn)


def _evaluation(steps: Sequence[Step], source: int, target: int) -> Evaluate:
    """The function and its slope, by the cone's steps."""

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor | None]:
        store, kept = {source: x}, []
        for step in steps:
            outs, keeps = step.forward([store[index] for index, _ in step.reads])
            kept.append(keeps)
            store |= {index: out for (index, _), out in zip(step.writes, outs, strict=False) if index is not None}
        slopes: dict[int, Tensor] = {target: torch.ones_like(x)}
        for step, keeps in zip(reversed(steps), reversed(kept), strict=True):
            given = [slopes.pop(index, None) if index is not None else None for index, _ in step.writes]
            if keeps is None or all(g is None for g in given):
                continue
            for (index, _), g in zip(step.reads, map(computed, step.backward(keeps, given)), strict=False):
                if g is not None:
                    slopes[index] = slopes[index] + g if index in slopes else g
        return store[target], slopes.get(source)

    return evaluate
