"""A renamed ONNX graph as a program: steps in order, each with its converter and what it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from onnx import AttributeProto, NodeProto
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters import Node, Row
from erfscope_intake.onnx_behind import Behind
from erfscope_intake.onnx_names import Names
from erfscope_intake.onnx_tensors import Outside, not_outside, to_torch


@dataclass(frozen=True)
class Iteration:
    """How a Loop or Scan runs its body, whose program is the step's only branch.

    `inputs` are the body's: for a Loop the number of the iteration and the condition come first. `carried` values go
    from one iteration to the next; `slices` of a Scan are read along `axes` (backward where `reverse`), and what the
    body answers per iteration is put together along `output_axes`.
    """

    inputs: tuple[str, ...]
    carried: int
    axes: tuple[int, ...] = ()
    reverse: tuple[bool, ...] = ()
    output_axes: tuple[int, ...] = ()
    output_reverse: tuple[bool, ...] = ()


@dataclass(frozen=True, eq=False)
class Step:
    """One node: its converter, neutral names of what it reads and makes, and its own name for people."""

    node: Node
    row: Row
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    label: str
    branches: tuple["Program", ...] = ()
    iteration: Iteration | None = None

    @property
    def follows_input(self) -> bool:
        """Its values depend on the measured input's."""
        return not self.node.constant


@dataclass(frozen=True)
class Lost:
    """A node that cannot be run, and so is left out with all that follows it; `problem` says why and what to do."""

    operator: str
    label: str
    problem: ProblemError


@dataclass
class Program:
    """A graph ready to run: `constants` by neutral name, `working` the same in the type networks compute in."""

    steps: list[Step] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    working: dict[str, Tensor] = field(default_factory=dict)
    lost: dict[str, Lost] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class Build:
    """What building a program needs to know all the way down."""

    names: Names
    versions: Mapping[str, int]
    behind: Behind
    dtype: torch.dtype
    constants: dict[str, Tensor]
    follows: set[str]  # values that depend on the input's values
    shaped: set[str]  # constants that depend on its shape
    lost: dict[str, Lost] = field(default_factory=dict)  # values that cannot be had, with the node that is to blame
    notes: list[str] = field(default_factory=list)
    outside: Outside = not_outside  # reads data that lie beside the model
    refused: Mapping[str, ProblemError] = field(default_factory=dict)  # loops that turned out to be too long, by label


def attributes_of(proto: NodeProto, outside: Outside = not_outside) -> dict[str, Any]:
    """Attributes as plain values; tensors as torch tensors, graphs left out."""
    return {attribute.name: _value(attribute, outside) for attribute in proto.attribute}


def _value(attribute: AttributeProto, outside: Outside) -> Any:
    kinds: dict[int, Any] = {
        AttributeProto.FLOAT: lambda a: a.f,
        AttributeProto.INT: lambda a: a.i,
        AttributeProto.STRING: lambda a: a.s.decode("utf-8", "replace"),
        AttributeProto.TENSOR: lambda a: to_torch(a.t, outside),
        AttributeProto.FLOATS: lambda a: list(a.floats),
        AttributeProto.INTS: lambda a: list(a.ints),
        AttributeProto.STRINGS: lambda a: [s.decode("utf-8", "replace") for s in a.strings],
    }
    read = kinds.get(attribute.type)
    return None if read is None else read(attribute)


def domain_of(domain: str) -> str:
    """The default domain has two spellings."""
    return "" if domain == "ai.onnx" else domain


def finish(program: Program, state: Build, device: torch.device) -> None:
    """Drop constants that nothing reads, and hold those that meet the input in the working type and place."""
    read: set[str] = set(program.outputs)
    meet: set[str] = set()
    for step in all_steps(program):
        for position, name in enumerate(step.inputs):
            converts = step.follows_input and position not in step.row.reads
            (meet if converts else read).add(name)
        read.update(name for branch in step.branches for name in branch.outputs)
    program.working = {
        name: to_working(value, state.dtype, device) for name, value in state.constants.items() if name in meet
    }
    for name in [name for name in state.constants if name not in read]:
        del state.constants[name]
    program.notes = state.notes
    program.lost = state.lost


def all_steps(program: Program, *, loops: bool = True) -> list[Step]:
    """The steps of a program and of the branches in it; the bodies of loops too, where wanted."""
    found, pending = [], [program]
    while pending:
        part = pending.pop()
        found += part.steps
        pending += [branch for step in part.steps for branch in step.branches if loops or step.iteration is None]
    return found


def to_working(value: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A constant as networks compute with it."""
    if isinstance(value, list):
        return value
    return value.to(device, dtype) if value.is_floating_point() else value.to(device)


def last_uses(steps: Sequence[Step]) -> dict[str, int]:
    """For every value, the last step that reads it (branches read for their If)."""
    last: dict[str, int] = {}
    for position, step in enumerate(steps):
        names = list(step.inputs)
        for branch in step.branches:
            names += [name for inner in all_steps(branch) for name in inner.inputs] + branch.outputs
        last.update(dict.fromkeys(names, position))
    return last
