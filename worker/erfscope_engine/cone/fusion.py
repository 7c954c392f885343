"""Chains that run as one step: a convolution with its normalisation folded in, and a ReLU behind what made it."""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from erfscope_engine.cone.pointwise import folded_affine
from erfscope_engine.cone.step import Step
from erfscope_engine.regions.table import Call
from erfscope_engine.tape import Drawn, Entry, Ref, Tape

NORMALISATIONS = ("native_batch_norm", "_native_batch_norm_legit_no_training")


@dataclass(frozen=True)
class Fused:
    """A head (with other parameters, where a normalisation was folded in) and a ReLU behind it, as one operator."""

    head: Entry
    relu: bool
    output: int

    def step(self, made: Step) -> Step:
        """The head's step as the chain's: it writes the chain's output."""
        return replace(made, writes=((self.output, made.writes[0][1]),), relu=self.relu)


def fuse(tape: Tape, entries: Sequence[Entry], wanted: Set[int]) -> list[Entry | Fused]:
    """Join heads with the normalisation and the ReLU behind them, where nobody else reads the values between."""
    readers = Counter(ref.index for entry in entries for ref in entry.refs)
    reader = {ref.index: entry for entry in entries for ref in entry.refs}
    taken: set[int] = set()
    made: list[Entry | Fused] = []
    for entry in entries:
        if id(entry) in taken:
            continue
        head, output, relu, inner = entry, entry.outputs[0], False, list[Entry]()
        while _may_grow(entry) and output is not None and output not in wanted and readers[output] == 1 and not relu:
            following = reader[output]
            relu = following.op.overloadpacket.__name__ == "relu"
            folded = None if relu else _with_norm(tape, head, following, output)
            if not relu and folded is None:
                break
            head, output = folded or head, following.outputs[0]
            inner.append(following)
        taken.update(id(e) for e in inner)
        made.append(Fused(head, relu, output) if inner and output is not None else entry)
    return made


def _may_grow(entry: Entry) -> bool:
    return entry.op.overloadpacket.__name__ in ("convolution", "add", *NORMALISATIONS)


def _with_norm(tape: Tape, head: Entry, following: Entry, output: int) -> Entry | None:
    """The convolution `head` with the normalisation that follows it taken into its parameters."""
    constant = not any(isinstance(item, Ref) for item in head.args[1:3])
    is_norm = following.op.overloadpacket.__name__ in NORMALISATIONS and following.args[0] == Ref(output)
    if head.op.overloadpacket.__name__ != "convolution" or not is_norm or not constant:
        return None
    affine = folded_affine(Call(following, tape, 0))
    if affine is None:
        return None
    transposed = bool(Call(head, tape, 0).arg("transposed"))
    weight, bias = _folded_draws(head.args[1], head.args[2], *affine, transposed=transposed)
    return replace(head, args=(head.args[0], weight, bias, *head.args[3:]))


def _folded_draws(
    weight: Tensor | Drawn, bias: Tensor | Drawn | None, factor: Tensor, shift: Tensor, transposed: bool
) -> tuple[Tensor | Drawn, Tensor | Drawn]:
    """A per-channel affine map taken into the convolution before it, of every draw."""
    if isinstance(weight, Tensor):
        assert not isinstance(bias, Drawn)  # a bias is drawn with its weight
        return _folded(weight, bias, factor, shift, transposed)
    biases = bias.values if isinstance(bias, Drawn) else [bias] * len(weight.values)
    made = [_folded(w, b, factor, shift, transposed) for w, b in zip(weight.values, biases, strict=True)]
    return Drawn(torch.stack([w for w, _ in made])), Drawn(torch.stack([b for _, b in made]))


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
