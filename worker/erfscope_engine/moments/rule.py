"""What an operator does to moments and to expected squared gradients: the parts that variance rules are made of.

A rule makes the step of one recorded operator for the box that is wanted of its output. Linear operators are built
from their own steps on numbers: the operator with its constants squared carries variances forward and squared
gradients back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from erfscope_contract.problem import ProblemError
from erfscope_engine.execution.box import Box
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.moments.state import Moments
from erfscope_engine.recording.tape import Call, Ref, Tape

Squares = Sequence[Tensor | None]


@dataclass(frozen=True)
class Case:
    """One part whose moments are wanted; `drawn` says that weights stand for their standard deviations."""

    part: Part
    drawn: bool

    @property
    def call(self) -> Call:
        """The recorded operator."""
        return self.part.call

    @property
    def box(self) -> Box:
        """The box that is wanted of its output."""
        return self.part.box

    @property
    def name(self) -> str:
        """The operator's ATen name."""
        return self.part.name

    @property
    def tape(self) -> Tape:
        """The tape that it is on."""
        return self.part.tape

    def refuse(self, why: str) -> NoReturn:
        """Raise ProblemError("unsupported-feature") that names operator and layer."""
        where = self.tape.label(self.call)
        raise ProblemError(
            "unsupported-feature",
            f"Method 'analytic' cannot treat operator {self.name} at {where}: {why}. "
            "Use method 'gradient', or name a layer before it.",
            operator=self.name,
            layer=where,
        )


Rule = Callable[[Case], Step]


def step_of(case: Case, call: Call) -> Step:
    """The step on numbers of `call` (an operator with the same outputs as the case's) for the case's box."""
    from erfscope_engine.execution.numbers import step_for

    part = case.part
    return step_for(replace(part, site=replace(part.site, call=call)))


def is_float(item: Any) -> bool:
    """Whether an argument is a constant tensor of real numbers."""
    return isinstance(item, Tensor) and item.is_floating_point()


def blanked(call: Call) -> Call:
    """The operator with its constant tensors of numbers put to 0."""
    args, kwargs = tree_map(lambda a: torch.zeros_like(a) if is_float(a) else a, (call.args, call.kwargs))
    return replace(call, args=args, kwargs=kwargs)


def has_constants(call: Call) -> bool:
    """Whether an operator takes constant tensors of numbers."""
    return any(is_float(item) for item in call.constants)


def linear(case: Case, squared: Call, *, shifts: bool, redrawn: bool = False, note: str = "") -> Step:
    """The step of a linear operator: `squared` is it with its constants squared.

    `shifts` says that it adds a constant (0 does not stay 0). `redrawn` weights have mean 0: they take mean squares in
    and give mean 0 out; others take variances (their inputs count as uncorrelated) and give their own mean.
    """
    twice = step_of(case, squared)
    once = None if redrawn else step_of(case, case.call)

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        outs, kept = twice.forward([m.second if redrawn else m.variance for m in inputs])
        if once is None or (not shifts and all(m.mean is None for m in inputs)):
            return [Moments(None, out) for out in outs], kept
        means, _ = once.forward([m.dense_mean for m in inputs])
        return [Moments(mean, out) for mean, out in zip(means, outs, strict=True)], kept

    return replace(twice, forward=forward, fresh=False, relu=False, note=note)


def argument(call: Call, name: str, value: Any) -> Call:
    """The operator with another value for one of its arguments."""
    for position, parameter in enumerate(call.op._schema.arguments):
        if parameter.name == name and position < len(call.args):
            return replace(call, args=(*call.args[:position], value, *call.args[position + 1 :]))
    return replace(call, kwargs={**call.kwargs, name: value})


def only_refs(case: Case, *names: str) -> None:
    """Refuse an operator of which anything but the named arguments depends on the input."""
    allowed = [case.call.arg(name) for name in names]
    flat = [item for a in allowed for item in (a if isinstance(a, list | tuple) else [a])]
    if any(not any(ref is item for item in flat) for ref in case.call.refs):
        case.refuse("an argument beside its data depends on the input")


def ref_of(case: Case, name: str) -> Ref:
    """An argument that must depend on the input."""
    item = case.call.arg(name)
    if not isinstance(item, Ref):
        case.refuse(f"its argument {name} does not depend on the input")
    return item


def moved(case: Case) -> Step:
    """Elements change places, are repeated or summed; sums count their terms as uncorrelated."""
    only_refs(case, "self")
    return linear(case, case.call, shifts=False)


def joined(case: Case) -> Step:
    """Parts that do not depend on the input have no variance."""
    return linear(case, blanked(case.call), shifts=has_constants(case.call))
