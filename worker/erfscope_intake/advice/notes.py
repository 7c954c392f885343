"""What a reader of advice must know, in words."""

from collections.abc import Sequence

from erfscope_contract.advice import AdviceRequest, Change
from erfscope_contract.holding import HOLD
from erfscope_contract.result import ErfResult
from erfscope_contract.untrained import training_first

RULE = (
    "The ERF that is asked for is {hold:g} times the object (docs/science/object-size.md){more} In a network with "
    "several heads another one may suit: erfscope fit."
)
OF_IMAGES = ", a rule that was measured on images: elsewhere it is a first guess."
FAILED = "No change reaches the wanted size; those listed come nearest."
NONE_NEARER = "Of {tried} changes that were tried, none comes nearer to the wanted size than the network as it is."
CLIPPED = "The input is smaller than twice the wanted size: sizes near it are clipped."
ANALYTIC = "Analytic: "  # how the method's notes begin, one for each assumption
EXPECTED = (
    "Sizes are expected ones, by the analytic method: over weights of random signs, and a Gaussian gradient "
    "(docs/howto/analytic.md)."
)
NEW = "Layers that are new have random weights here; everything else keeps its own. Train, and measure again."


def notes_of(request: AdviceRequest, base: ErfResult, changes: Sequence[Change], tried: int) -> list[str]:
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
    if min(base.input_shape[1:]) < 2 * want:
        listed.append(CLIPPED)
    own = [note for note in base.provenance.notes if not note.startswith(ANALYTIC)]
    return training_first([*listed, *([EXPECTED] if request.verify == 0 else []), *own])
