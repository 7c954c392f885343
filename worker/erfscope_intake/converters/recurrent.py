"""Recurrent layers, unrolled step by step: LSTM, GRU and RNN, in both directions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import MICROSOFT, Node, converts

RECURRENT = ("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM")
MAX_STEPS = 2048
"""Steps that are unrolled: each is a dozen operators on the tape."""

Activation = Callable[[Tensor], Tensor]
State = tuple[Tensor, ...]  # hidden, and for LSTM the cell

# Name → (function of x, alpha, beta; the defaults of alpha and beta).
ACTIVATIONS: dict[str, tuple[Callable[[Tensor, float, float], Tensor], float, float]] = {
    "relu": (lambda x, a, b: torch.relu(x), 0, 0),
    "tanh": (lambda x, a, b: torch.tanh(x), 0, 0),
    "sigmoid": (lambda x, a, b: torch.sigmoid(x), 0, 0),
    "softsign": (lambda x, a, b: F.softsign(x), 0, 0),
    "softplus": (lambda x, a, b: F.softplus(x), 0, 0),
    "affine": (lambda x, a, b: a * x + b, 1, 0),
    "leakyrelu": (lambda x, a, b: F.leaky_relu(x, a), 0.01, 0),
    "thresholdedrelu": (lambda x, a, b: F.threshold(x, a, 0.0), 1, 0),
    "scaledtanh": (lambda x, a, b: a * torch.tanh(b * x), 1, 1),
    "hardsigmoid": (lambda x, a, b: torch.clamp(a * x + b, 0, 1), 0.2, 0.5),
    "elu": (lambda x, a, b: F.elu(x, a), 1, 0),
}


@dataclass(frozen=True)
class _Way:
    """One direction: input projections by step (B, gates·H), recurrent weights, what else a cell reads."""

    node: Node
    projected: tuple[Tensor, ...]
    recurrent: Tensor
    hidden_bias: Tensor  # of a GRU; the others' is in the projections already
    peepholes: Tensor | None
    activations: list[Activation]

    def gates(self, step: int, hidden: Tensor) -> Tensor:
        """Input and hidden contributions of one step, summed."""
        return self._clipped(self.projected[step] + hidden @ self.recurrent.T)

    def _clipped(self, x: Tensor) -> Tensor:
        limit = self.node.float("clip", 0.0)
        return torch.clamp(x, -limit, limit) if limit > 0 else x


def _rnn_cell(way: _Way, step: int, state: State) -> State:
    return (way.activations[0](way.gates(step, state[0])),)


def _gru_cell(way: _Way, step: int, state: State) -> State:
    f, g = way.activations
    (hidden,) = state
    size = hidden.shape[-1]
    both, x = way.projected[step][:, : 2 * size], way.projected[step][:, 2 * size :]
    weights, bias = way.recurrent, way.hidden_bias
    z, r = f(way._clipped(both + hidden @ weights[: 2 * size].T + bias[: 2 * size])).chunk(2, -1)
    if way.node.int("linear_before_reset", 0):
        inner = r * (hidden @ weights[2 * size :].T + bias[2 * size :])
    else:
        inner = (r * hidden) @ weights[2 * size :].T + bias[2 * size :]
    new = g(way._clipped(x + inner))
    return ((1 - z) * new + z * hidden,)


def _lstm_cell(way: _Way, step: int, state: State) -> State:
    f, g, h = way.activations
    hidden, cell = state
    i, o, forget, c = way.gates(step, hidden).chunk(4, -1)
    if way.peepholes is not None:
        peep_i, peep_o, peep_f = way.peepholes.chunk(3)
        i, forget = i + peep_i * cell, forget + peep_f * cell
    i = f(i)
    forget = 1 - i if way.node.int("input_forget", 0) else f(forget)
    cell = forget * cell + i * g(c)
    return f(o if way.peepholes is None else o + peep_o * cell) * h(cell), cell


@dataclass(frozen=True)
class _Kind:
    """What tells LSTM, GRU and RNN apart."""

    gates: int
    activations: tuple[str, ...]
    cell: Callable[[_Way, int, State], State]


KINDS = {
    "RNN": _Kind(1, ("Tanh",), _rnn_cell),
    "GRU": _Kind(3, ("Sigmoid", "Tanh"), _gru_cell),
    "LSTM": _Kind(4, ("Sigmoid", "Tanh", "Tanh"), _lstm_cell),
}


@converts("RNN", "GRU", reads=(4,))
def rnn(
    node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None,
    lengths: Tensor | None = None, hidden: Tensor | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """(Y, Y_h): hidden states of every step, and the last."""
    return _recurrent(node, x, w, r, b, lengths, (hidden,), None)


@converts("LSTM", reads=(4,))
def lstm(
    node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Tensor | None = None,
    hidden: Tensor | None = None, cell: Tensor | None = None, peepholes: Tensor | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """(Y, Y_h, Y_c): hidden states of every step, the last, and the last cell."""
    return _recurrent(node, x, w, r, b, lengths, (hidden, cell), peepholes)


@converts("DynamicQuantizeLSTM", domain=MICROSOFT, reads=(4,))
def dynamic_quantize_lstm(
    node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, lengths: Tensor | None, hidden: Tensor | None,
    cell: Tensor | None, peepholes: Tensor | None, *steps: Tensor,
) -> tuple[Tensor, ...]:  # fmt: skip
    """LSTM with quantised weights, which lie transposed; `steps` are scale and zero point of w and of r."""
    w, r = (_weights(node, q, *steps[n : n + 2]) for q, n in ((w, 0), (r, 2)))
    return _recurrent(replace(node, operator="LSTM"), x, w, r, b, lengths, (hidden, cell), peepholes)


def _weights(node: Node, q: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """(D, features, 4·H) steps as (D, 4·H, features) values; one scale per direction, or one per column."""
    scale, zero = (v.to(node.dtype).reshape(len(v) if v.ndim else 1, 1, -1) for v in (scale, zero))
    return ((q.to(node.dtype) - zero) * scale).transpose(1, 2)


def _recurrent(
    node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, lengths: Tensor | None,
    initial: tuple[Tensor | None, ...], peepholes: Tensor | None,
) -> tuple[Tensor, ...]:  # fmt: skip
    batch_first = bool(node.int("layout", 0))
    if batch_first:
        x, initial = x.transpose(0, 1), tuple(None if s is None else s.transpose(0, 1) for s in initial)
    _check_length(x, w)
    zero = torch.zeros(x.shape[1], r.shape[2], dtype=x.dtype, device=x.device)
    ends, outputs = [], []
    for d in range(len(w)):
        way = _way(node, d, x, w, r, b, peepholes)
        start = tuple(zero if s is None else s[d] for s in initial)
        backward = node.text("direction", "forward") == "reverse" or d == 1
        steps, end = _unrolled(way, start, lengths, backward=backward)
        outputs.append(torch.stack(steps))
        ends.append(end)
    y = torch.stack(outputs, 1)  # (T, D, B, H)
    last = [torch.stack(states) for states in zip(*ends, strict=True)]
    if batch_first:
        return y.permute(2, 0, 1, 3), *(state.transpose(0, 1) for state in last)
    return y, *last


def stand_in(node: Node, x: Tensor, w: Tensor, r: Tensor, *_: Any) -> tuple[Tensor, ...]:
    """What has the shapes of a recurrent layer's outputs and reads the same steps, in a few operators.

    The sum of all steps up to each (of a backward direction, from each on) takes the place of the hidden state.
    """
    hidden = r.shape[1] if node.operator == "DynamicQuantizeLSTM" else r.shape[2]
    batch_first = bool(node.int("layout", 0))
    x = x.transpose(0, 1) if batch_first else x
    _check_length(x, w)
    spread = torch.ones(x.shape[2], hidden, dtype=x.dtype, device=x.device)
    outputs, ends = [], []
    for d in range(len(w)):
        backward = node.text("direction", "forward") == "reverse" or d == 1
        steps = (x.flip(0).cumsum(0).flip(0) if backward else x.cumsum(0)) @ spread
        outputs.append(steps)
        ends.append(steps[0 if backward else -1])
    y, last = torch.stack(outputs, 1), torch.stack(ends)
    if batch_first:
        y, last = y.permute(2, 0, 1, 3), last.transpose(0, 1)
    return (y, last) if node.operator in ("RNN", "GRU") else (y, last, last)


def _check_length(x: Tensor, w: Tensor) -> None:
    if len(x) * len(w) > MAX_STEPS:
        raise ProblemError(
            "model-too-complex",
            f"{len(x)} steps, times {len(w)} for the directions, are more than the {MAX_STEPS} that are unrolled; name "
            "a layer before it, or give a shorter input.",
        )


def _way(node: Node, d: int, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, peepholes: Tensor | None) -> _Way:
    kind = KINDS[node.operator]
    both = torch.zeros(2 * w.shape[1], dtype=x.dtype, device=x.device) if b is None else b[d]
    input_bias, hidden_bias = both.tensor_split(2)
    names = node.attributes.get("activations") or list(kind.activations) * len(w)
    count = len(kind.activations)
    return _Way(
        node,
        (x @ w[d].T + (input_bias if node.operator == "GRU" else input_bias + hidden_bias)).unbind(),
        r[d],
        hidden_bias,
        None if peepholes is None else peepholes[d],
        [_activation(node, str(name), d * count + k) for k, name in enumerate(names[d * count : (d + 1) * count])],
    )


def _activation(node: Node, name: str, place: int) -> Activation:
    if name.lower() not in ACTIVATIONS:
        raise ProblemError("unsupported-op", f"the activation {name[:80]} is not known")
    function, *defaults = ACTIVATIONS[name.lower()]
    given = [node.attributes.get(f"activation_{which}") or [] for which in ("alpha", "beta")]
    alpha, beta = (float(g[place]) if place < len(g) else d for g, d in zip(given, defaults, strict=True))
    return lambda x: function(x, alpha, beta)


def _unrolled(way: _Way, state: State, lengths: Tensor | None, *, backward: bool) -> tuple[list[Tensor], State]:
    """Hidden states in the order of time, and the final state; sequences that have ended keep theirs and answer 0."""
    cell, count = KINDS[way.node.operator].cell, len(way.projected)
    steps: list[Tensor] = []
    zero = torch.zeros((), dtype=way.recurrent.dtype, device=way.recurrent.device)
    for step in reversed(range(count)) if backward else range(count):
        new = cell(way, step, state)
        if lengths is None:
            state = new
            steps.append(new[0])
            continue
        alive = (step < lengths).reshape(-1, 1)
        state = tuple(torch.where(alive, n, s) for n, s in zip(new, state, strict=True))
        steps.append(torch.where(alive, new[0], zero))
    return steps[::-1] if backward else steps, state
