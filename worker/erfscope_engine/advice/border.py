"""Border layers: from which layer on a network's weights see nothing new of an image (Richter et al. 2021).

M. Richter, J. Schöning, A. Wiedenroth, U. Krumnack, "Should You Go Deeper? Optimizing Convolutional Neural Network
Architectures without Training" (arXiv 2106.12307). Where paths join, the longest gives the TRF; the shortest is beside
it, for a skip carries small fields far into a network and keeps its layers productive.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from erfscope_engine.fields import Boxes, field_of
from erfscope_engine.layers import Layer, Traced, layer_of
from erfscope_engine.network import Network
from erfscope_engine.plan import center_place, plan_for
from erfscope_engine.reaches import Reaches
from erfscope_engine.recording.tape import Call, Tape

WEIGHTED = ("convolution", "linear", "addmm", "mm")  # operators of layers with weights, by their first words


@dataclass(frozen=True)
class Border:
    """The layers with weights before a layer, by name in order of execution, and which come too late for an image.

    `longest` and `shortest` are positions in `layers` of the first whose input reads more than the image on every axis,
    by the longest and the shortest path; None where there is none. The longest path gives the TRF, without paths that
    only carry statistics (squeeze-and-excite). `depth`: layers with weights along the longest chain.
    """

    layers: tuple[str, ...]
    longest: int | None
    shortest: int | None
    depth: int


def border_in(network: Network, layer: str = "auto") -> Border:
    """The border layer of a network for images of its input's size. Raises ProblemError as `measure` does."""
    plan = plan_for(network, layer, samples=1)
    return border_of(plan.traced, plan.layer)


def border_of(traced: Traced, layer: Layer) -> Border:
    """The border layer for images of the recorded size, among what `layer` depends on."""
    pairs = list(_weighted_layers(traced, layer))
    reaches = Reaches(traced.geometry)
    inputs = [before for _, before in pairs]
    return Border(
        tuple(name for name, _ in pairs),
        next((k for k, before in enumerate(inputs) if _sees_everything(traced, reaches, before)), None),
        next((k for k, before in enumerate(inputs) if _is_beyond(_spread(traced, before), traced.spatial_shape)), None),
        depth_of(traced.tape, layer.value),
    )


def depth_of(tape: Tape, value: int) -> int:
    """How many layers with weights the longest chain of computation up to a value passes."""
    depth = dict[int, int]()
    for call in tape.ancestors([value]):
        before = max((depth.get(ref.index, 0) for ref in call.refs), default=0)
        depth |= dict.fromkeys((out for out in call.outputs if out is not None), before + is_weighted(tape, call))
    return depth.get(value, 0)


def is_weighted(tape: Tape, call: Call) -> bool:
    """Whether a call multiplies one tensor that depends on the input with weights that do not."""
    return call.name.lstrip("_").split(".")[0] in WEIGHTED and sum(tape.values[r.index].live for r in call.refs) == 1


def _weighted_layers(traced: Traced, layer: Layer) -> Iterator[tuple[str, Layer]]:
    """Names of the layers with weights, each with its input."""
    for call in traced.tape.ancestors([layer.value]):
        before = _input_of(traced, call) if is_weighted(traced.tape, call) else None
        if before is not None and before.frame is not None and any(n > 1 for n in before.grid):
            yield traced.tape.label(call), before  # others take numbers for the whole image, as squeeze-and-excite does


def _input_of(traced: Traced, call: Call) -> Layer | None:
    """The nearest tensor before a call whose units have places: a product takes samples and places in one axis."""
    while live := [ref.index for ref in call.refs if traced.tape.values[ref.index].live]:
        layer, made = layer_of(traced.geometry, live[0]), traced.tape.values[live[0]].made
        if layer is not None or made is None or len(live) > 1:
            return layer
        call = traced.tape.calls[made]
    return None


def _sees_everything(traced: Traced, reaches: Reaches, before: Layer) -> bool:
    """Whether the TRF of a unit is larger than the image, or whole. The walk, which is slow, decides on statistics."""
    place, shape = center_place(before), traced.spatial_shape
    extent = reaches.extent(before.value, place.region)
    if extent is None or not (extent.is_global or _is_beyond(_lengths(extent.box), shape)):
        return False
    if not extent.is_global:
        return True
    field = field_of(traced.geometry, before.value, place.region, local=True)
    return field is not None and (field.is_global or _is_beyond(_lengths(field.box), shape))


def _lengths(box: Boxes) -> list[int]:
    return [hi - lo for lo, hi in box]


def _spread(traced: Traced, before: Layer) -> list[Fraction]:
    """The field of the path that spreads least, pixels per axis."""
    frame = before.frame
    return [] if frame is None else [frame.seats[axis].core + 1 for axis in traced.geometry.space]


def _is_beyond(sizes: Sequence[int | Fraction], image: Sequence[int]) -> bool:
    return all(one > n for one, n in zip(sizes, image, strict=True))
