"""The tape: a straight-line program of every ATen operator that depends on the input."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.recording.arguments import leaves


@dataclass(frozen=True)
class Ref:
    """The place of a recorded value among an operator's arguments."""

    index: int


@dataclass(frozen=True, eq=False)
class Drawn:
    """A constant that differs between draws of the weights that run together: values[d] is draw d's."""

    values: Tensor

    @property
    def shape(self) -> torch.Size:
        """Of one draw's."""
        return self.values.shape[1:]

    def dim(self) -> int:
        """Of one draw's."""
        return self.values.dim() - 1


@dataclass(frozen=True, eq=False)
class Custom:
    """A torch.autograd.Function as an operator: its forward was recorded (`inner`), its backward is its own."""

    function: Any
    inner: "tuple[Call, ...]" = ()

    @property
    def name(self) -> str:
        """The class' name."""
        return str(self.function.__name__)

    def __call__(self, *args: Any) -> Any:
        """Apply it."""
        return self.function.apply(*args)


@dataclass(frozen=True, eq=False)
class Call:
    """One recorded operator; tensors that depend on the input are `Ref`s in `args` and `kwargs`.

    `stops`: no gradient passes (detach, or run under no_grad).
    """

    op: Any  # an OpOverload, or Custom
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[int | None, ...]  # value per output, None where an output is not a tensor
    stops: bool = False

    @cached_property
    def name(self) -> str:
        """The operator's ATen name, without overload."""
        return self.op.name if isinstance(self.op, Custom) else str(self.op.overloadpacket.__name__)

    @cached_property
    def refs(self) -> list[Ref]:
        """The recorded values that it reads, in order of appearance."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Ref)]

    @cached_property
    def constants(self) -> list[Tensor | Drawn]:
        """The constant tensors that it reads."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Tensor | Drawn)]

    @cached_property
    def _places(self) -> dict[str, tuple[int, Any]]:
        return {p.name: (k, p.default_value) for k, p in enumerate(self.op._schema.arguments)}

    def has(self, name: str) -> bool:
        """Whether the operator has an argument of this name."""
        return not isinstance(self.op, Custom) and name in self._places

    def arg(self, name: str) -> Any:
        """An argument by its schema name, or its default."""
        position, default = self._places[name]
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)


@dataclass
class Value:
    """A recorded tensor: shape and number type, memory order, whether a gradient passes through it, and its names.

    `order` lists its axes from the slowest in memory to the fastest. `made` is the position of its call on the tape.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    order: tuple[int, ...]
    made: int | None
    live: bool
    name: str | None = None
    operator: str = ""


@dataclass
class Tape:
    """Value 0 is the input; `calls` in order; `names`: the network's own names of values; `outputs`: what it returns.

    `geometric` are the calls that tell what reads what: a custom Function's forward in its place.
    """

    values: list[Value]
    calls: list[Call] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    stopped: str | None = None  # why recording ended before the network did
    outputs: frozenset[int] = frozenset()  # none where the run did not come to its end

    @property
    def batch(self) -> int:
        """Batch size at which the tape was recorded."""
        return self.values[0].shape[0]

    @property
    def geometric(self) -> Iterable[Call]:
        """The calls that tell what reads what."""
        for call in self.calls:
            if isinstance(call.op, Custom):
                yield from call.op.inner
            else:
                yield call

    @cached_property
    def used(self) -> frozenset[int] | None:
        """The values that the outputs depend on, themselves included; None where the outputs are not known."""
        if not self.outputs:
            return None
        calls = self.ancestors(self.outputs)
        return self.outputs | {out for call in calls for out in call.outputs if out is not None}

    def ancestors(self, targets: Iterable[int]) -> list[Call]:
        """The calls that `targets` depend on, in order."""
        needed, chosen = set(targets), set[int]()
        waiting = list(needed)
        while waiting:
            made = self.values[waiting.pop()].made
            if made is None or made in chosen:
                continue
            chosen.add(made)
            fresh = {ref.index for ref in self.calls[made].refs} - needed
            needed |= fresh
            waiting += fresh
        return [self.calls[made] for made in sorted(chosen)]

    @cached_property
    def readers(self) -> dict[int, list[Call]]:
        """The calls that read each value."""
        readers = dict[int, list[Call]]()
        for call in self.calls:
            for index in dict.fromkeys(ref.index for ref in call.refs):
                readers.setdefault(index, []).append(call)
        return readers

    @cached_property
    def _labels(self) -> dict[int, str]:
        """By call: the name of the first named value at or behind it."""
        labels, near = dict[int, str](), ""
        for call in reversed(self.calls):
            named = [self.values[o].name for o in call.outputs if o is not None and self.values[o].name]
            near = named[0] or near if named else near
            labels[id(call)] = near
        return labels

    def label(self, call: Call) -> str:
        """A name for an operator that a person can find: its layer and what it is."""
        near = self._labels.get(id(call), "")
        return f"{near} ({call.name})" if near else call.name


Constant = Callable[[Any, Any, Any], Any]  # operator, args, kwargs → its outputs


def execute(func: Any, args: Any, kwargs: Any) -> Any:
    """An operator on constants, as it is."""
    return func(*args, **kwargs)
