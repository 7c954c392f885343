"""What a network makes of its weights before the input comes near: noted once, made again for every draw.

A slot is a weight (slots 0 … n − 1, in the order of `Network.weights`) or a tensor made of weights alone: a transposed
matrix, one tap of a kernel.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from erfscope_engine.recording.recorder import reads_values
from erfscope_engine.recording.tape import Call, Ref

Constant = Any  # a leaf of an operator's arguments


class Prologue:
    """Watches operators on constants while a network is recorded (`do`), and runs them on other weights (`replay`).

    `broken` where it cannot: the network looked at a weight's values, or wrote into one.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.broken = False
        self._entries: list[Call] = []
        self._slots: Any = WeakTensorKeyDictionary()
        self._count = 0
        for weight in weights:
            self._track(weight)

    def slot(self, item: Constant) -> int | None:
        """The slot of a constant on the tape; None where it is the same for all draws."""
        slot: int | None = self._slots.get(item) if isinstance(item, Tensor) else None
        return slot

    def do(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operator on constants, and note it where weights are among them."""
        marked_args, marked_kwargs = tree_map_only(Tensor, self._mark, (args, kwargs))
        out = func(*args, **kwargs)
        leaves, _ = tree_flatten((marked_args, marked_kwargs))
        if any(isinstance(leaf, Ref) for leaf in leaves):
            self.broken |= func._schema.is_mutable or reads_values(func)
            outs = out if isinstance(out, (tuple, list)) else (out,)
            slots = tuple(self._track(item) if isinstance(item, Tensor) else None for item in outs)
            self._entries.append(Call(func, marked_args, marked_kwargs, slots))
        return out

    def replay(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """Every slot's tensor for these weights."""
        found: list[Any] = [*weights, *[None] * (self._count - len(weights))]
        with torch.no_grad():
            for entry in self._entries:
                args, kwargs = tree_map(
                    lambda leaf: found[leaf.index] if isinstance(leaf, Ref) else leaf, (entry.args, entry.kwargs)
                )
                out = entry.op(*args, **kwargs)
                for slot, item in zip(entry.outputs, out if isinstance(out, (tuple, list)) else (out,), strict=True):
                    if slot is not None:
                        found[slot] = item
        return found

    def _mark(self, tensor: Tensor) -> Any:
        slot = self._slots.get(tensor)
        return tensor if slot is None else Ref(slot)

    def _track(self, tensor: Tensor) -> int:
        self._slots[tensor] = self._count
        self._count += 1
        return self._count - 1
