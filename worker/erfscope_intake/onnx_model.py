"""An ONNX file as a Network: audit → neutral names → program → a function of one input."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from onnx import ModelProto
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions, Weights
from erfscope_engine.network import Mark, Network, Run
from erfscope_intake.converters.recurrent import RECURRENT
from erfscope_intake.onnx_audit import OnnxFile, read_model
from erfscope_intake.onnx_behind import Behind
from erfscope_intake.onnx_build import build
from erfscope_intake.onnx_calls import notes_on_calls
from erfscope_intake.onnx_cut import cut_behind, spellings, without_outputs
from erfscope_intake.onnx_draw import redraw_of, spread_of, weights_of
from erfscope_intake.onnx_external import Sent
from erfscope_intake.onnx_graph import Build, Program, all_steps, finish
from erfscope_intake.onnx_inputs import Measured, measured_input, other_inputs
from erfscope_intake.onnx_layout import CHANNELS_SECOND, TRANSPARENT
from erfscope_intake.onnx_names import Names, renamed
from erfscope_intake.onnx_notes import notes_of
from erfscope_intake.onnx_run import Walk
from erfscope_intake.onnx_shapes import fitting
from erfscope_intake.onnx_states import MOVES
from erfscope_intake.onnx_summary import versions_of
from erfscope_intake.onnx_unrolled import Networked, too_long_in, without_idle_recurrence
from erfscope_intake.onnx_untrained import notes_on_training
from erfscope_intake.onnx_words import READS_INPUT, unsupported

Edit = Callable[[ModelProto], None]
AUTO = "auto"


@dataclass(frozen=True)
class Wanted:
    """What is asked of a file: the input, the layer (what is behind it is not built), in which arithmetic, where."""

    options: InputOptions
    layer: str | None
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class Opened:
    """A network with what else is known of its file: its own input, and what the others are fed."""

    network: Network
    measured: Measured
    others: dict[str, Tensor]  # by the file's names, for a batch of one
    program: Program
    networked: Networked
    names: Mapping[str, str]  # the file's, by neutral name
    shapes: Mapping[str, tuple[int, ...]]  # of the tensors that a run has named, by the file's name


def load_onnx(
    path: Path,
    options: InputOptions,
    *,
    dtype: torch.dtype,
    device: torch.device,
    weights: Weights = Weights.GIVEN,
    seed: int = 0,
    edit: Edit | None = None,
    data: Sent | None = None,
    layer: str | None = None,
) -> Network:
    """The network in `path`, to be measured on one input of shape (batch, channels, *space).

    With a scheme for `weights` every layer's weights are drawn anew (draw 0 of `seed`); Network.redraw draws others.
    `edit` may change the model that was read, in place, before it is built. `data` are the files that came with the
    model, by name; without it, the files that it names are looked for in its folder. What is behind `layer` is not
    built (of "auto": recurrent layers behind the one that it takes); what cannot be run refuses the file only where
    that layer needs it, or where nothing is left.

    Raises ProblemError: invalid-model, external-data, unsupported-model, unsupported-op, model-too-complex,
    resource-limit, shape-mismatch, data-dependent, no-gradient.
    """
    return open_onnx(
        path, options, dtype=dtype, device=device, weights=weights, seed=seed, edit=edit, data=data, layer=layer
    ).network


def open_onnx(
    path: Path,
    options: InputOptions,
    *,
    dtype: torch.dtype,
    device: torch.device,
    weights: Weights = Weights.GIVEN,
    seed: int = 0,
    edit: Edit | None = None,
    data: Sent | None = None,
    layer: str | None = None,
) -> Opened:
    """Like load_onnx, with the model's own view of its inputs."""
    wanted = Wanted(options, layer, dtype, device)
    opened = _fitted(path, wanted, edit, data)

    def at(other: torch.dtype) -> Network:
        return load_onnx(
            path, options, dtype=other, device=device, weights=weights, seed=seed, edit=edit, data=data, layer=layer
        )

    if weights is Weights.GIVEN:
        notes = (*opened.network.notes, *notes_on_training(opened.program))
        return replace(opened, network=replace(opened.network, at=at, notes=notes))
    redraw = redraw_of(opened.program, weights, seed)
    redraw(0)
    network = replace(
        opened.network,
        at=at,
        redraw=redraw,
        weights=weights_of(opened.program, weights),
        spread=spread_of(opened.program, weights),
    )
    return replace(opened, network=network)


def _fitted(path: Path, wanted: Wanted, edit: Edit | None, data: Sent | None) -> Opened:
    """The file at the shape asked for; where it leaves axes free, at one that it takes."""
    file = read_model(path, data)
    if edit is not None:
        edit(file.proto)
    name = file.proto.graph.name or path.stem
    opened = _short(file, name, wanted)
    if wanted.options.shape is not None or not opened.measured.free:
        return opened

    def at(shape: Sequence[int]) -> Network:
        if opened.others:  # what they are fed may depend on the shape
            options = wanted.options.model_copy(update={"shape": list(shape)})
            return _short(file, name, replace(wanted, options=options)).network
        return replace(opened.network, input_shape=tuple(shape))

    return replace(opened, network=fitting(opened.network, opened.measured.alternatives(), at))


def _short(file: OnnxFile, name: str, wanted: Wanted) -> Opened:
    """Opened without the loops that are too long to be unrolled; how long they are is known when they run."""
    refused = dict[str, ProblemError]()
    opened = _opened(file, name, wanted, refused)
    while (problem := too_long_in(opened.program, opened.networked)) is not None:
        label = str(problem.problem.context.get("node", ""))
        if label in refused:
            raise problem
        refused[label] = problem
        opened = _opened(file, name, wanted, refused)
    if wanted.layer != AUTO:
        return opened
    program = without_idle_recurrence(opened.program, opened.networked)
    return opened if program is opened.program else replace(opened, network=opened.networked(program), program=program)


def _opened(file: OnnxFile, name: str, wanted: Wanted, refused: Mapping[str, ProblemError]) -> Opened:
    graph, names = renamed(file.proto.graph)
    measured = measured_input(graph, names, wanted.options)
    feeds = other_inputs(graph, measured)
    calls = notes_on_calls(graph, names, wanted.layer)  # of the whole graph: those behind the layer are cut off
    target = None if wanted.layer in (None, AUTO) else cut_behind(graph, names, wanted.layer)
    if wanted.layer == AUTO and measured.returned:
        without_outputs(graph, measured.returned)  # what a state becomes is not what the network answers
    state = Build(
        names, versions_of(file.proto), Behind(graph, file.data), wanted.dtype,
        constants={name: value for name, (value, batched) in feeds.items() if not batched},
        follows={measured.declared.name},
        shaped={name for name, (_, batched) in feeds.items() if batched},
        outside=file.data.array, refused=refused,
    )  # fmt: skip
    program = build(graph, state)
    finish(program, state, wanted.device)
    if target in program.lost:
        raise program.lost[target].problem
    _check_something_left(program)
    _check_not_only_recurrent(program)
    shapes = dict[str, tuple[int, ...]]()
    # units of a state joined with new values are old values in part: auto must not take them
    unnamed = {names.values[name] for name in measured.carried} if wanted.layer == AUTO else set[str]()
    repeated = {name: value for name, (value, batched) in feeds.items() if batched}

    def networked(program: Program) -> Network:
        return Network(
            name=name,
            run=_runner(Walk(program, names.values, wanted.dtype, wanted.device), measured, repeated, shapes, unnamed),
            input_name=names.values[measured.declared.name],
            input_shape=measured.shape,
            dtype=wanted.dtype,
            device=wanted.device,
            batch=measured.batch,
            aliases=_aliases(program, names),
            notes=(*measured.notes, *notes_of(program), *calls),
        )

    others = {names.values[name]: value for name, (value, _) in feeds.items()}
    return Opened(networked(program), measured, others, program, networked, names.values, shapes)


def _runner(
    walk: Walk, measured: Measured, repeated: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], unnamed: set[str]
) -> Run:
    """A run of the program; the shapes of its first run are entered into `shapes`, tensors in `unnamed` get no name."""

    def run(x: Tensor, mark: Mark) -> object:
        def noting(name: str, operator: str, value: Tensor) -> None:
            shapes.setdefault(name, tuple(value.shape))
            if name not in unnamed:
                mark(name, operator, value)

        own = measured.layout.to_model(x)
        others = {name: value.expand(len(x), *value.shape[1:]) for name, value in repeated.items()}
        outputs = walk.run({measured.declared.name: own, **others}, noting)
        return {walk.names[name]: value for name, value in outputs.items()}

    return run


def _check_something_left(program: Program) -> None:
    """Where nothing but the input itself, moved or scaled, is left, the first node that was lost is to blame."""
    left = (step for step in program.steps if step.follows_input)
    if program.lost and all(step.node.operator in TRANSPARENT | MOVES for step in left):
        raise next(iter(program.lost.values())).problem


def _check_not_only_recurrent(program: Program) -> None:
    """A recurrent layer behind a convolution leaves that to be measured; one that reads the input itself, nothing."""
    for step in program.steps:
        if step.node.operator in RECURRENT and step.follows_input:
            raise unsupported(step.node.operator, step.node.domain, step.label, READS_INPUT)
        if step.node.operator in CHANNELS_SECOND and step.follows_input:
            return


def _aliases(program: Program, names: Names) -> dict[str, str]:
    """Other names that people use for a tensor: its node's, and both without exporters' trimmings."""
    aliases: dict[str, str] = {}
    steps = all_steps(program, loops=False)
    for step in steps:
        first = next((names.values[name] for name in step.outputs if name), None)
        if first is None or not step.follows_input:
            continue
        for name in spellings(step.label, first):
            aliases.setdefault(name, first)
    modules: dict[str, str] = {}  # what a module gives is what its last node gives
    for step in steps:
        for name in filter(None, step.outputs):
            if step.follows_input:
                modules |= dict.fromkeys(names.modules.get(name, ()), names.values[name])
    aliases = {**modules, **aliases}
    taken = {names.values[name] for step in steps for name in step.outputs if name}
    return {name: tensor for name, tensor in aliases.items() if name not in taken}
