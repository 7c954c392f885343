"""Draws of the weights: a network is recorded once, and its constants are bound to other draws, many at a time.

D draws at once are rows of one batch: row n belongs to draw n % D. A convolution then is a grouped one, a group per
draw (`Drawn`), and what a draw multiplies or adds element by element gets a value per row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from erfscope_contract.problem import ProblemError
from erfscope_engine.layers import Traced, survey
from erfscope_engine.network import Network
from erfscope_engine.operators.table import is_pointwise
from erfscope_engine.plan import MISFITS, Plan, draws_at_once, plan_for
from erfscope_engine.prologue import Prologue
from erfscope_engine.recording.recorder import record
from erfscope_engine.recording.tape import Call, Drawn, Ref, Tape

Values = Sequence[Sequence[Tensor]]  # draw → slot → tensor


@dataclass(frozen=True)
class Ensemble:
    """A network whose weights can be bound to draws, `draws` at a time; row n of a batch belongs to draw n % draws.

    Without a prologue (the network's way hangs on its weights) every draw is recorded anew.
    """

    traced: Traced
    draws: int
    prologue: Prologue | None

    @property
    def rows(self) -> int:
        """Samples per draw and run."""
        return self.traced.tape.batch // self.draws

    def at(self, first: int) -> Traced:
        """The network with draws first … first + draws − 1."""
        network = self.traced.network
        assert network.redraw is not None  # ensemble_of has looked
        if self.prologue is None or network.weights is None:
            network.redraw(first)
            rows = self.traced.tape.batch
            return plan_for(network, self.traced.layers[-1].name, samples=rows, at_most=rows, draws=2).traced
        values = []
        for draw in range(first, first + self.draws):
            network.redraw(draw)
            values.append([weight.clone() for weight in network.weights()])
        bound = _bound(self.traced.tape, self.prologue, [self.prologue.replay(weights) for weights in values])
        return replace(self.traced, tape=bound, geometry=replace(self.traced.geometry, tape=bound))


def ensemble_of(plan: Plan, draws: int, samples: int, at_most: int | None) -> Ensemble:
    """Plan `draws` draws of a network's weights, with `samples` each: as many at once as pays and can be.

    Raises ProblemError("unsupported-feature") where weights cannot be re-drawn.
    """
    traced, target, network = plan.traced, plan.layer, plan.traced.network
    if network.redraw is None:
        raise ProblemError(
            "unsupported-feature", "average.weights > 1 needs weights that can be re-drawn; set `weights`."
        )
    for together, rows in dict.fromkeys(
        (draws_at_once(traced, target, draws, samples, at_most), (1, traced.tape.batch))
    ):
        found = _recorded(network, plan, rows * together)
        if found is not None and (together == 1 or _may_stack(*found)):
            return Ensemble(found[0], together, found[1])
    return Ensemble(traced, 1, None)


def _recorded(network: Network, plan: Plan, batch: int) -> tuple[Traced, Prologue] | None:
    """Recorded at `batch` rows with the present weights; None where that cannot be."""
    if network.weights is None or plan.traced.eager:
        return None
    prologue = Prologue(network.weights())
    try:
        traced = survey(network, record(network, batch, plan.traced.layers[-1].name, prologue.do))
        traced.tape.stopped = plan.traced.tape.stopped
        found = traced.layer(plan.layer.name)
    except MISFITS:
        return None  # the network said no to this batch size
    same = found.own_shape == plan.layer.own_shape and found.grid == plan.layer.grid and traced.tape.batch == batch
    return (traced, prologue) if same and not prologue.broken else None


def _bound(tape: Tape, prologue: Prologue, values: Values) -> Tape:
    """The tape with every constant that comes from weights bound to these draws."""

    def bind(entry: Call) -> Call:
        if all(prologue.slot(leaf) is None for leaf in _constants(entry)):
            return entry
        way = _single if len(values) == 1 else WAYS[_kind(entry)]
        out = next(tape.values[index].shape for index in entry.outputs if index is not None)

        def put(item: Tensor) -> Any:
            slot = prologue.slot(item)
            return item if slot is None else way([value[slot] for value in values], out)

        args, kwargs = tree_map_only(Tensor, put, (entry.args, entry.kwargs))
        return replace(entry, args=args, kwargs=kwargs)

    return replace(tape, calls=[bind(entry) for entry in tape.calls])


def _constants(entry: Call) -> list[Tensor]:
    return [leaf for leaf in entry.constants if isinstance(leaf, Tensor)]


def _single(tensors: Sequence[Tensor], out: tuple[int, ...]) -> Tensor:
    return tensors[0]


def _grouped(tensors: Sequence[Tensor], out: tuple[int, ...]) -> Drawn:
    return Drawn(torch.stack(list(tensors)))


def _per_row(tensors: Sequence[Tensor], out: tuple[int, ...]) -> Tensor:
    """Values that broadcast to a result of shape `out`, row by row."""
    one = tensors[0].shape[-(len(out) - 1) :]
    gaps = [1] * (len(out) - 1 - len(one))
    stacked = torch.stack([tensor.reshape(*gaps, *one) for tensor in tensors])
    return stacked.repeat(out[0] // len(tensors), *[1] * (len(out) - 1))


WAYS: dict[str, Callable[[Sequence[Tensor], tuple[int, ...]], Any]] = {"convolution": _grouped, "pointwise": _per_row}


def _kind(entry: Call) -> str:
    return "pointwise" if is_pointwise(entry.op) else entry.name


def _may_stack(traced: Traced, prologue: Prologue) -> bool:
    """Whether every operator that meets weights has a way to take those of many draws."""
    return all(
        _fits(entry, traced, prologue)
        for entry in traced.tape.calls
        if any(prologue.slot(leaf) is not None for leaf in _constants(entry))
    )


def _fits(entry: Call, traced: Traced, prologue: Prologue) -> bool:
    kind = _kind(entry)
    if kind not in WAYS or not all(_rows_apart(traced, ref) for ref in entry.refs):
        return False
    rank = max(len(traced.tape.values[ref.index].shape) for ref in entry.refs)
    drawn = [leaf for leaf in _constants(entry) if prologue.slot(leaf) is not None]
    if kind == "convolution":
        return isinstance(entry.args[0], Ref) and prologue.slot(entry.args[1]) is not None and drawn[0].dim() == rank
    return all(leaf.dim() < rank or (leaf.dim() == rank and leaf.shape[0] == 1) for leaf in drawn)


def _rows_apart(traced: Traced, ref: Ref) -> bool:
    """Whether the first axis of a value is the batch."""
    axes = traced.geometry.frames[ref.index].axes
    return bool(axes) and axes[0] == traced.geometry.frames[0].axes[0]
