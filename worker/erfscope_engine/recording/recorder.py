"""The recorder: a dispatch mode that runs a network on fake tensors and writes down what depends on the input.

What does not depend on the input just executes and becomes a constant, so constant folding falls out. Writes in place
become new values (`memory.py`), a torch.autograd.Function one call (`functions.py`).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
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
from torch.utils.checkpoint import CheckpointFunction

from erfscope_contract.problem import ProblemError
from erfscope_engine.network import Network, tensors_in
from erfscope_engine.recording.arguments import leaves, mapped
from erfscope_engine.recording.functions import Run, functions_seen
from erfscope_engine.recording.memory import Memory, NotFollowedError
from erfscope_engine.recording.rewritten import REWRITTEN
from erfscope_engine.recording.shapes import NoShapesError, fake, meta_shapes
from erfscope_engine.recording.tape import Call, Constant, Custom, Ref, Tape, Value, execute
from erfscope_engine.recording.uncompiled import fake_tensors, uncompiled

aten = torch.ops.aten
SHAPE_ONLY = {"zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like",
              "new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"}  # fmt: skip
QUESTIONS = {"sym_size", "sym_numel", "sym_stride", "sym_storage_offset", "device", "is_contiguous", "dim", "layout",
             "is_strides_like_format", "is_non_overlapping_and_dense", "size", "stride", "numel"}  # fmt: skip
INDEXED = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}

MASKS = (torch.bool, torch.uint8)
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd


class _ReachedError(Exception):
    """The last wanted tensor is on the tape."""


class Recorder(TorchDispatchMode):
    """Writes the tape of one run; `constant` runs the operators on constants, `until` is the last wanted name."""

    def __init__(self, tape: Tape, until: str | None, constant: Constant) -> None:
        super().__init__()
        self.tape, self.until, self.constant = tape, until, constant
        self.shapes = fake_tensors()
        self.memory = Memory()
        self.index: dict[int, int] = {}  # id of a fake tensor → its value
        self.fakes: list[Tensor] = []  # by value; they stay alive, so that no id is used twice
        self.storages: list[int] = []  # by value: where its numbers were when it was made
        self.calls = tape.calls  # a custom Function's forward goes elsewhere
        self.inside = 0  # a custom Function: its gradient is its own affair

    def begin(self, x: Tensor) -> None:
        """Value 0."""
        self.index[id(x)] = 0
        self.fakes.append(x)
        self.storages.append(_storage(x))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is aten._convolution.default:  # as traces have it, with flags of its kernels
            func, args = aten.convolution.default, args[:9]
        if func.overloadpacket.__name__ in QUESTIONS:
            with self.shapes:
                return func(*args, **kwargs)
        if (parts := _parts_of(func)) is not None:
            with self:
                return parts(*args, **kwargs)
        args = self._by_places(func, args)
        now, now_kwargs = mapped(Tensor, self._current, (args, kwargs))
        marked, marked_kwargs = mapped(Tensor, self._mark, (now, now_kwargs))
        depends = any(isinstance(leaf, Ref) for leaf in leaves((marked, marked_kwargs)))
        if not depends:
            return self._constant(func, args, kwargs)
        if reads_values(func) and not _has_constant_shape(func, marked, now):
            raise NotFollowedError(
                f"operator {func.overloadpacket.__name__}, which reads values that depend on the input"
            )
        if func._schema.is_mutable:
            return self._write(func, args, now, now_kwargs)
        if func.overloadpacket.__name__ in SHAPE_ONLY:  # a constant after all: real numbers of that shape
            real, real_kwargs = mapped(FakeTensor, _zeros_like, (args, kwargs))
            return func(*real, **real_kwargs)
        if isinstance(marked_kwargs.get("attn_mask"), Ref) and "flash" in func.overloadpacket.__name__:
            out = self._as_products(args, kwargs)
        else:
            out = self._record(func, (now, now_kwargs), (marked, marked_kwargs))
        if func.is_view:
            self.memory.note(func, args, kwargs, out)
        return out

    def _as_products(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Attention whose mask depends on the input, as products and a softmax: the kernel has no gradient of it."""
        with self:
            out, weights = aten._scaled_dot_product_attention_math.default(
                *args[:3], attn_mask=kwargs["attn_mask"], scale=kwargs.get("scale")
            )  # with a mask, the kernel takes neither dropout nor a causal flag
        return out, weights

    def _by_places(self, func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Constant masks that index as the places that they choose."""
        if func.overloadpacket.__name__ not in INDEXED or not isinstance(args[1], list | tuple):
            return args
        places = list[Any]()
        for index in args[1]:
            is_mask = isinstance(index, Tensor) and index.dtype in MASKS
            constant = is_mask and not isinstance(self._mark(self._current(index)), Ref)
            places += self._current(index).nonzero(as_tuple=True) if constant else [index]
        return (args[0], places, *args[2:])

    def _current(self, tensor: Tensor) -> Tensor:
        alias = self.memory.aliases.get(tensor)
        if alias is None or (alias.version == alias.root.version and alias.now is None):
            return tensor
        with self:
            return self.memory.current(tensor)

    def _mark(self, tensor: Tensor) -> Any:
        index = self.index.get(id(tensor))
        if index is None:
            return tensor
        if _storage(tensor) != self.storages[index]:
            raise NotFollowedError("a tensor whose .data was replaced")
        return Ref(index)

    def _constant(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func._schema.is_mutable:
            self._preserve(args, kwargs)
        out = self.constant(func, args, kwargs)
        if func.is_view and isinstance(args[0], Tensor):
            self.memory.note(func, args, kwargs, out)
        return out

    def _preserve(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Constants that are about to be written: calls that have them keep what they read."""
        written = {_storage(leaf) for leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)}

        def cloned(tensor: Tensor) -> Tensor:
            return tensor.clone() if _storage(tensor) in written else tensor

        for position, call in enumerate(self.calls):
            if any(isinstance(c, Tensor) and _storage(c) in written for c in call.constants):
                given, given_kwargs = mapped(Tensor, cloned, (call.args, call.kwargs))
                self.calls[position] = replace(call, args=given, kwargs=given_kwargs)

    def _record(self, func: Any, now: tuple[Any, Any], marked: tuple[Any, Any]) -> Any:
        out = self._shapes_of(func, *now)
        name = func.overloadpacket.__name__
        stops = not self.inside and (name == "detach" or not torch.is_grad_enabled())
        self._append(func, marked, out, stops=stops)
        return out

    def _shapes_of(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operator on fake tensors; on zeros where torch knows no rule for its shapes."""
        if _normalises(func, args):
            return _batch_norm_shapes(self.shapes, func, args[0])
        with suppress(NoShapesError):
            return meta_shapes(self.shapes, func, args, kwargs)
        try:
            with self.shapes:
                return func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            name = func.overloadpacket.__name__
            raise NotFollowedError(f"operator {name}, which reads values that depend on the input") from None
        except UnsupportedOperatorException:
            real, real_kwargs = mapped(FakeTensor, _zeros_like, (args, kwargs))
            return mapped(Tensor, self.shapes.from_tensor, func(*real, **real_kwargs))

    def _append(self, op: Any, marked: tuple[Any, Any], out: Any, *, stops: bool) -> None:
        outs = out if isinstance(out, tuple | list) else (out,)
        if not any(isinstance(item, Tensor) for item in outs):
            return  # a question about the tensor, not its values
        reads = [leaf.index for leaf in leaves(marked) if isinstance(leaf, Ref)]
        live = not stops and any(self.tape.values[index].live for index in reads)
        outputs = tuple(self._track(item, live) if isinstance(item, Tensor) else None for item in outs)
        self.calls.append(Call(op, *marked, outputs, stops))

    def _track(self, tensor: Tensor, live: bool) -> int:
        """A new value; its call is the next one of the tape, or the custom Function that is being recorded."""
        # inside a custom Function, what its forward reads is what its own gradient may reach
        differentiable = tensor.dtype.is_floating_point or tensor.dtype.is_complex or bool(self.inside)
        self.tape.values.append(value_of(tensor, len(self.tape.calls), live and differentiable))
        self.index[id(tensor)] = len(self.tape.values) - 1
        self.fakes.append(tensor)
        self.storages.append(_storage(tensor))
        return len(self.tape.values) - 1

    def _write(self, func: Any, args: tuple[Any, ...], now: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator in place: a new value of what it writes to."""
        name = func.overloadpacket.__name__
        target = args[0]
        if torch.Tag.inplace_view in func.tags:
            return self._looked_otherwise(func, target, now, kwargs)
        if not _writes_first_only(func):
            raise NotFollowedError(f"operator {name}, which writes into an argument")
        with self:
            value = _pure(func, now, kwargs)
            if value.dtype != target.dtype:
                value = value.to(target.dtype)
            self.memory.write(target, value, self._unseen)
        return target

    def _unseen(self, before: Tensor, after: Tensor) -> Tensor:
        """A tensor whose numbers were changed behind autograd's back: its gradient goes on as if it were `before`."""
        ref = self._mark(before)
        if not isinstance(ref, Ref) or not self.tape.values[ref.index].live:
            return after
        with torch.enable_grad():
            return after.detach() + (before - before.detach())  # `after` exactly, and the gradient of `before`

    def _looked_otherwise(self, func: Any, target: Tensor, now: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """transpose_ and its like: the same memory, seen otherwise."""
        with self:
            value = _pure(func, now, kwargs)
        with self.shapes:
            func(target, *now[1:], **kwargs)
        self.memory.replace(target, value)
        return target

    def custom(self, function: Any, forward: Run, args: tuple[Any, ...], stops: bool) -> Any:
        """A custom Function as one call, with the calls of its forward inside."""
        now = tree_map_only(Tensor, self._current, args)
        marked = tree_map_only(Tensor, self._mark, now)
        if self.inside or not any(isinstance(leaf, Ref) for leaf in tree_flatten(marked)[0]):
            return forward(args)
        outer, inner, before = self.calls, list[Call](), len(self.tape.values)
        self.calls, self.inside = inner, 1
        try:
            out = forward(now)
            outs = out if isinstance(out, tuple | list) else (out,)
            outputs = tuple(self._own_output(item, inner, stops) for item in outs)
        except Exception:  # the recording ends before this call: nothing is known of what is inside
            del self.tape.values[before:]
            self.tape.names = {name: index for name, index in self.tape.names.items() if index < before}
            raise
        finally:
            self.calls, self.inside = outer, 0
        self.calls.append(Call(Custom(function, tuple(inner)), tuple(marked), {}, outputs, stops))
        return out

    def _own_output(self, item: Any, inner: list[Call], stops: bool) -> int | None:
        """The value of an output of a custom Function; one that is an input, or a constant, has no call yet."""
        if not isinstance(item, Tensor):
            return None
        index = self.index.get(id(self._current(item)))
        made = {out for call in inner for out in call.outputs}
        if index is None or index not in made:
            raise NotFollowedError("a custom autograd.Function that returns its input or a constant")
        self.tape.values[index].live &= not stops
        return index

    def name(self, name: str, operator: str, value: Tensor) -> None:
        """Give a recorded tensor the network's own name; a module's name wins over its last child's."""
        index = self.index.get(id(self._current(value)))
        if index is None:
            return
        self.tape.names.setdefault(name, index)
        known = self.tape.values[index]
        if known.name is None or known.name.startswith(f"{name}.") or name == "output":
            known.name, known.operator = name, operator
        if name == self.until:
            raise _ReachedError

    def values_in(self, outputs: object) -> frozenset[int]:
        """The recorded values among what a run returns."""
        values = (self.index.get(id(self._current(tensor))) for _, tensor in tensors_in(outputs))
        return frozenset(value for value in values if value is not None)


def value_of(tensor: Tensor, made: int | None, live: bool) -> Value:
    """What the tape knows of a tensor; its memory order is that of its strides."""
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda k: (-strides[k] if tensor.shape[k] > 1 else -(10**18), k))
    kept = [k for k in order if tensor.shape[k] > 1]
    natural = sorted(kept) == kept
    return Value(tuple(tensor.shape), tensor.dtype, tuple(range(tensor.dim())) if natural else tuple(order), made, live)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _writes_first_only(func: Any) -> bool:
    written = [k for k, a in enumerate(func._schema.arguments) if a.alias_info is not None and a.alias_info.is_write]
    return written == [0]


def _pure(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The same operator out of place."""
    name = func.overloadpacket.__name__
    if name == "copy_":
        return args[1].to(args[0].dtype).expand(args[0].shape).clone()  # type: ignore[no-any-return]
    packet = getattr(aten, name.removesuffix("_"), None) if func.namespace == "aten" else None
    wanted = [a.name for a in func._schema.arguments]
    names = [] if packet is None else sorted(packet.overloads(), key=lambda n: n != func._overloadname)
    for overload in map(partial(getattr, packet), names):
        if [a.name for a in overload._schema.arguments] == wanted and not overload._schema.is_mutable:
            result: Tensor = overload(*args, **kwargs)
            return result
    raise NotFollowedError(f"operator {name}, which writes in place and has no other form")


# Operators of a batch norm with stored statistics, and where their `training` flag stands.
BATCH_NORMS = {"native_batch_norm": 5, "cudnn_batch_norm": 5, "_native_batch_norm_legit_no_training": None}


def _normalises(func: Any, args: tuple[Any, ...]) -> bool:
    """A batch norm that shifts and scales only; torch finds its shapes by 10 operators (60 % of a recording's time)."""
    name = func.overloadpacket.__name__
    if name not in BATCH_NORMS:
        return False
    flag = BATCH_NORMS[name]
    return flag is None or (len(args) > flag and args[flag] is False)


def _batch_norm_shapes(mode: FakeTensorMode, func: Any, x: Tensor) -> tuple[Tensor, ...]:
    """The output like the input; saved statistics are empty where nothing is trained."""
    normal = fake(mode, x.shape, x.stride(), x.dtype, x.device)
    return (normal, *(fake(mode, (0,), (1,), x.dtype, x.device) for _ in func._schema.returns[1:]))


def _zeros_like(fake: FakeTensor) -> Tensor:
    return torch.zeros(fake.shape, dtype=fake.dtype, device=fake.fake_device)


def _parts_of(func: Any) -> Callable[..., Any] | None:
    """The operator as others, as torch writes it or as we do; None where it is one of its own.

    What torch writes as others comes whole all the same where our own calls come from below autograd.
    """
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), COMPOSITE):
        return func.decompose  # type: ignore[no-any-return]
    return REWRITTEN.get(func.overloadpacket.__name__)


def _has_constant_shape(func: Any, marked: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    """Whether elements are taken at places, of which there are as many whatever the input: no mask depends on it."""
    if func.overloadpacket.__name__ not in ("index", "_unsafe_index"):
        return False
    return not any(isinstance(m, Ref) and v.dtype in MASKS for m, v in zip(marked[1], now[1], strict=True))


def reads_values(func: Any) -> bool:
    """Whether an operator's answer depends on the numbers in a tensor: a Python number, or a shape."""
    return torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags


def record(network: Network, batch: int, until: str | None = None, constant: Constant = execute) -> Tape:
    """Run `network` once on a batch of inputs and record what depends on them.

    Only shapes are computed of what depends on the input (fake tensors), so that recording costs neither the arithmetic
    nor the memory of a run; everything else is real. The run ends at the tensor named `until`: what comes behind it may
    not take this batch size. `constant` runs the operators on constants.
    A run that real numbers go through and shapes do not (a part in numpy) ends there: `stopped` says why.
    Raises ProblemError("shape-mismatch") where the network does not run at this shape, with torch's own reason.
    """
    shape = (batch, *network.input_shape)
    order = tuple(range(len(shape)))
    tape = Tape([Value(shape, network.dtype, order, None, True, network.input_name, "Input")])
    tape.names[network.input_name] = 0
    recorder, failure = Recorder(tape, until, constant), None
    with ExitStack() as stack:
        stack.enter_context(uncompiled(Recorder, FakeTensorMode))
        strides = torch.empty(shape, device="meta").stride()
        recorder.begin(x := fake(recorder.shapes, shape, strides, network.dtype, network.device))
        for context in (torch.enable_grad(), opened(), _quiet(), functions_seen(recorder.custom), recorder):
            stack.enter_context(context)
        try:
            tape.outputs = recorder.values_in(network.run(x, recorder.name))
        except NotFollowedError as stop:
            tape.stopped = str(stop)
        except _ReachedError:
            pass
        except ProblemError as error:
            failure = error
    if failure is not None:
        _run_for_real(network, shape, failure)
        words = str(failure.__cause__ or failure).strip().split("\n", 1)[0]
        tape.stopped = f"a step that needs real numbers, not shapes alone ({words.rstrip('.')})"
    return tape


def _run_for_real(network: Network, shape: tuple[int, ...], failure: ProblemError) -> None:
    """Raise `failure` unless the network runs on numbers of this shape."""
    with suppress(ProblemError), torch.no_grad():
        network.run(torch.zeros(shape, dtype=network.dtype, device=network.device), lambda *_: None)
        return
    raise failure


@contextmanager
def _quiet() -> Iterator[None]:
    """A shape that does not fit is told by its error; torch would print the trace of it as well."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def opened() -> Iterator[None]:
    """Attention layers as their parts, and checkpointed blocks as what they compute.

    The fused attention of inference has no gradient and hides what depends on what; a block that is checkpointed in the
    old, reentrant way cannot be asked for the gradient of its input alone.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    apply = CheckpointFunction.apply
    CheckpointFunction.apply = staticmethod(lambda run, keeps_random, *args: run(*args))
    try:
        yield
    finally:
        CheckpointFunction.apply = apply
        torch.backends.mha.set_fastpath_enabled(fast)
