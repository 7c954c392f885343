"""Tiles, start to end: record the network, fit halo and alignment to the tile, run the tiles."""

from collections.abc import Callable, Sequence
from functools import partial
from math import lcm, prod
from pathlib import Path

import torch
from torch import Tensor

from erfscope_contract.about import About, name_of
from erfscope_contract.lengths import KINDS, axis_name
from erfscope_contract.problem import FieldError, ProblemError
from erfscope_contract.request import Source
from erfscope_contract.result import Reach
from erfscope_contract.tiles import Checked, TiledLayer, Tiles, TilesRequest
from erfscope_contract.untrained import is_on_training, training_first
from erfscope_contract.version import __version__
from erfscope_engine.layers import Layer
from erfscope_engine.network import Network
from erfscope_engine.plan import plan_for
from erfscope_intake.answer import images_of, pick_device
from erfscope_intake.levels import Graph
from erfscope_intake.memory import memory_errors_explained
from erfscope_intake.onnx_external import Sent
from erfscope_intake.outputs import Survey, surveyed
from erfscope_intake.sizes import NOISE_SEED, SizedModel, noise, size_explained
from erfscope_intake.tiles.check import Trial, image_of
from erfscope_intake.tiles.demand import (
    MOST_NAMED,
    Needs,
    by_axis,
    fitted_axes,
    image_refused,
    multiples_told,
    require_listable,
    sides_of,
)
from erfscope_intake.tiles.geometry import Along, Tiled, tiled, with_earlier
from erfscope_intake.tiles.layout import AxisTiles, Range, grid_of, round_up

Progress = Callable[[str, float], None]
MOST_ROUNDS = 4  # recordings until the geometry does not change with the image's size
LARGER = 4  # times the model's own input
ONE_TILE = "The {kind} is not larger than a tile along {axes}: it is not cut there."
ERRORS = (
    "The halo is exact for any weights, but the errors with less of it are those of these weights: with drawn ones "
    "(--weights random) they are those of the architecture."
)
NO_PADDING = "The network pads nothing: every unit that a tile gives is right, and none is cropped."
HEADS = "The units of output {name!r} are no even grid in the input's space; what is cut is {heads}, before it."
NO_HEADS = "Output {name!r} is left out: no layer before it has units in the input's space."


def tile(
    request: TilesRequest,
    model: Path | None = None,
    progress: Progress = lambda stage, share: None,
    *,
    device: str = "cpu",
    data: Sent | None = None,
    images: Path | None = None,
) -> Tiles:
    """Answer a TilesRequest; `model` is the ONNX file where the request names one by its sha256.

    `data` are the files that came with it, by name; without it, its folder is where the files lie that it names.
    `images` is the file that the inputs of the check come from, None for noise. `progress` hears (stage, share done):
    load, trace, `verify 2 of 5`. Raises ProblemError: unsupported-model where tiles cannot give what the whole image
    gives, invalid-request where the tile is too small, and what a measurement raises.
    """
    progress("load", 0.0)
    sized = SizedModel(request.model, request.input, request.weights, pick_device(device), model, data)
    with memory_errors_explained():
        first = sized.network()
        progress("trace", 0.1)
        needs = _settled(sized, first, request)
        axes = fitted_axes(needs, request)
        if request.image is not None:
            require_listable(axes, request.image)
            _check_ends(sized, needs, axes, request.image)
        progress("verify", 0.2)
        asked = _asked(request, needs, axes)
        samples = partial(_samples, request, images)
        trial = Trial(sized, first.input_shape, needs.layers, axes, samples, asked)

        def verifying(number: int, count: int) -> None:
            progress(f"verify {number + 1} of {count}", 0.2 + 0.8 * number / count)

        with multiples_told(needs, request):
            check, shapes = trial.run(verifying)
    image, exact = request.image, [(axis.before, axis.after) for axis in axes]
    notes = training_first([*needs.notes, *_padding(axes, check), *_uncut(axes)])
    if asked is not None:
        axes = [axis.with_halo(sides) for axis, sides in zip(axes, asked, strict=True)]
    return Tiles(
        about=About(
            model=name_of(request.model),
            weights=request.weights,
            inputs=request.samples * (first.batch or 1),
            draws=1,
            source=request.input.source,
            seed=NOISE_SEED,
        ),
        tile=[axis.tile for axis in axes],
        halo=[(axis.before, axis.after) for axis in axes],
        exact_halo=None if asked is None else exact,
        alignment=[axis.alignment for axis in axes],
        crop=[axis.crop for axis in axes],
        step=[axis.step for axis in axes],
        efficiency=prod(axis.step / axis.tile for axis in axes),
        reach=_largest([one.along for one in needs.layers]),
        layers=[_row(one, axes, shapes[one.layer.name]) for one in needs.layers],
        grid=None if image is None else grid_of(axes, image),
        checked=check,
        input_shape=list(first.input_shape),
        notes=list(dict.fromkeys(notes)),
        engine=__version__,
        torch=torch.__version__,
    )


def _asked(request: TilesRequest, needs: Needs, axes: Sequence[AxisTiles]) -> tuple[Range, ...] | None:
    """The halo of the request, per axis, in whole units of all layers; the exact one along an axis that is not cut.

    Raises ProblemError("invalid-request") where nothing of a tile is left.
    """
    if request.halo is None:
        return None
    halos = list[Range]()
    for number, (side, axis, column) in enumerate(
        zip(sides_of(request.halo, len(axes), "halo"), axes, needs.columns, strict=True)
    ):
        whole = round_up(side, lcm(*(along.stride.numerator for along in column)))
        sides = (whole if axis.before else 0, whole if axis.after else 0)  # a causal network needs none behind
        halos.append(sides if axis.is_cut else (axis.before, axis.after))
        if axis.with_halo(halos[-1]).step == 0:
            detail = (
                f"A halo of {' + '.join(map(str, sides))} leaves nothing of a tile of {axis.tile} along "
                f"{axis_name(number, len(axes))}, whose tiles start at multiples of {axis.alignment}. Take larger "
                "tiles or a smaller halo."
            )
            raise ProblemError("invalid-request", detail, errors=[FieldError(pointer="/halo", detail=detail)])
    return tuple(halos)


def _samples(request: TilesRequest, images: Path | None, network: Network) -> list[Tensor]:
    """The inputs of the check."""
    if request.input.source is Source.IMAGES:
        loaded = images_of(request.input, images, network)[: request.samples]
        return [
            torch.from_numpy(one)[None].expand(network.batch or 1, *one.shape).to(network.device, network.dtype)
            for one in loaded
        ]
    return [noise(network, number) for number in range(request.samples)]


def _settled(sized: SizedModel, network: Network, request: TilesRequest) -> Needs:
    """What the layers need, once a recording at the size of the check says what the one before said.

    Small inputs hide coarse grids (an axis of one unit has no stride), and where the geometry follows the image's
    size, there is no halo that holds for all.
    """
    shape, needs = network.input_shape, _first(sized, network, request)
    for _ in range(MOST_ROUNDS):
        image = image_of([one.tiles or one.smallest for one in by_axis(needs, request)])
        larger = [shape[0], *image]
        with multiples_told(needs, request), size_explained(larger, shape):
            again = _again(sized.network(larger), needs, request)
        if again.numbers == needs.numbers:
            return again
        needs = again
    kind = KINDS[len(shape) - 1]
    raise ProblemError(
        "unsupported-model",
        f"Strides and reach of this network change with the size of the {kind}, as with align_corners resampling, "
        "adaptive pooling or resizing to a fixed size: no halo holds for all sizes, and tiles are not what the whole "
        f"{kind} is. Name an earlier layer (`layers`, --layer) and run the rest on the whole, export it with "
        f"align_corners=False or pooling of a fixed size, or run whole {kind}s.",
    )


def _check_ends(sized: SizedModel, needs: Needs, axes: Sequence[AxisTiles], image: Sequence[int]) -> None:
    """Refuse an image whose last tiles have a size that the network does not run on.

    They end with the image, so where its extent is no multiple of the alignment they are shorter.
    """
    ends = [stop - start for start, stop in (axis.reads(extent)[-1] for axis, extent in zip(axes, image, strict=True))]
    if not any(axis.is_cut and end % axis.alignment for axis, end in zip(axes, ends, strict=True)):
        return
    last = max(needs.layers, key=lambda one: one.layer.value).layer.name
    try:
        plan_for(sized.network([sized.network().input_shape[0], *ends]), last, samples=1)
    except ProblemError as problem:
        if problem.kind not in ("shape-mismatch", "invalid-architecture"):  # of a file, of a spec
            raise
        raise image_refused(axes, image, ends) from problem


def _first(sized: SizedModel, network: Network, request: TilesRequest) -> Needs:
    """What the layers need on the model's own input; on a larger one where that seems to be impossible.

    On a small input a coarse map is one unit, of which nobody can tell how it moves.
    """
    try:
        return _needs(surveyed(network), request)
    except ProblemError as refusal:
        if refusal.kind != "unsupported-model":
            raise
        channels, *extents = network.input_shape
        try:
            larger = sized.network([channels, *(LARGER * extent for extent in extents)])
            survey = surveyed(larger)
        except ProblemError:
            raise refusal from None  # the network takes its own size only
        return _needs(survey, request)


def _again(network: Network, needs: Needs, request: TilesRequest) -> Needs:
    """What the layers need at another size; of the same ones where what lies behind them does not take it.

    A classifier's flattened head takes one size, its feature maps any.
    """
    try:
        return _needs(surveyed(network), request)
    except ProblemError as refusal:
        last = max(needs.layers, key=lambda one: one.layer.value).layer.name
        if refusal.kind != "shape-mismatch":
            raise
    traced = plan_for(network, last, samples=1).traced
    return Needs(tuple(tiled(traced, traced.layer(one.layer.name)) for one in needs.layers), needs.notes)


def _needs(survey: Survey, request: TilesRequest) -> Needs:
    layers, notes = _layers(survey, request.layers)
    traced = survey.traced
    try:
        rows = tuple(tiled(traced, layer) for layer in layers)
    except ProblemError as refusal:
        if "layer" not in refusal.problem.context:
            raise
        raise with_earlier(refusal, traced) from None
    return Needs(rows, (*map(_of_tiles, traced.network.notes), *notes))


def _of_tiles(note: str) -> str:
    """A note on training, with what it is about here: the halo is exact for any weights."""
    return f"{note} {ERRORS}" if is_on_training(note) else note


def _layers(survey: Survey, names: Sequence[str]) -> tuple[list[Layer], list[str]]:
    """The layers that were named; else the outputs, and the heads of those that are no even grid, with a note."""
    traced = survey.traced
    if names:
        return [traced.layer(name) for name in dict.fromkeys(names)], []
    graph, values, notes = Graph.of(traced), list[int](), list[str]()
    for name in survey.outputs:
        heads = sorted(graph.heads([name]))
        values += heads
        if traced.tape.names.get(name) not in heads:
            told = ", ".join(repr(graph.layers[value].name) for value in heads[:MOST_NAMED])
            notes.append(HEADS.format(name=name, heads=told) if heads else NO_HEADS.format(name=name))
    layers = [graph.layers[value] for value in dict.fromkeys(values)]
    return layers or [survey.plan.layer], notes[:MOST_NAMED]


def _largest(rows: Sequence[Sequence[Along]]) -> Reach:
    columns = list(zip(*rows, strict=True))
    return Reach(
        before=[max(along.before for along in column) for column in columns],
        after=[max(along.after for along in column) for column in columns],
    )


def _row(one: Tiled, axes: Sequence[AxisTiles], shape: Sequence[int]) -> TiledLayer:
    layer = one.layer
    crops = [
        tuple(map(along.units, axis.crop)) if axis.is_cut else (0, shape[along.axis])
        for along, axis in zip(one.along, axes, strict=True)
    ]
    return TiledLayer(
        name=layer.name,
        operator=layer.operator,
        shape=[shape[k] for k in layer.own_axes],
        spatial_axes=[layer.own_axes.index(along.axis) for along in one.along],
        stride=[float(along.stride) for along in one.along],
        trf_size=list(one.field.size),
        trf_largest=one.largest,
        reach=_largest([one.along]),
        crop=[(low, high) for low, high in crops],
        causal=one.field.causal,
    )


def _padding(axes: Sequence[AxisTiles], check: Checked) -> list[str]:
    """A note where tiles give nothing that has to be cropped."""
    return [NO_PADDING] if check.outside is None and any(axis.is_cut for axis in axes) else []


def _uncut(axes: Sequence[AxisTiles]) -> list[str]:
    """A note where the image is no larger than a tile."""
    names = [axis_name(number, len(axes)) for number, axis in enumerate(axes) if not axis.is_cut]
    return [ONE_TILE.format(kind=KINDS[len(axes)], axes=" and ".join(names))] if names else []
