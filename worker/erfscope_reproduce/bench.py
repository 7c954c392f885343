"""Where experiments measure: the same local path as `erfscope measure`, each question asked once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from erfscope import _local, _questions
from erfscope._models import prepare
from erfscope._request import build
from erfscope._result import Map
from erfscope_contract.advice import Advice
from erfscope_contract.architecture import Architecture
from erfscope_contract.flat import flatten
from erfscope_contract.hashing import sha256_of
from erfscope_contract.result import ErfResult
from erfscope_reproduce.data import NO_DATA, Folders
from erfscope_reproduce.finding import Quantity

if TYPE_CHECKING:
    from erfscope_engine.network import Network

T = TypeVar("T")
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Shot:
    """One measurement: its result, its map (maximum 1) and the request in short."""

    result: ErfResult
    map: Map
    how: str

    def quantity(self, name: str) -> Quantity:
        """A metric by its flat name, with its standard error; ValueError where this map has none."""
        value = flatten(self.result)[name]
        if value is None:
            raise ValueError(f"{self.how}: {name} is undefined for this map")
        return Quantity(value, self.result.stderr.get(name))


@dataclass(frozen=True)
class Bench:
    """What an experiment is given: how much it may do, the user's data, and how to measure."""

    quick: bool
    data: Folders = NO_DATA
    resume: Path | None = None  # folder of trainings, finished or begun
    epochs: int | None = None  # of a training on the user's data (None: the experiment's own number)
    seeds: int | None = None  # trained networks (None: the experiment's own number)
    progress: Progress = lambda stage, share: None
    _shots: dict[str, Shot] = field(default_factory=dict)

    def choose(self, quick: T, full: T) -> T:
        """The amount for this kind of run."""
        return quick if self.quick else full

    def measure(self, model: Architecture | str, images: Path | None = None, **fields: Any) -> Shot:
        """Answer a request about a spec or `preset:NAME` here; fields are those of `Client.run`."""
        key = json.dumps([model if isinstance(model, str) else model.model_dump_json(), str(images), fields])
        if key not in self._shots:
            prepared = prepare(model)
            request = build(None, fields, sha256_of(images) if images else None)
            result = _local.measure(prepared, request, images, self.progress)
            name = model if isinstance(model, str) else model.name
            self._shots[key] = Shot(result.data, result.array(), _in_short(name, fields))
        return self._shots[key]

    def advise(self, model: Architecture | str, want: float, verify: int) -> Advice:
        """The smallest changes that give a wanted ERF size, `verify` of them measured by gradient."""
        prepared = prepare(model)
        return _local.ask(_questions.ADVICE, prepared, {"want": want, "verify": verify}, self.progress)

    def measure_network(self, network: "Network", how: str, images: Sequence[Map] = (), **fields: Any) -> Shot:
        """Measure a network whose weights were changed here (trained), by the engine's own entry."""
        from erfscope_engine.measure import measure_network

        digest = sha256(b"".join(image.tobytes() for image in images)).hexdigest() if images else None
        request = build(None, fields, digest)
        measured = measure_network(network, request, images=images, progress=self.progress)
        return Shot(measured.result, measured.map, _in_short(how, fields))


def _in_short(name: str, fields: dict[str, Any]) -> str:
    """`preset:plain-20-relu, draws=20, inputs=1`."""
    told = [f"{key}={json.dumps(value) if isinstance(value, dict) else value}" for key, value in fields.items()]
    return ", ".join([name, *told])
