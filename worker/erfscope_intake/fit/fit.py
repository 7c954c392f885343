"""Fit, start to end: find heads and levels, measure each, say which object sizes it holds."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from erfscope_contract.about import About, name_of
from erfscope_contract.fit import Fit, FitLevel, FitRequest
from erfscope_contract.fit_words import objects_of
from erfscope_contract.gridding import GRIDDED, is_gridded
from erfscope_contract.judging import By, by_choices, rule_of
from erfscope_contract.lengths import pixels_of
from erfscope_contract.limits import bounds_of, is_limited_by_input
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import AverageOptions, ErfRequest, TargetOptions, Weights
from erfscope_contract.result import ErfResult
from erfscope_contract.untrained import training_first
from erfscope_contract.version import __version__
from erfscope_engine.layers import Traced
from erfscope_engine.map_notes import WHY_UNCERTAIN, is_peaked, is_uncertain, peaked_rows
from erfscope_engine.measure import measure_network
from erfscope_engine.network import Network
from erfscope_engine.reaches import Reaches
from erfscope_intake.answer import Images, images_of, pick_device
from erfscope_intake.fit.verdicts import Size, at_level, do_heads_decide
from erfscope_intake.levels import Level, levels_of, passed_over
from erfscope_intake.memory import memory_errors_explained, with_less_memory
from erfscope_intake.onnx_external import Sent
from erfscope_intake.outputs import Survey, surveyed
from erfscope_intake.phases import largest_of
from erfscope_intake.progress import Progress, within
from erfscope_intake.sizes import SizedModel

MOST_LEVELS = 24
LEFT_OUT = "{count} further levels are left out; name layers (`layers`, --layer) to see others."
NO_GRADIENT = "Layer {name!r} has no ERF: {why}"
UNDEFINED = "its map is 0 at the unit's own place, relative to which sizes are told."
UNCERTAIN = "The ERF's size of {names} is known to ± {share} % only: {why}."
CLIPPED = (
    "The TRF of {count} of {all} layers sticks out of the input; with a larger one (input.shape, --shape) their ERF "
    "may be larger."
)
PASSED = (
    "Passed over, for no weights lie between the input and it: {names}. A layer that is named (`layers`, --layer) is "
    "listed all the same."
)
GRIDS = (
    "Gridded (lattice above {bound:g}): {names}. A unit there sees some {steps} much better than those between them, "
    "and what is finer than these holes may be missed, whatever the size says; `erfscope measure --layer NAME` shows "
    "the map."
)
MOST_NAMED = 8
OF_IMAGES = (
    "by {by!r} is for images and volumes: of a signal, and of a causal one, the ERF alone has a rule. Leave it out."
)
STEADIER = (
    "The box with half of the mass is known better (± {share} %): `by` mass_50_side (--by mass_50_side) judges by it."
)


def fit(
    request: FitRequest,
    model: Path | None = None,
    progress: Progress = lambda stage, share: None,
    *,
    device: str = "cpu",
    data: Sent | None = None,
    images: Path | None = None,
) -> Fit:
    """Answer a FitRequest; `model` is the ONNX file where the request names one by its sha256.

    `data` are the files that came with it, by name; without it, its folder is where the files lie that it names.
    `images` is the file that the samples come from, None for noise. `progress` hears (stage, share done): load, trace,
    `measure 2 of 5`. Raises ProblemError, as a measurement does.
    """
    progress("load", 0.0)
    sized = SizedModel(request.model, request.input, request.weights, pick_device(device), model, data, request.seed)
    with memory_errors_explained():
        network = sized.network()
        if request.by not in by_choices(len(network.input_shape) - 1):
            raise ProblemError("invalid-request", OF_IMAGES.format(by=request.by))
        samples = images_of(request.input, images, network)
        progress("trace", 0.1)
        survey = surveyed(network)
        levels, notes = _levels(survey, request.layers)
        rows, reaches = list[FitLevel](), Reaches(survey.traced.geometry)
        gridded = list[str]()
        for number, level in enumerate(levels):
            part = within(progress, "measure", number, len(levels))
            row, why, has_holes = _measured(survey.traced, level, request, network, samples, part)
            gridded += [row.name] if has_holes else []
            largest = [] if row.is_global else largest_of(survey.traced, level.layer, row.trf_size, reaches)
            rows.append(row.model_copy(update={"trf_largest": largest}))
            notes += [NO_GRADIENT.format(name=row.name, why=why)] if why else []
    deciding = _deciding(survey, rows)
    return Fit(
        input_shape=list(network.input_shape),
        levels=rows,
        deciding=deciding,
        objects=objects_of(
            request.objects,
            rows,
            deciding,
            network.input_shape[1:],
            samples=request.samples,
            named=bool(request.layers),
            by=request.by,
        ),
        by=request.by,
        rule=rule_of(request.by, len(network.input_shape) - 1),
        about=_about(request),
        notes=training_first(
            [
                *network.notes,
                *notes,
                *_clipped(rows),
                *_uncertain(rows, request.by, len(network.input_shape) - 1),
                *_peaked(rows, gridded),
                *_gridded(gridded, network),
            ]
        ),
        engine=__version__,
        torch=torch.__version__,
    )


def _levels(survey: Survey, names: Sequence[str]) -> tuple[list[Level], list[str]]:
    """The layers that were named; else heads and levels, the heads first to stay where there are too many."""
    traced = survey.traced
    if names:
        heads = {level.layer.value for level in levels_of(traced, survey.outputs) if level.is_head}
        layers = [traced.layer(name) for name in dict.fromkeys(names)]
        return [Level(layer, layer.value in heads) for layer in layers], []
    levels = levels_of(traced, survey.outputs)
    passed = passed_over(traced, survey.outputs)
    notes = [PASSED.format(names=", ".join(passed[:MOST_NAMED]))] if passed else []
    if not levels:  # nothing has an even grid: what a measurement would take
        return [Level(survey.plan.layer, True)], notes
    ranked = sorted(levels, key=lambda level: (not level.is_head, -level.layer.value))[:MOST_LEVELS]
    left = len(levels) - len(ranked)
    notes += [LEFT_OUT.format(count=left)] if left else []
    return sorted(ranked, key=lambda level: level.layer.value), notes


def _deciding(survey: Survey, rows: Sequence[FitLevel]) -> list[str]:
    """Heads that decide, of the rows: the network's heads as they are, also where layers were named."""
    levels = levels_of(survey.traced, survey.outputs)
    sides = [max(level.layer.stride(axis) or 0 for axis in survey.traced.space) for level in levels]
    heads = [side for level, side in zip(levels, sides, strict=True) if level.is_head]
    if not do_heads_decide(heads, sides):
        return []
    return [row.name for row in rows if row.role == "head"]


def _about(request: FitRequest) -> About:
    inputs, draws = samples_of(request)
    return About(
        model=name_of(request.model),
        weights=request.weights,
        inputs=inputs,
        draws=draws,
        source=request.input.source,
        seed=request.seed,
    )


def samples_of(request: FitRequest) -> tuple[int, int]:
    """Inputs, and draws of the weights: where weights are drawn a draw for each sample, as advice has them."""
    drawn = request.model.architecture is not None or request.weights is not Weights.GIVEN
    return (1, request.samples) if drawn else (request.samples, 1)


def _measured(
    traced: Traced, level: Level, request: FitRequest, network: Network, images: Images, progress: Progress
) -> tuple[FitLevel, str | None, bool]:
    """A level's row, without an ERF, and why, where no gradient arrives; and whether its map is gridded."""
    inputs, draws = samples_of(request)
    asked = ErfRequest(
        target=TargetOptions(layer=level.layer.name),
        average=AverageOptions(inputs=inputs, weights=draws, seed=request.seed),
        weights=request.weights,
        input=request.input,
    )
    try:
        result = with_less_memory(partial(measure_network, network, asked, images=images, progress=progress)).result
    except ProblemError as problem:
        if problem.kind != "no-gradient":
            raise
        return _unmeasured(traced, level, request), problem.problem.detail, False
    why = UNDEFINED if result.erf.size is None else None
    return _row(level, result, request), why, is_gridded(result.shape, result.gaussian)


def _row(level: Level, result: ErfResult, request: FitRequest) -> FitLevel:
    stride, limited = result.trf.stride, is_limited_by_input(result)
    half, half_error = result.mass["0.50"].side, result.stderr.get("mass_50_side")
    is_half_bound = "mass_50_side" in bounds_of(result)
    erf = Size(result.erf.size, result.stderr.get("erf_size") or 0.0, is_bound=limited)
    field = erf if request.by == "erf_size" else Size(half, half_error or 0.0, is_bound=is_half_bound)
    verdicts = [at_level(one, field, stride, result.input_shape[1:], request.by) for one in request.objects]
    return FitLevel(
        name=level.layer.name,
        operator=level.layer.operator,
        role="head" if level.is_head else "level",
        shape=level.layer.own_shape,
        stride=stride,
        trf_size=result.trf.size,
        is_global=result.trf.is_global,
        causal=result.trf.causal,
        local_box=result.trf.local_box,
        clipped=result.trf.clipped,
        erf_size=erf.value,
        mass_50_side=half,
        mass_50_stderr=half_error,
        mass_50_limited=is_half_bound,
        limited=limited,
        erf_ratio=result.erf.ratio,
        stderr=result.stderr.get("erf_size"),
        objects=verdicts,
        holds=[one.size for one in verdicts if one.verdict == "holds"],
    )


def _unmeasured(traced: Traced, level: Level, request: FitRequest) -> FitLevel:
    layer = level.layer
    strides = [layer.stride(axis) for axis in traced.space]
    return FitLevel(
        name=layer.name,
        operator=layer.operator,
        role="head" if level.is_head else "level",
        shape=layer.own_shape,
        stride=[None if stride is None else float(stride) for stride in strides],
        trf_size=[],
        objects=[at_level(one, Size(None), [], traced.spatial_shape, request.by) for one in request.objects],
        holds=[],
    )


def _clipped(rows: Sequence[FitLevel]) -> list[str]:
    count = sum(row.clipped and not row.is_global for row in rows)
    return [CLIPPED.format(count=count, all=len(rows))] if count else []


def _peaked(rows: Sequence[FitLevel], gridded: Sequence[str]) -> list[str]:
    """What a measurement says of a peak on a wide skirt, once for all rows."""
    names = [row.name for row in rows if row.name not in gridded and is_peaked(row.erf_size, row.mass_50_side)]
    return peaked_rows(names[:MOST_NAMED])


def _gridded(names: Sequence[str], network: Network) -> list[str]:
    """A note on maps with holes."""
    steps = pixels_of(len(network.input_shape) - 1).long
    return [GRIDS.format(bound=GRIDDED, names=", ".join(names[:MOST_NAMED]), steps=steps)] if names else []


def _uncertain(rows: Sequence[FitLevel], by: By, rank: int) -> list[str]:
    """What a measurement says of a size that is hardly known, once for all rows."""
    badly = [row for row in rows if is_uncertain(row.erf_size, row.stderr)]
    if not badly:
        return []
    shares = sorted({round(100 * (row.stderr or 0.0) / (row.erf_size or 1.0)) for row in badly})
    told = f"{shares[0]}" if len(shares) == 1 else f"{shares[0]} … {shares[-1]}"
    note = UNCERTAIN.format(names=", ".join(row.name for row in badly), share=told, why=WHY_UNCERTAIN)
    halves = [(row.mass_50_stderr or 0.0) / (row.mass_50_side or 1.0) for row in badly]
    is_better = max(halves) < min((row.stderr or 0.0) / (row.erf_size or 1.0) for row in badly)
    if by == "mass_50_side" or not is_better or "mass_50_side" not in by_choices(rank):
        return [note]
    return [f"{note} {STEADIER.format(share=round(100 * max(halves)))}"]
