"""Walks a program: eager, step by step, naming each tensor; values go after their last use."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._python_dispatch import _disable_current_modes

from erfscope_contract.problem import ProblemError
from erfscope_engine.network import Mark
from erfscope_intake.bounds import INDICES, MAX_LISTED, PER_AXIS, check_axes, too_complex
from erfscope_intake.onnx_graph import Program, Step, last_uses, to_working
from erfscope_intake.onnx_unroll import MAX_OPERATORS, Course, too_long
from erfscope_intake.onnx_words import no_such_output

# What torch and Python raise when shapes do not fit; anything else (and what a tape raises) is not ours to explain.
MISFITS = (
    AssertionError,  # torch's functions check their arguments by them
    RuntimeError,
    ValueError,
    IndexError,
    TypeError,
    KeyError,
    AttributeError,
    ZeroDivisionError,
    OverflowError,
)
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


@contextmanager
def plain() -> Iterator[None]:
    """Run on real tensors, unseen by a tape or a functional transform around us."""
    with temporarily_clear_interpreter_stack(), _disable_current_modes():
        yield


def execute(step: Step, arguments: Sequence[Any], misfit: str) -> tuple[Any, ...]:
    """The outputs of one step; a failure becomes a ProblemError of kind `misfit` that names operator and node."""
    while arguments and arguments[-1] is None:
        arguments = arguments[:-1]
    try:
        _check_lists(step, arguments)
        _check_indices(step, arguments)
        result = step.row.function(step.node, *arguments)
        _check_axes(result)
    except ProblemError as problem:
        raise _named(step, problem.kind, problem.problem.detail) from problem
    except torch.OutOfMemoryError:
        raise
    except MISFITS as error:
        if any(words in str(error) for words in NO_MEMORY):
            raise _named(step, "resource-limit", "there is not enough memory for its output") from error
        raise _named(step, misfit, _reason(error, arguments)) from error
    return result if isinstance(result, tuple) else (result,)


def _check_lists(step: Step, arguments: Sequence[Any]) -> None:
    """Refuse shapes and axes that no tensor has before a converter tries each: the file may have computed them."""
    for position in PER_AXIS.get(step.node.operator, ()):
        numbers = arguments[position] if position < len(arguments) else None
        if isinstance(numbers, Tensor) and numbers.numel() > MAX_LISTED:
            too_complex(f"input {position} has {numbers.numel()} numbers; at most {MAX_LISTED} fit axes", MAX_LISTED)


def _check_indices(step: Step, arguments: Sequence[Any]) -> None:
    """Refuse places that are outside of a tensor: on tensors without data nothing else would."""
    position = INDICES.get(step.node.operator)
    if position is None or len(arguments) <= position or not all(isinstance(a, Tensor) for a in arguments[:2]):
        return
    data, indices = arguments[0], arguments[position]
    if type(indices) is not Tensor or indices.is_floating_point() or not indices.numel():
        return
    with plain():
        extents = _extents_read(step, data.shape, indices)
        if bool((indices < -extents).any() | (indices >= extents).any()):
            worst = int(indices.abs().max())
            raise IndexError(f"the index {worst} is outside of the tensor that it reads")


def _extents_read(step: Step, shape: Sequence[int], indices: Tensor) -> Tensor:
    """The extent that each index must be below."""
    if step.node.operator.endswith("ND"):
        first = step.node.int("batch_dims", 0)
        return torch.tensor(list(shape)[first : first + indices.shape[-1]], dtype=torch.int64)
    return torch.tensor(shape[step.node.int("axis", 0)], dtype=torch.int64)


def _check_axes(result: Any) -> None:
    for value in result if isinstance(result, tuple) else (result,):
        if isinstance(value, Tensor):
            check_axes(value.dim(), "its output")


def _named(step: Step, kind: str, detail: str) -> ProblemError:
    operator, node = step.node.operator, step.label[:200]
    return ProblemError(kind, f"{operator} (node {node!r}): {detail}", operator=operator, node=node)


def _reason(error: Exception, arguments: Sequence[Any]) -> str:
    shapes = ", ".join(str(list(a.shape)) for a in arguments if isinstance(a, Tensor))
    words = str(error).split("\n", 1)[0][:300]
    return f"its inputs, of shapes {shapes}, do not fit: {words}"


class Walk:
    """One program on one device, ready to be run again and again."""

    def __init__(self, program: Program, names: dict[str, str], dtype: torch.dtype, device: torch.device) -> None:
        self.program, self.names, self.dtype, self.device = program, names, dtype, device
        self._last = {id(program): last_uses(program.steps)}
        self._left = MAX_OPERATORS

    def run(self, inputs: dict[str, Any], mark: Mark) -> dict[str, Any]:
        """Values of the program's outputs, and whatever else is still held, by neutral name."""
        env = dict(inputs)
        self._left = MAX_OPERATORS
        self._walk(self.program, env, mark, set(self.program.outputs))
        return {name: self._value(name, env) for name in self.program.outputs if self._known(name, env)}

    def _known(self, name: str, env: dict[str, Any]) -> bool:
        return name in env or name in self.program.constants

    def _value(self, name: str, env: dict[str, Any]) -> Any:
        if not self._known(name, env):
            raise no_such_output(self.names.get(name, name))
        return env[name] if name in env else self.program.constants[name]

    def _walk(self, program: Program, env: dict[str, Any], mark: Mark, keep: set[str]) -> None:
        last = self._last.setdefault(id(program), last_uses(program.steps))
        for position, step in enumerate(program.steps):
            self._do(step, env, mark)
            for name in step.inputs:
                if program is self.program and last.get(name) == position and name not in keep:
                    env.pop(name, None)

    def _do(self, step: Step, env: dict[str, Any], mark: Mark) -> None:
        if step.iteration is not None:
            self._iterate(step, env, mark)
            return
        if step.branches:
            self._branch(step, env, mark)
            return
        if step.follows_input:
            results = execute(step, self._arguments(step, env), "shape-mismatch")
        else:
            with plain():
                results = execute(step, self._arguments(step, env), "shape-mismatch")
        for name, value in zip(step.outputs, results, strict=False):
            if name:
                env[name] = value
                self._name(step, name, value, mark)

    def _name(self, step: Step, name: str, value: Any, mark: Mark) -> None:
        if step.follows_input and isinstance(value, Tensor) and value.is_floating_point():
            mark(self.names[name], step.node.operator, value)

    def _branch(self, step: Step, env: dict[str, Any], mark: Mark) -> None:
        with plain():
            condition = bool(self._value(step.inputs[0], env).reshape(-1)[0])
        branch = step.branches[0 if condition else 1]
        self._walk(branch, env, mark, set())
        for made, name in zip(step.outputs, branch.outputs, strict=False):
            env[made] = self._value(name, env)
            self._name(step, made, env[made], mark)

    def _iterate(self, step: Step, env: dict[str, Any], mark: Mark) -> None:
        """Run a body as often as its Loop or Scan says; nothing inside has a name, for it is there several times."""
        (body,) = step.branches
        with nullcontext() if step.follows_input else plain():
            course = Course(step, self._arguments(step, env))
            self._check_room(step, body, course.most or 0)
            while True:
                with plain():  # whether it goes on depends on real numbers, never on the input's values
                    going = course.goes_on()
                if not going:
                    break
                self._check_room(step, body, 1)
                self._left -= len(body.steps) + 1
                env.update(course.inputs())
                self._walk(body, env, _unnamed, set())
                course.take([self._value(name, env) for name in body.outputs])
            results = course.results()
        for name, value in zip(step.outputs, results, strict=True):
            if name:
                env[name] = value
                self._name(step, name, value, mark)

    def _check_room(self, step: Step, body: Program, iterations: int) -> None:
        if iterations * (len(body.steps) + 1) > self._left:
            raise too_long(step.node.operator, step.label)

    def _arguments(self, step: Step, env: dict[str, Any]) -> list[Any]:
        return [self._argument(step, position, name, env) for position, name in enumerate(step.inputs)]

    def _argument(self, step: Step, position: int, name: str, env: dict[str, Any]) -> Any:
        if name == "":
            return None
        if not step.follows_input or position in step.row.reads:
            return self._value(name, env)
        if name in self.program.working:
            return self.program.working[name]
        value = self._value(name, env)
        if isinstance(value, Tensor) and (value.device != self.device or _is_other_float(value, self.dtype)):
            with plain():
                value = to_working(value, self.dtype, self.device)
        return value


def _unnamed(name: str, operator: str, value: Tensor) -> None:
    """A mark that nobody reads."""


def _is_other_float(value: Tensor, dtype: torch.dtype) -> bool:
    return value.is_floating_point() and value.dtype != dtype
