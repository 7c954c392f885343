"""An architecture spec as a subject of advice: its changes are specs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from erfscope_contract.advice import AdviceRequest
from erfscope_contract.architecture import Architecture, check, infer
from erfscope_contract.holding import roomy
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions
from erfscope_engine.advice import moves
from erfscope_engine.advice.narrow import narrowed
from erfscope_engine.advice.search import Growing
from erfscope_engine.advice.survey import survey
from erfscope_engine.network import Network
from erfscope_intake.advice.subject import Changed
from erfscope_intake.spec import build_network

LARGER = "The input is {used} here, larger than the spec's own {given}, so that the wanted size has room on it."


@dataclass(frozen=True)
class SpecFamily:
    """A family of a spec's candidates, as changes."""

    of: moves.Family
    before: Architecture

    @property
    def size(self) -> int:
        """How many there are."""
        return self.of.size

    def make(self, n: int) -> Changed | None:
        """The n-th."""
        candidate = self.of.make(n)
        if candidate is None:
            return None
        kept = _kept(self.before, candidate.reshaped)
        return Changed(
            candidate.kind, candidate.title, candidate.edits, candidate.architecture,
            new=(*candidate.new, *candidate.reshaped), kept=kept,
        )  # fmt: skip


def _kept(before: Architecture, reshaped: Sequence[str]) -> float:
    """The share of weights that is not in layers of these paths, in which * stands for a pass."""
    if not reshaped:
        return 1.0
    rows = check(before)
    lost = sum(row.parameters for row in rows if any(_fits(row.name, path) for path in reshaped))
    return 1 - lost / max(sum(row.parameters for row in rows), 1)


def _fits(name: str, path: str) -> bool:
    parts, pattern = name.split("."), path.split(".")
    return len(parts) == len(pattern) and all(b in (a, "*") for a, b in zip(parts, pattern, strict=True))


@dataclass(frozen=True)
class SpecSubject:
    """An architecture spec, measured on an input with room for the wanted size."""

    request: AdviceRequest
    architecture: Architecture
    options: InputOptions
    drawn: bool = True
    outline: str = "meta"
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: AdviceRequest, architecture: Architecture) -> "SpecSubject":
        """At the asked shape, or at the spec's own, larger where the wanted size needs room and the layers take it."""
        if request.input.shape is not None:
            return cls(request, architecture, request.input)
        shape = infer(architecture).input_shape
        space = roomy(shape[1:], request.wanted_size)
        try:
            infer(architecture, [shape[0], *space])
        except ProblemError:
            space = list(shape[1:])
        used, was = ("×".join(map(str, sides)) for sides in (space, shape[1:]))
        notes = () if used == was else (LARGER.format(used=used, given=was),)
        options = request.input.model_copy(update={"shape": [shape[0], *space]})
        return cls(request, architecture, options, notes=notes)

    def families(self, layer: str, *, causal: bool) -> list[Growing[Changed]]:
        """What the field does: dilation, kernels, depth, blocks, grids."""
        auto = self.request.layer == "auto"
        surveyed = survey(self.architecture, self.options.shape, layer, auto=auto)
        if not surveyed.convs:
            return []
        return [SpecFamily(one, self.architecture) for one in moves.families(surveyed, causal=causal)]

    def network(self, change: Changed | None, *, quick: bool = False, place: str = "cpu") -> Network:
        """Built anew; quick with its channel counts divided and no weights drawn, for an expectation needs none."""
        architecture = self.architecture if change is None else change.architecture
        assert architecture is not None  # a spec's changes are specs
        return build_network(
            narrowed(architecture) if quick else architecture,
            self.options,
            dtype=torch.float32,
            device=torch.device(place),
            weights=self.request.weights,
            seed=self.request.seed,
            drawn=not quick,
        )
