"""What a reader of advice must know, in words."""

from collections.abc import Sequence
from typing import NamedTuple

from erfscope_contract.advice import AdviceRequest, Change
from erfscope_contract.gridding import GRIDDED
from erfscope_contract.holding import HOLD, ROOM, roomy
from erfscope_contract.request import Weights
from erfscope_contract.result import ErfResult, Number
from erfscope_contract.untrained import training_first
from erfscope_engine.map_notes import PEAKED, is_peaked, peaked_rows

RULE = (
    "The ERF that is asked for is {hold:g} times the object (docs/science/object-size.md){more} In a network with "
    "several heads another one may suit: erfscope fit."
)
OF_IMAGES = ", a rule that was measured on images: elsewhere it is a first guess."
FAILED = "No change reaches the wanted size; those listed come nearest."
NONE_NEARER = "Of {tried} changes that were tried, none comes nearer to the wanted size than the network as it is."
CLIPPED = "The input is smaller than {room:g} times the wanted size: sizes near it are clipped. {larger}"
GIVE = "Give a larger one: --shape {shape} (input.shape)."
NO_LARGER = "The model takes no larger one."
ANALYTIC = "Analytic: "  # how the method's notes begin, one for each assumption
EXPECTED = (
    "Sizes are expected ones, by the analytic method: over weights of random signs, and a Gaussian gradient "
    "(docs/howto/analytic.md)."
)
BEFORE_TRAINING = (
    "The weights are random ones, so every size is one before training. Training changes the ERF: measure the trained "
    "network as well."
)
NEW = "Layers that are new have random weights here; everything else keeps its own. Train, and measure again."


class Widths(NamedTuple):
    """Sizes of a map, and how gridded it is."""

    size: Number  # of the ERF
    half: Number  # side of the box with half of the mass
    lattice: Number


def notes_of(request: AdviceRequest, base: ErfResult, now: Widths, changes: Sequence[Change], tried: int) -> list[str]:
    """The rule, how the numbers were found, and what they do not tell; `tried` is 0 where the search was cut short."""
    want = request.wanted_size
    listed = []
    if request.object_size is not None:
        listed.append(RULE.format(hold=HOLD, more="." if len(base.trf.size) == 2 else OF_IMAGES))
    if tried and changes and not any(change.reaches for change in changes):
        listed.append(FAILED)
    if tried and not changes:
        listed.append(NONE_NEARER.format(tried=tried))
    if request.model.architecture is None and any(change.train_anew for change in changes):
        listed.append(NEW)
    space = roomy(base.input_shape[1:], want)
    if space != base.input_shape[1:]:
        shape = ",".join(map(str, [base.input_shape[0], *space]))
        larger = NO_LARGER if request.input.shape is None else GIVE.format(shape=shape)
        listed.append(CLIPPED.format(room=ROOM, larger=larger))
    if request.model.architecture is not None or request.weights is not Weights.GIVEN:
        listed.append(BEFORE_TRAINING)
    listed += peaked_rows(_peaked(now, changes))
    own = [note for note in base.provenance.notes if not note.startswith((ANALYTIC, PEAKED))]
    return training_first([*listed, *([EXPECTED] if request.verify == 0 else []), *own])


def _peaked(now: Widths, changes: Sequence[Change]) -> list[str]:
    """The rows of the table whose map is peaked; holes make an ERF small as well."""
    rows = [
        ("as it is", now),
        *((f"change {n}", Widths(one.size, one.mass_50_side, one.lattice)) for n, one in enumerate(changes, 1)),
    ]
    return [name for name, one in rows if (one.lattice or 0.0) <= GRIDDED and is_peaked(one.size, one.half)]
