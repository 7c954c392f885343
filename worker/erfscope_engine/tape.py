"""The tape: every ATen operator that depends on the input, recorded from one run on fake tensors.

What does not depend on the input just executes and becomes a constant, so constant folding falls out.
Mutation is turned into pure operators (`functionalize`), so the tape is a straight-line program.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from erfscope.contract.problem import ProblemError
from erfscope_engine.network import Network
from erfscope_engine.rewritten import Rewritten


@dataclass(frozen=True)
class Ref:
    """A place in an operator's arguments where a recorded value goes."""

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
class Entry:
    """One recorded operator; tensors that depend on the input are `Ref`s in `args` and `kwargs`."""

    op: torch._ops.OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[int | None, ...]  # value index per tensor output, None where an output is not a tensor

    @cached_property
    def refs(self) -> list[Ref]:
        """The recorded values this operator reads, in order of appearance."""
        flat, _ = tree_flatten((self.args, self.kwargs))
        return [leaf for leaf in flat if isinstance(leaf, Ref)]


@dataclass
class Value:
    """A recorded tensor: its shape and, where the network named it, its name and operator."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    entry: int | None
    name: str | None = None
    operator: str = ""


@dataclass
class Tape:
    """A straight-line program; value 0 is the input."""

    values: list[Value]
    entries: list[Entry] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    stopped: str | None = None  # why recording ended before the network did

    @property
    def batch(self) -> int:
        """Batch size at which the tape was recorded."""
        return self.values[0].shape[0]

    def ancestors(self, targets: Iterable[int]) -> list[Entry]:
        """The entries that `targets` depend on, in order."""
        needed = set(targets)
        kept: list[Entry] = []
        for entry in reversed(self.entries):
            if needed.intersection(entry.outputs):
                kept.append(entry)
                needed.update(ref.index for ref in entry.refs)
        return kept[::-1]

    def label(self, entry: Entry) -> str:
        """A name for an operator that a person can find: its layer and what it is."""
        index = self.entries.index(entry)
        kind = str(entry.op.overloadpacket.__name__)
        for later in self.entries[index:]:
            for out in later.outputs:
                if out is not None and self.values[out].name is not None:
                    return f"{self.values[out].name} ({kind})"
        return kind


SHAPE_ONLY = {"zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like",
              "new_zeros", "new_ones", "new_full", "new_empty", "sym_size", "sym_numel"}  # fmt: skip


Constant = Callable[[Any, Any, Any], Any]  # operator, args, kwargs → its outputs


class _StopRecordingError(Exception):
    """The network asked for a value that depends on the input."""


class _ReachedError(Exception):
    """The last wanted tensor is on the tape."""


class _Recorder(TorchDispatchMode):
    def __init__(self, tape: Tape, until: str | None, constant: Constant) -> None:
        super().__init__()
        self.tape, self.until, self.constant = tape, until, constant
        self.shapes = FakeTensorMode(allow_non_fake_inputs=True)
        self.index: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        marked_args, marked_kwargs = tree_map_only(Tensor, self._mark, (args, kwargs))
        flat, _ = tree_flatten((marked_args, marked_kwargs))
        depends = any(isinstance(leaf, Ref) for leaf in flat)
        if depends and reads_values(func):
            raise _StopRecordingError(func.overloadpacket.__name__)
        if not depends:
            return self.constant(func, args, kwargs)
        if func._schema.is_mutable:
            raise _unrecordable(func)
        if func.overloadpacket.__name__ in SHAPE_ONLY:  # a constant after all: real numbers of that shape
            real_args, real_kwargs = tree_map_only(FakeTensor, _zeros_like, (args, kwargs))
            return func(*real_args, **real_kwargs)
        out = self._shapes_of(func, args, kwargs)
        self._append(func, marked_args, marked_kwargs, out)
        return out

    def _shapes_of(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operator on fake tensors; on zeros where torch knows no rule for its shapes."""
        try:
            with self.shapes:
                return _batch_norm_shapes(func, args[0]) if _normalises(func, args) else func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            raise _StopRecordingError(func.overloadpacket.__name__) from None
        except UnsupportedOperatorException:
            real_args, real_kwargs = tree_map_only(FakeTensor, _zeros_like, (args, kwargs))
            return tree_map_only(Tensor, self.shapes.from_tensor, func(*real_args, **real_kwargs))

    def _mark(self, tensor: Tensor) -> Any:
        index = self.index.get(tensor)
        return tensor if index is None else Ref(index)

    def _append(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        outs = out if isinstance(out, (tuple, list)) else (out,)
        if not any(isinstance(item, Tensor) for item in outs):
            return  # a question about the tensor, not its values
        entry = len(self.tape.entries)
        outputs = tuple(self._track(item, entry) if isinstance(item, Tensor) else None for item in outs)
        self.tape.entries.append(Entry(func, args, kwargs, outputs))

    def _track(self, tensor: Tensor, entry: int | None) -> int:
        self.tape.values.append(Value(tuple(tensor.shape), tensor.dtype, entry))
        self.index[tensor] = len(self.tape.values) - 1
        return len(self.tape.values) - 1

    def name(self, name: str, operator: str, value: Tensor) -> None:
        """Give a recorded tensor the network's own name; a module's name wins over its last child's."""
        tensor = value
        if torch._is_functional_tensor(tensor):
            torch._sync(tensor)  # type: ignore[attr-defined]  # private, the only way to a functional tensor's value
            tensor = torch._from_functional_tensor(tensor)
        index = self.index.get(tensor)
        if index is None:
            return
        self.tape.names.setdefault(name, index)
        known = self.tape.values[index]
        if known.name is None or known.name.startswith(f"{name}."):
            known.name, known.operator = name, operator
        if name == self.until:
            raise _ReachedError


# Operators of a batch norm with stored statistics, and where their `training` flag stands.
BATCH_NORMS = {"native_batch_norm": 5, "cudnn_batch_norm": 5, "_native_batch_norm_legit_no_training": None}


def _normalises(func: Any, args: tuple[Any, ...]) -> bool:
    """A batch norm that shifts and scales only; torch finds its shapes by 10 operators (60 % of a recording's time)."""
    name = func.overloadpacket.__name__
    if name not in BATCH_NORMS:
        return False
    flag = BATCH_NORMS[name]
    return flag is None or (len(args) > flag and args[flag] is False)


def _batch_norm_shapes(func: Any, x: Tensor) -> tuple[Tensor, ...]:
    """The output like the input; saved statistics are empty where nothing is trained."""
    return (torch.empty_like(x), *(x.new_empty(0) for _ in func._schema.returns[1:]))


def _unrecordable(func: Any) -> ProblemError:
    return ProblemError(
        "unsupported-model",
        f"Operator {func.overloadpacket.__name__} writes into a tensor in place in a way that cannot be followed; "
        "write the network without it (for example with torch.cat).",
        operator=str(func.overloadpacket.__name__),
    )


def _zeros_like(fake: FakeTensor) -> Tensor:
    return torch.zeros(fake.shape, dtype=fake.dtype, device=fake.fake_device)


def reads_values(func: Any) -> bool:
    """Whether an operator's answer hangs on the numbers in a tensor: a Python number, or a shape."""
    tags = func.tags
    return torch.Tag.data_dependent_output in tags or torch.Tag.dynamic_output_shape in tags


def execute(func: Any, args: Any, kwargs: Any) -> Any:
    """An operator on constants, as it is."""
    return func(*args, **kwargs)


def record(network: Network, batch: int, until: str | None = None, constant: Constant = execute) -> Tape:
    """Run `network` once on a batch of inputs and record what depends on them.

    Only shapes are computed of what depends on the input (fake tensors), so that recording costs neither the arithmetic
    nor the memory of a run; everything else is real.

    The run ends at the tensor named `until`: what comes behind it may not take this batch size. `constant` runs the
    operators on constants.
    Raises ProblemError("shape-mismatch") where the network does not run at this shape, with torch's own reason.
    """
    shape = (batch, *network.input_shape)
    tape = Tape([Value(shape, network.dtype, None, network.input_name, "Input")])
    tape.names[network.input_name] = 0
    recorder = _Recorder(tape, until, constant)

    def run(x: Tensor) -> Tensor:
        inner = torch._from_functional_tensor(x)
        recorder.index[inner] = 0
        try:
            network.run(x, recorder.name)
        except _StopRecordingError as stop:
            tape.stopped = str(stop)
        except _ReachedError:
            pass
        return x

    with torch.no_grad(), _open_attention(), _quiet(), Rewritten():
        functional = torch.func.functionalize(run, remove="mutations")
        with recorder.shapes:
            example = torch.empty(shape, dtype=network.dtype, device=network.device)
        with recorder:
            functional(example)
    return tape


@contextmanager
def _quiet() -> Iterator[None]:
    """A shape that does not fit is told by its error; torch would print the trace of it as well."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


class _open_attention:  # noqa: N801 - reads as the context manager it is
    """Attention layers as their parts: the fused layer of inference has no gradient and hides what depends on what."""

    def __enter__(self) -> None:
        self.fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)

    def __exit__(self, *exc: Any) -> None:
        torch.backends.mha.set_fastpath_enabled(self.fast)
