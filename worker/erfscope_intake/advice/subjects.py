"""What advice is given on: a spec, whose changes are specs, or an ONNX model, whose convolutions are dilated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import torch

from erfscope_contract.advice import AdviceRequest, ChangeKind, Edit
from erfscope_contract.architecture import Architecture, infer
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions
from erfscope_engine.advice import spec
from erfscope_engine.advice.narrow import narrowed
from erfscope_engine.advice.search import Growing
from erfscope_engine.network import Network
from erfscope_intake.advice.onnx_convolutions import Convolution, convolutions, dilate
from erfscope_intake.onnx_audit import read_model
from erfscope_intake.onnx_external import Sent
from erfscope_intake.onnx_model import load_onnx
from erfscope_intake.spec import build_network

LARGER = "The input is {used} here, larger than the spec's own {own}, so that the wanted size has room on it."
DILATIONS_ONLY = (
    "Of an ONNX file only dilations can change, for its weights stay what they are; "
    "kernels, strides and depth can change where advice is asked on a spec."
)
ROOM = 2  # an ERF is measured on an input at least so many times as large
FACTORS = (2, 3, 4, 6, 8, 12, 16)
ALONE = 4  # convolutions of a file that are tried one by one, beside the last


@dataclass(frozen=True)
class Changed:
    """A changed network: how, and what it is now."""

    kind: ChangeKind
    edits: tuple[Edit, ...]
    architecture: Architecture | None = None
    dilations: Mapping[str, Sequence[int]] = field(default_factory=dict)


class Subject(Protocol):
    """A network that can be changed."""

    @property
    def options(self) -> InputOptions:
        """The input at which everything is measured."""

    @property
    def drawn(self) -> bool:
        """Whether a scheme draws its weights."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the changes and of the input."""

    def families(self) -> list[Growing[Changed]]:
        """Changes to try."""

    def network(self, change: Changed | None, *, quick: bool = False, place: str = "cpu") -> Network:
        """It, changed; `quick` in a form of the same expected ERF that is fast to analyse."""


@dataclass(frozen=True)
class _Family:
    """A family of a spec's candidates, as changes."""

    of: spec.Family

    @property
    def size(self) -> int:
        return self.of.size

    def make(self, n: int) -> Changed | None:
        found = self.of.make(n)
        return None if found is None else Changed(found.kind, found.edits, found.architecture)


@dataclass(frozen=True)
class SpecSubject:
    """An architecture spec, measured on an input with room for the wanted size."""

    request: AdviceRequest
    architecture: Architecture
    options: InputOptions
    drawn: bool = True
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: AdviceRequest, architecture: Architecture) -> "SpecSubject":
        """At the asked shape, or at the spec's own, larger where the wanted size needs room and the layers take it."""
        if request.input.shape is not None:
            return cls(request, architecture, request.input)
        own = infer(architecture).input_shape
        room = ROOM * request.want
        space = [n if n >= room else 32 * ceil(room / 32) for n in own[1:]]
        try:
            infer(architecture, [own[0], *space])
        except ProblemError:
            space = list(own[1:])
        used, was = ("×".join(map(str, sides)) for sides in (space, own[1:]))
        notes = () if used == was else (LARGER.format(used=used, own=was),)
        options = request.input.model_copy(update={"shape": [own[0], *space]})
        return cls(request, architecture, options, notes=notes)

    def families(self) -> list[Growing[Changed]]:
        """Dilation, kernel size, stride, depth."""
        found = spec.families(self.architecture, self.options.shape, in_place=self.request.layer != "auto")
        return [_Family(one) for one in found]

    def network(self, change: Changed | None, *, quick: bool = False, place: str = "cpu") -> Network:
        """Built anew; quick with its channel counts divided."""
        architecture = self.architecture if change is None else change.architecture
        assert architecture is not None  # a spec's changes are specs
        return build_network(
            narrowed(architecture) if quick else architecture,
            self.options,
            dtype=torch.float32,
            device=torch.device(place),
            weights=self.request.weights,
            seed=self.request.seed,
        )


@dataclass(frozen=True)
class _Dilations:
    """Growing dilations of some convolutions: all by one factor, or the last of them by 2, 4, 8 …"""

    of: tuple[Convolution, ...]
    doubling: bool = False

    @property
    def size(self) -> int:
        return min(len(self.of) - 1, spec.DOUBLINGS) if self.doubling else len(FACTORS)

    def make(self, n: int) -> Changed:
        convs = self.of[-(n + 2) :] if self.doubling else self.of
        edits, after = list[Edit](), dict[str, list[int]]()
        for position, conv in enumerate(convs):
            factor = 2 ** (position + 1) if self.doubling else FACTORS[n]
            wider = [d * factor if k > 1 else d for k, d in zip(conv.kernel, conv.dilation, strict=True)]
            edits.append(Edit(layer=conv.label, field="dilations", before=str(list(conv.dilation)), after=str(wider)))
            after[conv.label] = wider
        return Changed("dilation", tuple(edits), dilations=after)


@dataclass(frozen=True)
class OnnxSubject:
    """An ONNX file; only dilations can change while weights stay what they are."""

    request: AdviceRequest
    path: Path
    data: Sent | None = None

    @property
    def options(self) -> InputOptions:
        """As asked."""
        return self.request.input

    @property
    def drawn(self) -> bool:
        """Given weights are given."""
        return self.request.weights != "given"

    @property
    def notes(self) -> tuple[str, ...]:
        """Why no other kind of change is offered."""
        return (DILATIONS_ONLY,)

    def families(self) -> list[Growing[Changed]]:
        """The last convolutions, more and more of them, and some alone."""
        convs = [conv for conv in convolutions(read_model(self.path, self.data).proto) if conv.label]
        labels = [conv.label for conv in convs]
        convs = [conv for conv in convs if labels.count(conv.label) == 1]
        counts = [n for n in (1, 2, 4, 8, 16, 32) if n < len(convs)]
        groups = [convs[-n:] for n in (*counts, len(convs))] if convs else []
        alone = [[conv] for conv in spec.spread(convs[:-1], ALONE)]  # the last one is a group of its own already
        doubling = [_Dilations(tuple(convs), doubling=True)] if len(convs) > 1 else []
        return [*(_Dilations(tuple(group)) for group in (*groups, *alone)), *doubling]

    def network(self, change: Changed | None, *, quick: bool = False, place: str = "cpu") -> Network:
        """Loaded anew, with the change made in the model that was read."""
        found: Any = {} if change is None else change.dilations
        return load_onnx(
            self.path,
            self.options,
            dtype=torch.float32,
            device=torch.device(place),
            weights=self.request.weights,
            seed=self.request.seed,
            edit=partial(dilate, dilations=found) if found else None,
            data=self.data,
        )
