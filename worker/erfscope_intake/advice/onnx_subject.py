"""An ONNX file as a subject of advice: changes that keep its weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from onnx import ModelProto

from erfscope_contract.advice import AdviceRequest, Edit
from erfscope_contract.holding import roomy
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions
from erfscope_engine.advice.alter import LARGEST_DILATION
from erfscope_engine.advice.blocks import SMALLEST_GRID
from erfscope_engine.advice.moves import CYCLES, FACTORS, LARGE
from erfscope_engine.advice.search import Growing
from erfscope_engine.network import Network
from erfscope_intake.advice import onnx_structure
from erfscope_intake.advice.onnx_convolutions import Convolution, convolutions, dilate
from erfscope_intake.advice.onnx_structure import Place, Stage
from erfscope_intake.advice.onnx_upto import upto
from erfscope_intake.advice.subject import Changed
from erfscope_intake.onnx_audit import read_model
from erfscope_intake.onnx_external import Sent
from erfscope_intake.onnx_model import load_onnx

LARGER = "The input is {used} here, larger than the file's own {given}, so that the wanted size has room on it."
KEEPS_WEIGHTS = (
    "Of an ONNX file only such changes are offered that keep its weights: dilations, dropped strides, and blocks "
    "that are added. Kernels, depth and stems can change where advice is asked on a spec."
)


@dataclass(frozen=True)
class Steps:
    """Growing changes of one kind: the n-th from its level."""

    size: int
    make: Callable[[int], Changed | None]


@dataclass(frozen=True)
class OnnxSubject:
    """An ONNX file, whose weights stay what they are."""

    request: AdviceRequest
    path: Path
    data: Sent | None
    options: InputOptions
    larger: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: AdviceRequest, path: Path, data: Sent | None) -> "OnnxSubject":
        """At the asked shape, or at the file's, larger where the wanted size needs room and the file takes it."""
        plain = cls(request, path, data, request.input)
        if request.input.shape is not None:
            return plain
        shape = plain.network(None).input_shape
        space = roomy(shape[1:], request.wanted_size)
        if space == list(shape[1:]):
            return plain
        used, given = ("×".join(map(str, sides)) for sides in (space, shape[1:]))
        options = request.input.model_copy(update={"shape": [shape[0], *space]})
        try:
            enlarged = cls(request, path, data, options, (LARGER.format(used=used, given=given),))
            enlarged.network(None)
        except ProblemError:
            return plain
        return enlarged

    @property
    def drawn(self) -> bool:
        """Given weights are given."""
        return self.request.weights != "given"

    @property
    def outline(self) -> str:
        """Constants of a file decide on shapes, so it is built where it runs."""
        return "cpu"

    @property
    def notes(self) -> tuple[str, ...]:
        """Why no other kind of change is offered."""
        return (*self.larger, KEEPS_WEIGHTS)

    @cached_property
    def _model(self) -> ModelProto:
        """As it was read, with the input's extents that are measured: of free axes no grid would be known."""
        model = ModelProto()
        model.CopyFrom(read_model(self.path, self.data).proto)
        onnx_structure.set_input(model, self.options.name, self.network(None).input_shape)
        return model

    def families(self, layer: str, *, causal: bool) -> list[Growing[Changed]]:
        """Dilations of more and more of the last convolutions; of a network that is not causal also what adds."""
        model = upto(self._model, layer)  # what lies behind the layer, or beside it, cannot change its field
        stage = onnx_structure.last_stage(model)
        groups = _groups(convolutions(model), stage)
        listed: list[Growing[Changed]] = [Steps(len(FACTORS), partial(_dilated, group)) for group in groups]
        listed += [Steps(len(CYCLES), partial(_in_turn, group)) for group in groups if len(group) > 2]
        return listed if causal else [*listed, *self._structural(stage, layer, model)]

    def _structural(self, stage: Stage | None, layer: str, model: ModelProto) -> list[Growing[Changed]]:
        listed: list[Growing[Changed]] = []
        if stage is not None and stage.convolutions and onnx_structure.can_unstride(self._model, stage):
            listed.append(Steps(2, partial(_unstrided, stage)))
        named = self.request.layer != "auto"
        place = onnx_structure.place_at(model, layer) if named else onnx_structure.end_of_features(self._model)
        if place is not None:
            listed.append(Steps(len(LARGE), partial(_with_large_kernel, place, self.request.seed)))
        bottom = None if stage is None else onnx_structure.end_of_stage(model, stage)
        if bottom is not None and min(bottom.grid) >= SMALLEST_GRID:
            listed.append(Steps(1, partial(_with_coarser_stage, bottom, self.request.seed)))
        return listed

    def network(self, change: Changed | None, *, quick: bool = False, place: str = "cpu") -> Network:
        """Loaded anew, with the change made in the model that was read."""
        return load_onnx(
            self.path,
            self.options,
            dtype=torch.float32,
            device=torch.device(place),
            weights=self.request.weights,
            seed=self.request.seed,
            edit=None if change is None else change.edit,
            data=self.data,
        )


def _groups(convs: list[Convolution], stage: Stage | None) -> list[list[Convolution]]:
    """The last third, the coarsest grid's, the last half, all."""
    inside = [conv for conv in convs if stage is not None and conv in stage.convolutions]
    different: list[list[Convolution]] = []
    for group in (convs[-max(len(convs) // 3, 1) :], inside, convs[-max(len(convs) // 2, 1) :], convs):
        if group and group not in different:
            different.append(group)
    return different


def _dilated(group: Sequence[Convolution], n: int) -> Changed | None:
    return _with_dilations(group, (FACTORS[n],), f"dilate {_layers(group)}: times {FACTORS[n]}")


def _in_turn(group: Sequence[Convolution], n: int) -> Changed | None:
    turn = ", ".join(map(str, CYCLES[n]))
    return _with_dilations(group, CYCLES[n], f"dilate {_layers(group)} by turns: times {turn}")


def _with_dilations(group: Sequence[Convolution], factors: Sequence[int], title: str) -> Changed | None:
    wider = onnx_structure.dilations_of(group, factors, LARGEST_DILATION)
    if wider is None:
        return None
    edits = _edits(group, wider)
    return Changed("dilation", title, edits, edit=partial(dilate, dilations=wider)) if edits else None


def _edits(group: Sequence[Convolution], wider: dict[str, list[int]]) -> tuple[Edit, ...]:
    pairs = [(conv, wider[conv.label]) for conv in group if list(conv.dilation) != wider[conv.label]]
    return tuple(
        Edit(layer=conv.label, field="dilations", before=str(list(conv.dilation)), after=str(after))
        for conv, after in pairs
    )


def _layers(group: Sequence[Convolution]) -> str:
    return group[0].label if len(group) == 1 else f"{len(group)} layers ({group[0].label} … {group[-1].label})"


def _unstrided(stage: Stage, n: int) -> Changed | None:
    factor = (4, 8)[n]
    wider = onnx_structure.dilations_of(stage.convolutions, (factor,), LARGEST_DILATION)
    if wider is None:
        return None
    strides = [Edit(layer=label, field="strides", before="2", after="1") for label in stage.strides]
    title = f"drop the last stage's stride and dilate {_layers(stage.convolutions)} by {factor}"
    edit = partial(onnx_structure.unstride, stage=stage, factor=factor)
    return Changed("output_stride", title, (*strides, *_edits(stage.convolutions, wider)), edit=edit)


def _with_large_kernel(place: Place, seed: int, n: int) -> Changed | None:
    kernel = LARGE[n]
    if kernel > 2 * min(place.grid):
        return None
    size = "×".join([str(kernel)] * len(place.grid))
    grid = "×".join(map(str, place.grid))
    return Changed(
        "large_kernel",
        f"add a residual depthwise {size} kernel behind {place.tensor} ({grid} units)",
        (Edit(layer="large_kernel", field="layer", before="none", after=f"behind {place.tensor}"),),
        edit=partial(onnx_structure.add_large_kernel, place=place, kernel=kernel, seed=seed),
        new=("large_kernel",),
    )


def _with_coarser_stage(place: Place, seed: int, n: int) -> Changed:
    grid = "×".join(map(str, place.grid))
    return Changed(
        "extra_stage",
        f"add a stage at half the grid with a skip behind {place.tensor} ({grid} units)",
        (Edit(layer="extra_stage", field="layer", before="none", after=f"behind {place.tensor}"),),
        edit=partial(onnx_structure.add_coarser_stage, place=place, seed=seed),
        new=("extra_stage",),
    )
