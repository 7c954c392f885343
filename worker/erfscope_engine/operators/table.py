"""The table of operators: one record per ATen operator, with all that the engine knows of it.

To add one, write its record in the file of its family: geometry (axes, seats, links), and, where torch's own kernel and
autograd on whole tensors are not good enough, a step (on parts), and a variance rule (for the analytic method). An
operator without a record is loud: everything of its operands, labelled with its name, run by autograd.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from erfscope_engine.operators.site import Out, Site

Outs = Out | list[Out | None]
GeometryRule = Callable[[Site], Outs]
R = TypeVar("R", bound=GeometryRule)


@dataclass(frozen=True)
class Operator:
    """One record.

    `geometry` gives its outputs' frames and links (one Out for all outputs, or one each). `part`: how torch's kernel
    works on a part of the output: "broadcast" (constants are cut along), "kernel" (axes that it mixes must be whole),
    "permute", or "" where it takes whole tensors. `step` makes a hand-written step of a part (see
    `execution/step.py`), `variance` a step for moments (see `analytic/rule.py`). `moves`: it only rearranges elements.
    `statistics`: where it takes all of space, that carries statistics only; its units "stay" or "go".
    """

    geometry: GeometryRule
    part: str = ""
    moves: bool = False
    statistics: str = ""
    step: Any = None
    variance: Any = None


OPERATORS: dict[str, Operator] = {}


def operator(*names: str, **properties: Any) -> Callable[[R], R]:
    """Enter a geometry rule, with its record's other properties, for each named ATen operator (any overload)."""

    def enter(rule: R) -> R:
        OPERATORS.update(dict.fromkeys(names, Operator(rule, **properties)))
        return rule

    return enter


def stepped(*names: str) -> Callable[[Any], Any]:
    """Enter a hand-written step into the records of operators."""
    return _property("step", names)


def varied(*names: str) -> Callable[[Any], Any]:
    """Enter a variance rule into the records of operators."""
    return _property("variance", names)


def _property(name: str, operators: tuple[str, ...]) -> Callable[[Any], Any]:
    def enter(function: Any) -> Any:
        for each in operators:
            OPERATORS[each] = replace(OPERATORS[each], **{name: function})
        return function

    return enter


def is_pointwise(op: Any) -> bool:
    """Whether torch says that an operator works element by element."""
    return torch.Tag.pointwise in getattr(op, "tags", ())
