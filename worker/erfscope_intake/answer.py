"""One request answered: load the network, measure it. The worker's child and the command line both come here."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray

from erfscope_contract.architecture import Architecture
from erfscope_contract.data_files import identity_of
from erfscope_contract.job import InputInfo, Inspection, LayerRow
from erfscope_contract.named_files import data_beside
from erfscope_contract.parts import IMAGE, LAYERS, MAP, UNITS
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions, Source, Weights
from erfscope_contract.result import ErfResult, InputTaken
from erfscope_contract.untrained import is_on_training
from erfscope_engine.arithmetic import torch_dtype
from erfscope_engine.fields import Boxes
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.measure import measure_network, sample_network
from erfscope_engine.network import Network
from erfscope_engine.plan import Plan, center_place, plan_for
from erfscope_engine.reaches import Reaches
from erfscope_engine.receptive import local_box_of
from erfscope_engine.room import is_out_of_memory
from erfscope_engine.sampling import Sampler, sample
from erfscope_engine.shards import Part, Range, Unlike
from erfscope_intake.images import load_images, shown
from erfscope_intake.memory import memory_errors_explained, with_less_memory
from erfscope_intake.onnx_external import Sent
from erfscope_intake.onnx_inputs import NAMED
from erfscope_intake.onnx_model import Opened, load_onnx, open_onnx
from erfscope_intake.onnx_scales import notes_on_scales
from erfscope_intake.onnx_summary import OnnxSummary, describe_onnx
from erfscope_intake.phases import largest_of
from erfscope_intake.spec import build_network

NEAREST = "auto took it, the nearest to the output with axes in the input's space and a gradient"
T = TypeVar("T")
Progress = Callable[[str, float], None]
Images = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Loaded:
    """A network, and if it comes from a file, which of the file's inputs it takes, and what else is known of it."""

    network: Network
    input: InputTaken | None = None
    opened: Opened | None = None


Run = Callable[[Loaded, ErfRequest, Images], T]


@dataclass(frozen=True)
class Sources:
    """The files that belong to a request: the ONNX model (none for a spec), the images (none for noise).

    `data` are the files that came with the model, by the names under which they came; None means those that lie beside
    it, in its own folder.
    """

    model: Path | None = None
    images: Path | None = None
    data: Sent | None = None


@dataclass(frozen=True)
class Answer:
    """A result, its normalised map (maximum 1, the input's spatial shape), and every stored array by name.

    Arrays: `map`, and where the result says so `units` and `layers`, float32 [n, *spatial], in the order of the rows,
    and `image`, uint8 [H, W, 3]: the first image, as the network saw it.
    """

    result: ErfResult
    map: NDArray[Any]
    arrays: Mapping[str, NDArray[Any]]


def silent(stage: str, share: float) -> None:
    """Progress that nobody watches."""


def answer(
    request: ErfRequest,
    sources: Sources,
    progress: Progress = silent,
    *,
    device: str = "auto",
    sampler: Sampler = sample,
) -> Answer:
    """Measure what `request` asks. `progress` hears (stage, share done): load, trace, measure.

    `sampler` takes the samples (`erfscope_engine.shards` has others). Raises ProblemError for everything that is the
    request's or the model's fault.
    """
    asked = request
    options: dict[str, Any] = {"model_sha256": _sha256(request, sources), "progress": progress, "sampler": sampler}

    def run(loaded: Loaded, request: ErfRequest, images: Images) -> Answer:
        done = with_less_memory(partial(measure_network, loaded.network, request, images=images, **options))
        maps = {MAP: done.map, UNITS: done.units_map, LAYERS: done.layers_map}
        if images and done.map.shape == (below := shown(images[0], request.input)).shape[:2]:
            maps[IMAGE] = below
        result = _with_reasons(done.result, loaded, is_named=asked.target.layer != "auto")
        result = result.model_copy(update={"maps": result.maps.model_copy(update={"image": IMAGE in maps})})
        return Answer(result, done.map, {name: stack for name, stack in maps.items() if stack is not None})

    return _on_network(run, request, sources, progress, device)


def _sha256(request: ErfRequest, sources: Sources) -> str | None:
    """The name of the model with the files beside it: the request's, for whoever made that has read them all."""
    if sources.model is None or (request.model and request.model.sha256):
        return request.model.sha256 if request.model else None
    return identity_of(sources.model, data_beside(sources.model) if sources.data is None else sources.data)


def answer_part(
    request: ErfRequest, sources: Sources, part: Range, progress: Progress = silent, *, device: str = "auto"
) -> dict[str, NDArray[Any]]:
    """The sums of samples part[0] … part[1] − 1 of `request`, for `erfscope_engine.shards.Merge`.

    Raises ProblemError as `answer` does; Unlike where they cannot be put together with others'.
    """

    def run(loaded: Loaded, request: ErfRequest, images: Images) -> dict[str, NDArray[Any]]:
        sums = Part(part)
        try:
            sample_network(loaded.network, request, sums.sampler, images=images, progress=progress)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise Unlike("this part would need a smaller plan than the others") from error
        return sums.arrays

    return _on_network(run, request, sources, progress, device)


def _on_network(run: Run[T], request: ErfRequest, sources: Sources, progress: Progress, device: str) -> T:
    """Load what `request` names and run on it; once more with the target's name where only the head refuses."""
    progress("load", 0.0)
    place = pick_device(device)
    with memory_errors_explained():
        loaded = _load(request, sources, place)
        images = images_of(request.input, sources.images, loaded.network)
    try:
        return run(loaded, request, images)
    except ProblemError as problem:
        named = _named_target(problem, request, sources, place)
        if named is None:
            raise
        return run(_load(named, sources, place), named, images)


def _named_target(
    problem: ProblemError, request: ErfRequest, sources: Sources, device: torch.device
) -> ErfRequest | None:
    """The request with `auto` resolved at the model's own input shape, where only its head refuses the asked one.

    A classifier's flattened head takes one size, its feature maps any: a recording that ends at them does not see it.
    """
    asked_other_shape = problem.kind == "shape-mismatch" and request.input.shape is not None
    if not asked_other_shape or request.target.layer != "auto" or sources.model is None:
        return None
    own = request.model_copy(update={"input": request.input.model_copy(update={"shape": None})})
    layer = plan_for(_load(own, sources, device).network, "auto", samples=1).layer
    return request.model_copy(update={"target": request.target.model_copy(update={"layer": layer.name})})


def pick_device(wanted: str) -> torch.device:
    """`auto` is a GPU when there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def _load(request: ErfRequest, sources: Sources, device: torch.device) -> Loaded:
    dtype = torch_dtype(request.dtype)
    options: dict[str, Any] = {"device": device, "weights": request.weights, "seed": request.average.seed}
    architecture = request.model.architecture if request.model else None
    if architecture is not None:
        network = build_network(architecture, request.input, dtype=dtype, **options)
        return Loaded(network)
    if sources.model is None:
        raise ProblemError(
            "invalid-request", "The request names no model: give model.sha256, an architecture or a file."
        )
    layer = request.target.layer
    opened = open_onnx(sources.model, request.input, dtype=dtype, data=sources.data, layer=layer, **options)
    return Loaded(opened.network, opened.measured.choice, opened)


def _with_reasons(result: ErfResult, loaded: Loaded, *, is_named: bool) -> ErfResult:
    """`result` with why its input and its layer were taken, and which of several scales that is."""
    layer, opened = result.layer.model_copy(update={"why": NAMED if is_named else NEAREST}), loaded.opened
    told = list(result.provenance.notes)
    if opened is not None:
        told += notes_on_scales(layer, opened.program, opened.names, opened.shapes, is_named=is_named)
    provenance = result.provenance.model_copy(update={"notes": told})
    return result.model_copy(update={"input": loaded.input, "layer": layer, "provenance": provenance})


def images_of(options: InputOptions, path: Path | None, network: Network) -> list[NDArray[Any]]:
    """The images of a file, as samples of `network`; none where the samples are drawn.

    Raises ProblemError, as `load_images` does, and "invalid-request" where there is no file.
    """
    if options.source is not Source.IMAGES:
        return []
    if path is None:
        raise ProblemError("invalid-request", "input.source is 'images', but no images came with the request.")
    return load_images(path, network.input_shape, options)


def inspect_model(
    model: Path | Architecture,
    options: InputOptions,
    progress: Progress = silent,
    *,
    device: str = "cpu",
    data: Sent | None = None,
) -> Inspection:
    """What is inside a model: inputs, outputs, operators, and every spatial layer with its TRF (centre unit).

    `data` as in Sources.
    """
    progress("load", 0.0)
    place = pick_device(device)
    with memory_errors_explained():
        network = _network_to_inspect(model, options, place, data)
        progress("trace", 0.2)
        plan = plan_for(network, "auto", samples=1)
        layers, rows, reaches = plan.traced.layers, list[LayerRow](), Reaches(plan.traced.geometry)
        for n, layer in enumerate(layers):
            rows += _layer_row(plan.traced, layer, reaches)
            progress("layers", (n + 1) / len(layers))
    described = None if isinstance(model, Architecture) else describe_onnx(model, data)
    return _inspection(described, network, plan, rows)


def _network_to_inspect(
    model: Path | Architecture, options: InputOptions, device: torch.device, data: Sent | None
) -> Network:
    if isinstance(model, Architecture):
        return build_network(model, options, dtype=torch.float32, device=device, weights=Weights.GIVEN, seed=0)
    return load_onnx(model, options, dtype=torch.float32, device=device, data=data)


def _layer_row(traced: Traced, layer: Layer, reaches: Reaches) -> list[LayerRow]:
    """A layer with the field of its centre unit; no row where it has no gradient with respect to the input."""
    if layer.frame is None:
        return [_row(layer, traced.spatial_shape, 1.0, traced, is_global=True)]
    field = reaches.extent(layer.value, center_place(layer).region)
    if field is None:
        return []
    covered = 1.0
    for (lo, hi), n in zip(field.box, traced.spatial_shape, strict=True):
        covered *= max(min(hi, n) - max(lo, 0), 0) / n
    local = local_box_of(traced, center_place(layer)) if field.is_global else None
    sides = [hi - lo for lo, hi in field.box]
    largest = [] if field.is_global else largest_of(traced, layer, sides, reaches)
    row = _row(layer, sides, covered, traced, is_global=field.is_global, local=local)
    return [row.model_copy(update={"trf_largest": largest})]


def _row(
    layer: Layer, size: Sequence[int], covered: float, traced: Traced, *, is_global: bool, local: Boxes | None = None
) -> LayerRow:
    strides = [layer.stride(axis) for axis in traced.space]
    return LayerRow(
        name=layer.name,
        operator=layer.operator,
        shape=layer.own_shape,
        trf_size=list(size),
        trf_stride=[None if s is None else float(s) for s in strides],
        coverage=covered,
        is_global=is_global,
        local_box=None if local is None else list(local),
    )


def _inspection(found: OnnxSummary | None, network: Network, plan: Plan, rows: list[LayerRow]) -> Inspection:
    notes = [note for note in network.notes if not is_on_training(note)]
    if plan.traced.tape.stopped:
        notes.append(f"Recording ended at {plan.traced.tape.stopped}; layers behind it run by plain autograd.")
    return Inspection(
        name=network.name,
        inputs=[InputInfo(name=one.name, dtype=one.type, shape=list(one.shape)) for one in found.inputs]
        if found
        else [],
        input=network.input_name,
        input_shape=list(network.input_shape),
        outputs=found.outputs if found else [rows[-1].name],
        operators=found.operators if found else dict(Counter(row.operator for row in rows)),
        unsupported=found.unsupported if found else [],
        default_layer=plan.layer.name,
        layers=rows,
        other_names=_other_names(network, plan, rows),
        notes=notes,
    )


def _other_names(network: Network, plan: Plan, rows: Sequence[LayerRow]) -> list[str]:
    listed = {*(row.name for row in rows), network.input_name}
    return [name for name in dict.fromkeys([*network.aliases, *plan.traced.tape.names]) if name not in listed]
