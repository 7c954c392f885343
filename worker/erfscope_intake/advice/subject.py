"""What advice is given on: a network that can be changed, and a change of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from onnx import ModelProto

from erfscope_contract.advice import ChangeKind, Edit
from erfscope_contract.architecture import Architecture
from erfscope_contract.request import InputOptions
from erfscope_engine.advice.search import Growing
from erfscope_engine.network import Network


@dataclass(frozen=True)
class Changed:
    """A changed network: how, what it is now (a spec, or what is done to a file), and what of its weights is new."""

    kind: ChangeKind
    title: str
    edits: tuple[Edit, ...]
    architecture: Architecture | None = None
    edit: Callable[[ModelProto], None] | None = None
    new: tuple[str, ...] = ()
    kept: float = 1.0  # share of the present weights that still fit


class Subject(Protocol):
    """A network that can be changed."""

    @property
    def options(self) -> InputOptions:
        """The input at which everything is measured."""

    @property
    def drawn(self) -> bool:
        """Whether a scheme draws its weights."""

    @property
    def outline(self) -> str:
        """The device on which a network is built where only shapes are asked for."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the changes and of the input."""

    def families(self, layer: str, *, causal: bool) -> list[Growing[Changed]]:
        """Changes to try, of the network up to this layer."""

    def network(self, change: Changed | None, *, quick: bool = False, place: str = "cpu") -> Network:
        """It, changed; `quick` in a form of the same expected ERF that is fast to analyse."""
