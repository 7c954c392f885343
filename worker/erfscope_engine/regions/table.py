"""The table operator → region rule, and the context a rule works in.

A rule answers: to give this region of output `out`, which region of each recorded argument is needed?
To add an operator, write one decorated function in the file of its family.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_flatten

from erfscope_engine.regions.interval import Interval, Region, whole_region
from erfscope_engine.tape import Entry, Ref, Tape

Needs = Iterator[tuple[Ref, Region]]


@dataclass(frozen=True)
class Call:
    """One operator as a rule sees it: named arguments, shapes, and which output is asked about."""

    entry: Entry
    tape: Tape
    out: int

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the output that is asked about."""
        index = self.entry.outputs[self.out]
        assert index is not None  # a region is only ever asked of a tensor
        return self.tape.values[index].shape

    def arg(self, name: str) -> Any:
        """An argument by its schema name, its default where it was not given."""
        for position, parameter in enumerate(self.entry.op._schema.arguments):
            if parameter.name == name:
                if position < len(self.entry.args):
                    return self.entry.args[position]
                return self.entry.kwargs.get(name, parameter.default_value)
        raise KeyError(f"{self.entry.op} has no argument {name}")

    def shape(self, item: Any) -> tuple[int, ...]:
        """Shape of a recorded or constant tensor."""
        return self.tape.values[item.index].shape if isinstance(item, Ref) else tuple(item.shape)


Rule = Callable[[Call, Region], Needs]
RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Enter a function into the table for each named ATen operator (any overload)."""

    def enter(function: Rule) -> Rule:
        for operator in operators:
            RULES[operator] = function
        return function

    return enter


def needs(call: Call, region: Region) -> Needs:
    """The regions of its arguments that an operator reads; everything where its rule is not known."""
    name = call.entry.op.overloadpacket.__name__
    found = RULES.get(name)
    if found is None:
        found = pointwise if torch.Tag.pointwise in call.entry.op.tags else everything
    return found(call, region)


def is_known(entry: Entry) -> bool:
    """Whether the operator has a rule of its own (its region is exact, not everything)."""
    return entry.op.overloadpacket.__name__ in RULES or torch.Tag.pointwise in entry.op.tags


def is_pointwise(entry: Entry) -> bool:
    """Whether each output element comes from the input elements at its place alone."""
    return torch.Tag.pointwise in entry.op.tags


def moves_only(entry: Entry) -> bool:
    """Whether the operator only moves elements about (its rule stands in layout.py)."""
    found = RULES.get(entry.op.overloadpacket.__name__)
    return found is not None and found.__module__.endswith(".layout")


def everything(call: Call, region: Region) -> Needs:
    """An unknown operator may read everything: never silently wrong."""
    for ref in call.entry.refs:
        yield ref, whole_region(call.shape(ref))


def pointwise(call: Call, region: Region) -> Needs:
    """Element by element, arguments broadcast from the right."""
    for ref in call.entry.refs:
        yield ref, broadcast(region, call.shape(ref))


def broadcast(region: Region, shape: tuple[int, ...]) -> Region:
    """A region of a broadcast result seen in an argument of `shape`."""
    aligned = region[len(region) - len(shape) :]
    return tuple(Interval(0, 1) if extent == 1 else i for i, extent in zip(aligned, shape, strict=True))


def tensors(items: Any) -> list[Ref]:
    """The recorded tensors among (possibly nested) arguments."""
    flat, _ = tree_flatten(items)
    return [item for item in flat if isinstance(item, Ref)]
