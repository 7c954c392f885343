"""What an operator does to moments and to expected squared gradients, and the table operator → rule.

A rule makes the transfer of one recorded operator for the box that is wanted of its output. Linear operators are built
from the cone's own steps: the operator with its constants squared carries variances forward and squared gradients back.
To add an operator, write one decorated function in the file of its family.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from erfscope.contract.problem import ProblemError
from erfscope_engine.analytic.moments import Moments
from erfscope_engine.cone import program as _kernels  # noqa: F401 - fills the table of kernels
from erfscope_engine.cone.box import Box, cropped_axes
from erfscope_engine.cone.generic import part_step, whole_step
from erfscope_engine.cone.step import KERNELS, Step
from erfscope_engine.regions.table import Call
from erfscope_engine.tape import Entry, Ref, Tape

Squares = Sequence[Tensor | None]
Forward = Callable[[Sequence[Moments]], tuple[Sequence[Moments], Any]]
Backward = Callable[[Any, Squares], Squares]


@dataclass(frozen=True)
class Transfer:
    """`forward(moments in) → (moments out, kept)`, `backward(kept, expected squares of output gradients) → of inputs`.

    Boxes as in the cone's steps. `note` says in words what is approximate about it; "" where nothing is.
    """

    reads: tuple[tuple[int, Box], ...]
    writes: tuple[tuple[int | None, Box], ...]
    forward: Forward
    backward: Backward
    note: str = ""


@dataclass(frozen=True)
class Case:
    """One operator whose transfer is wanted; `drawn` says that weights stand for their standard deviations."""

    call: Call
    box: Box
    drawn: bool

    @property
    def entry(self) -> Entry:
        """The recorded operator."""
        return self.call.entry

    @property
    def name(self) -> str:
        """The operator's ATen name."""
        return str(self.entry.op.overloadpacket.__name__)

    @property
    def tape(self) -> Tape:
        """The tape that it stands on."""
        return self.call.tape

    def refuse(self, why: str) -> NoReturn:
        """Raise ProblemError("unsupported-feature") that names operator and layer."""
        where = self.tape.label(self.entry)
        raise ProblemError(
            "unsupported-feature",
            f"Method 'analytic' cannot treat operator {self.name} at {where}: {why}. "
            "Use method 'gradient', or name a layer before it.",
            operator=self.name,
            layer=where,
        )


Rule = Callable[[Case], Transfer]
RULES: dict[str, Rule] = {}


def transfer(*operators: str) -> Callable[[Rule], Rule]:
    """Enter a function into the table for each named ATen operator (any overload)."""

    def enter(function: Rule) -> Rule:
        for operator in operators:
            RULES[operator] = function
        return function

    return enter


def step_of(case: Case, entry: Entry) -> Step:
    """The cone's step of `entry` (an operator with the same outputs as the case's) for the case's box."""
    call = Call(entry, case.tape, case.call.out)
    maker = KERNELS.get(str(entry.op.overloadpacket.__name__))
    made = maker(call, case.box) if maker else None
    if made is None and cropped_axes(case.box, call.out_shape):
        made = part_step(call, case.box)
    return made or whole_step(call)


def is_float(item: Any) -> bool:
    """Whether an argument is a constant tensor of real numbers."""
    return isinstance(item, Tensor) and item.is_floating_point()


def blanked(entry: Entry) -> Entry:
    """The operator with its constant tensors of numbers put to 0."""
    args, kwargs = tree_map(lambda a: torch.zeros_like(a) if is_float(a) else a, (entry.args, entry.kwargs))
    return replace(entry, args=args, kwargs=kwargs)


def has_constants(entry: Entry) -> bool:
    """Whether an operator takes constant tensors of numbers."""
    found: list[Any] = []
    tree_map(lambda a: found.append(a) if is_float(a) else None, (entry.args, entry.kwargs))
    return bool(found)


def linear(case: Case, squared: Entry, *, shifts: bool, redrawn: bool = False, note: str = "") -> Transfer:
    """The transfer of a linear operator: `squared` is it with its constants squared.

    `shifts` says that it adds a constant (0 does not stay 0). `redrawn` weights have mean 0: they take mean squares in
    and give mean 0 out; others take variances (their inputs count as uncorrelated) and give their own mean.
    """
    twice = step_of(case, squared)
    once = None if redrawn else step_of(case, case.entry)

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        outs, kept = twice.forward([m.second if redrawn else m.variance for m in inputs])
        if once is None or (not shifts and all(m.mean is None for m in inputs)):
            return [Moments(None, out) for out in outs], kept
        means, _ = once.forward([m.dense_mean for m in inputs])
        return [Moments(mean, out) for mean, out in zip(means, outs, strict=True)], kept

    return Transfer(twice.reads, twice.writes, forward, twice.backward, note)


def argument(entry: Entry, name: str, value: Any) -> Entry:
    """The operator with another value for one of its arguments."""
    for position, parameter in enumerate(entry.op._schema.arguments):
        if parameter.name == name and position < len(entry.args):
            return replace(entry, args=(*entry.args[:position], value, *entry.args[position + 1 :]))
    return replace(entry, kwargs={**entry.kwargs, name: value})


def only_refs(case: Case, *names: str) -> None:
    """Refuse an operator of which anything but the named arguments depends on the input."""
    allowed = [case.call.arg(name) for name in names]
    flat = [item for a in allowed for item in (a if isinstance(a, (list, tuple)) else [a])]
    if any(not any(ref is item for item in flat) for ref in case.entry.refs):
        case.refuse("an argument beside its data depends on the input")


def ref_of(case: Case, name: str) -> Ref:
    """An argument that must depend on the input."""
    found = case.call.arg(name)
    if not isinstance(found, Ref):
        case.refuse(f"its argument {name} does not depend on the input")
    return found
