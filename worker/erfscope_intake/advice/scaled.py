"""Changes that feed a network its input at a part of its size: sizes follow from those that were measured. Pure.

A unit that sees s pixels of an input at 1/N of its size sees N · s pixels of the original, with N times the error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from erfscope_contract.advice import Change, Edit, Picture
from erfscope_contract.lengths import KINDS
from erfscope_contract.result import Number
from erfscope_engine.advice.cost import Cost
from erfscope_engine.advice.rank import price

MOST = 8  # of the original's pixels along an axis become one


@dataclass(frozen=True)
class Unscaled:
    """The network as it is, as a change of nothing, with what it costs and the smallest size that its grid resolves."""

    change: Change
    cost: Cost
    finest: float  # pixels, of objects
    object_size: Number
    want: float

    def scaled(self, changes: Sequence[Change]) -> list[Change]:
        """The smaller input that is enough as it is; and where no other change surely reaches, with the cheapest."""
        alone = self._parts(self.change)
        rows = [] if alone is None else [self._at(self.change, alone)]
        if any(change.reaches and not change.unsure for change in changes):
            return rows
        parts = {change.text: self._parts(change) for change in changes}
        fewest = min((count for count in parts.values() if count is not None), default=None)
        if fewest is None or (alone is not None and fewest >= alone):
            return rows
        grid = self.change.layer_shape[1:]
        best = min(
            (change for change in changes if parts[change.text] == fewest), key=lambda one: price(one, self.cost, grid)
        )
        return [*rows, self._at(best, fewest)]

    def _parts(self, change: Change) -> int | None:
        """The smallest N whose ERF is large enough; None if it is above MOST, or the grid too coarse for the object."""
        if not change.size:
            return None
        parts = max(ceil(self.want / change.size), 2)
        is_seen = self.object_size is None or self.object_size / parts >= self.finest
        return parts if parts <= MOST and is_seen else None

    def _at(self, change: Change, parts: int) -> Change:
        """A change, of the network that gets its input at 1/`parts` of its size."""
        rank = len(change.layer_shape) - 1
        words, area, is_alone = _words(rank, parts), parts**rank, change is self.change
        picture = change.picture
        return change.model_copy(
            update={
                "kind": "input_scale" if is_alone else "combined",
                "text": words if is_alone else f"{change.text}; {words}",
                "edits": [*change.edits, Edit(layer="input", field="scale", before="1", after=f"1/{parts}")],
                "erf_analytic": _times(change.erf_analytic, parts),
                "erf_measured": _times(change.erf_measured, parts),
                "stderr": _times(change.stderr, parts),
                "mass_50_side": _times(change.mass_50_side, parts),
                "trf_size": [side * parts for side in change.trf_size],
                "reaches": True,
                "unsure": False,
                "layer_shape": [change.layer_shape[0], *(ceil(n / parts) for n in change.layer_shape[1:])],
                "added_macs": (self.cost.macs + change.added_macs) // area - self.cost.macs,
                "added_memory": (self.cost.memory + change.added_memory) // area - self.cost.memory,
                "added_ms": None,
                "input_parts": parts,
                "picture": picture and Picture(cells=picture.cells, pixels=[n * parts for n in picture.pixels]),
            }
        )


def _times(size: Number, parts: int) -> Number:
    return None if size is None else size * parts


def _words(rank: int, parts: int) -> str:
    """`feed the image at half its size`, `resample the signal to 1/3 of its rate`."""
    part = "half its" if parts == 2 else f"1/{parts} of its"
    return f"resample the signal to {part} rate" if rank == 1 else f"feed the {KINDS.get(rank, 'input')} at {part} size"
