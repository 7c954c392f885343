"""Which of a network's named tensors are its outputs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from erfscope_engine.layers import Traced
from erfscope_engine.network import Mark, Network
from erfscope_engine.plan import Plan, plan_for


@dataclass(frozen=True)
class Survey:
    """A recorded network: its plan for `auto`, and the names of its outputs in the network's order."""

    plan: Plan
    outputs: tuple[str, ...]

    @property
    def traced(self) -> Traced:
        """The recording."""
        return self.plan.traced


def surveyed(network: Network) -> Survey:
    """Record `network` with one sample. Raises ProblemError, as a measurement does."""
    outputs: list[str] = []

    def run(x: Tensor, mark: Mark) -> object:
        names: dict[int, str] = {}
        alive: list[Tensor] = []  # so that no id is used twice

        def noting(name: str, operator: str, value: Tensor) -> None:
            names.setdefault(id(value), name)
            alive.append(value)
            mark(name, operator, value)

        result = network.run(x, noting)
        outputs[:] = [names.get(id(value), key) for key, value in _tensors(result)]
        return result

    plan = plan_for(replace(network, run=run), "auto", samples=1)
    return Survey(plan, tuple(dict.fromkeys(name for name in outputs if name)))


def _tensors(result: object, key: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(result, Tensor):
        yield key, result
    elif isinstance(result, Mapping):
        for name, part in result.items():
            yield from _tensors(part, str(name))
    elif isinstance(result, Sequence) and not isinstance(result, str | bytes):
        for part in result:
            yield from _tensors(part)
