"""Which changes come first: those that reach, without holes, by what they cost; and which no other one beats."""

from collections.abc import Sequence

from erfscope_contract.advice import Change
from erfscope_contract.gridding import GRIDDED
from erfscope_engine.advice.cost import Cost

HOLES = 0.5  # lattice score above which a change is not offered
# What counts how much beside one whole network more of arithmetic: half a network of weights, a quarter of memory …
PARAMETERS, MEMORY, NEW = 0.5, 0.25, 0.5
DEAR = 1.0  # networks: a change that costs as much never comes first for being the only one of its kind
COARSER = 1.0  # a grid that is coarser than before loses detail, whatever it saves


def price(change: Change, now: Cost, grid: Sequence[int]) -> float:
    """What a change costs, in networks: arithmetic, weights, memory, weights that are lost, a coarser grid."""
    macs = max(change.added_macs, 0) / max(now.macs, 1)
    parameters = max(change.added_parameters, 0) / max(now.parameters, 1)
    memory = max(change.added_memory, 0) / max(now.memory, 1)
    lost = 1 - (1.0 if change.weights_kept is None else change.weights_kept)
    coarser = is_coarser(change, grid)
    return macs + PARAMETERS * parameters + MEMORY * memory + NEW * lost + COARSER * coarser


def is_coarser(change: Change, grid: Sequence[int]) -> bool:
    """Whether its grid is smaller than before along any axis."""
    return any(after < before for after, before in zip(change.layer_shape[1:], grid, strict=False))


def ranked(changes: Sequence[Change], want: float, now: Cost, grid: Sequence[int]) -> list[Change]:
    """Best first: what reaches, by price, what surely does before the rest; then what comes nearest.

    Of what only may reach, changes with a coarser grid come last.

    Each kind's best comes before any kind's second.
    """

    def order(change: Change) -> tuple[float, ...]:
        gridded = (change.lattice or 0.0) > GRIDDED
        cost = price(change, now, grid) if change.reaches and not change.unsure else -change.size
        coarser = change.unsure and is_coarser(change, grid)
        return (not change.reaches, change.unsure, gridded, coarser, cost, change.size)

    offered = sorted((one for one in changes if (one.lattice or 0.0) <= HOLES), key=order)
    reaching = [one for one in offered if one.reaches]
    cheap = [one for one in reaching if price(one, now, grid) < DEAR and not one.unsure]
    rest = [one for one in offered if one not in cheap]
    return [*one_of_each(cheap), *rest]


def one_of_each(changes: Sequence[Change]) -> list[Change]:
    """The first of each kind, then the rest, in order."""
    firsts = {change.kind: change for change in reversed(changes)}
    return [
        *(one for one in changes if firsts[one.kind] is one),
        *(one for one in changes if firsts[one.kind] is not one),
    ]


def with_pareto(changes: Sequence[Change]) -> list[Change]:
    """Each with whether another one is as good in all and better in something."""
    return [one.model_copy(update={"pareto": not any(_beats(other, one) for other in changes)}) for one in changes]


def _beats(other: Change, one: Change) -> bool:
    costs = [(change.added_macs, change.added_parameters, change.added_memory, -change.size) for change in (other, one)]
    return costs[0] != costs[1] and all(a <= b for a, b in zip(*costs, strict=True))
