"""Chains that run as one step: a convolution with its normalisation folded in, and a ReLU behind what made it."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from erfscope_engine.execution.step import Step
from erfscope_engine.operators.norms import folded_affine
from erfscope_engine.recording.tape import Call, Drawn, Ref, Tape

NORMALISATIONS = ("native_batch_norm", "_native_batch_norm_legit_no_training")


@dataclass(frozen=True)
class Fused:
    """A head (with other parameters, where a normalisation was folded in) and a ReLU behind it, as one operator."""

    head: Call
    relu: bool
    output: int

    def step(self, step: Step) -> Step:
        """The head's step as the chain's: it writes the chain's output."""
        return replace(step, writes=((self.output, step.writes[0][1]),), relu=self.relu)


def fuse(tape: Tape, calls: Sequence[Call], wanted: Set[int]) -> list[Call | Fused]:
    """Join heads with the normalisation and the ReLU behind them, where nobody else reads the values between."""
    chosen = {id(call) for call in calls}
    taken: set[int] = set()
    items: list[Call | Fused] = []
    for call in calls:
        if id(call) in taken:
            continue
        head, output, relu, inner = call, call.outputs[0], False, list[Call]()
        while _may_grow(call) and output is not None and output not in wanted and not relu:
            readers = [reader for reader in tape.readers.get(output, []) if id(reader) in chosen]
            if len(readers) != 1 or readers[0].stops:
                break
            following = readers[0]
            relu = following.name == "relu"
            folded = None if relu else _with_norm(head, following, output)
            if not relu and folded is None:
                break
            head, output = folded or head, following.outputs[0]
            inner.append(following)
        taken.update(id(each) for each in inner)
        items.append(Fused(head, relu, output) if inner and output is not None else call)
    return items


def _may_grow(call: Call) -> bool:
    if call.stops or call.name not in ("convolution", "add", *NORMALISATIONS):
        return False
    return call.name not in NORMALISATIONS or folded_affine(call) is not None


def _with_norm(head: Call, following: Call, output: int) -> Call | None:
    """The convolution `head` with the normalisation that follows it taken into its parameters."""
    constant = not any(isinstance(item, Ref) for item in head.args[1:3])
    is_norm = following.name in NORMALISATIONS and following.args[0] == Ref(output)
    if head.name != "convolution" or not is_norm or not constant:
        return None
    affine = folded_affine(following)
    if affine is None:
        return None
    weight, bias = _folded_draws(head.args[1], head.args[2], *affine, transposed=bool(head.arg("transposed")))
    return replace(head, args=(head.args[0], weight, bias, *head.args[3:]))


def _folded_draws(
    weight: Tensor | Drawn, bias: Tensor | Drawn | None, factor: Tensor, shift: Tensor, transposed: bool
) -> tuple[Tensor | Drawn, Tensor | Drawn]:
    """A per-channel affine map taken into the convolution before it, of every draw."""
    if isinstance(weight, Tensor):
        assert not isinstance(bias, Drawn)  # a bias is drawn with its weight
        return _folded(weight, bias, factor, shift, transposed)
    biases = bias.values if isinstance(bias, Drawn) else [bias] * len(weight.values)
    pairs = [_folded(w, b, factor, shift, transposed) for w, b in zip(weight.values, biases, strict=True)]
    return Drawn(torch.stack([w for w, _ in pairs])), Drawn(torch.stack([b for _, b in pairs]))


def _folded(
    weight: Tensor, bias: Tensor | None, factor: Tensor, shift: Tensor, transposed: bool
) -> tuple[Tensor, Tensor]:
    """A per-channel affine map taken into the convolution before it."""
    if transposed:
        groups = len(factor) // weight.shape[1]
        grouped = weight.view(groups, -1, *weight.shape[1:])
        spread = factor.view(groups, 1, -1, *[1] * (weight.dim() - 2))
        scaled = (grouped * spread).view(weight.shape)
    else:
        scaled = weight * factor.view(-1, *[1] * (weight.dim() - 1))
    return scaled, shift if bias is None else bias * factor + shift
