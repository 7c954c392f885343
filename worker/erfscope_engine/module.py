"""Any torch.nn.Module as a Network: names come from its submodules; the module itself is never touched."""

import copy
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._mode_utils import no_dispatch

from erfscope_contract.problem import ProblemError
from erfscope_engine.network import Mark, Network, tensors_in
from erfscope_engine.samples import other_input

Shape = tuple[int, ...]
Shapes = Shape | Mapping[str, Shape]
COMPLEX = {torch.float64: torch.complex128, torch.float16: torch.complex32}
HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def network_of(
    module: nn.Module,
    input_shape: Shapes,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    input_name: str | None = None,
) -> Network:
    """`module` in evaluation mode for inputs of `input_shape` (without the batch), its parameters frozen.

    With several inputs, `input_shape` has one shape by the name of each argument of `forward`; `input_name` is the one
    to measure (the first), the others are drawn normal, the same for every sample. Every run is on a copy: caches,
    hooks and counters of the module stay as they are. Raises ProblemError("shape-mismatch") where it does not run.
    """
    shapes = dict(input_shape) if isinstance(input_shape, Mapping) else {"input": tuple(input_shape)}
    name = input_name or next(iter(shapes))
    if name not in shapes:
        raise ProblemError(
            "invalid-target", f"There is no input {name!r}; the inputs are {', '.join(map(repr, shapes))}."
        )
    place = torch.device(device)
    frozen = _converted(_copied(module), dtype, place)
    others = {n: other_input(tuple(s), k).to(place, dtype) for k, (n, s) in enumerate(shapes.items()) if n != name}
    named = isinstance(input_shape, Mapping)

    def run(x: Tensor, mark: Mark) -> object:
        with no_dispatch():  # a recording need not see how buffers are copied: half of its time
            fresh = _copied(frozen, shared=True)
        others_now = {n: value.expand(len(x), *value.shape) for n, value in others.items()}
        with _marked(fresh, mark):
            try:
                result = fresh(**{name: x}, **others_now) if named else fresh(x)
                for key, item in tensors_in(result):
                    mark(f"output.{key}" if key else "output", type(module).__name__, item)
                return result
            except (
                RuntimeError,
                ValueError,
                LookupError,
                TypeError,
                AttributeError,
                AssertionError,
                ArithmeticError,
            ) as error:
                words = str(error).strip().split("\n", 1)[0] or type(error).__name__
                shape = list(shapes[name])
                batch = f"; leave out the batch: {shape[1:]}" if len(shape) > 2 and shape[0] == 1 else ""
                raise ProblemError(
                    "shape-mismatch", f"The module does not take an input of {shape}{batch} ({words})"
                ) from error

    return Network(
        name=type(module).__name__,
        run=run,
        input_name=name,
        input_shape=tuple(shapes[name]),
        dtype=dtype,
        device=place,
        at=lambda other: network_of(module, input_shape, dtype=other, device=place, input_name=input_name),
    )


def _converted(module: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Real numbers in another type, complex ones in the complex type of it."""

    def convert(tensor: Tensor) -> Tensor:
        wanted = COMPLEX.get(dtype, torch.complex64) if tensor.is_complex() else dtype
        return tensor.to(device, wanted if tensor.is_complex() or tensor.is_floating_point() else None)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The .grad attribute")
        module._apply(convert)  # type: ignore[no-untyped-call]
    for parameter in module.parameters():  # requires_grad_ of the module itself refuses TorchScript
        parameter.requires_grad_(False)
    return module.eval()


def _copied(module: nn.Module, *, shared: bool = False) -> nn.Module:
    """A copy that shares nothing that a run may change: parameters are shared where `shared`, buffers never."""
    memo: dict[int, Any] = {id(p): p for p in module.parameters()} if shared else {}
    # TorchScript copies its tensors by operators that autograd would see
    with torch.no_grad(), _detached_copies(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The .grad attribute")  # scripted modules look at what has none
        fresh: nn.Module = copy.deepcopy(module, memo)
    for child in fresh.modules():
        for hooks in HOOKS:
            table = getattr(child, hooks, None) or {}
            for key, hook in list(table.items()):
                table[key] = _isolated(hook, memo)
    return fresh


@contextmanager
def _detached_copies() -> Iterator[None]:
    """Tensors that autograd made (old weight_norm's) are copied without their history; torch refuses it otherwise."""
    original = Tensor.__deepcopy__

    def plain(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
        if tensor.is_leaf:
            return original(tensor, memo)  # type: ignore[no-any-return,no-untyped-call]
        memo[id(tensor)] = result = tensor.detach().clone()
        return result

    Tensor.__deepcopy__ = plain  # type: ignore[method-assign]
    try:
        yield
    finally:
        Tensor.__deepcopy__ = original  # type: ignore[method-assign]


def _isolated(hook: Callable[..., Any], memo: dict[int, Any]) -> Callable[..., Any]:
    """A hook whose closure and containers are copies: what it gathers stays with the copy of the module."""
    if not isinstance(hook, types.FunctionType):
        return hook  # an object was copied with the module
    cells = tuple(types.CellType(_copy_of(cell.cell_contents, memo)) for cell in hook.__closure__ or ())
    names = {n: hook.__globals__[n] for n in hook.__code__.co_names if n in hook.__globals__}
    containers = {n: copy.copy(v) for n, v in names.items() if isinstance(v, list | dict | set)}
    everything = {**hook.__globals__, **containers}
    return types.FunctionType(hook.__code__, everything, hook.__name__, hook.__defaults__, cells or None)


def _copy_of(item: Any, memo: dict[int, Any]) -> Any:
    try:
        return copy.deepcopy(item, memo)
    except Exception:  # what cannot be copied (a lock, a generator) is not what a hook gathers in
        return item


@contextmanager
def _marked(module: nn.Module, mark: Mark) -> Iterator[None]:
    calls: Counter[str] = Counter()
    with ExitStack() as stack:
        for name, child in module.named_modules():
            if name and not isinstance(child, torch.jit.ScriptModule):  # a scripted one takes no hooks
                handle = child.register_forward_hook(partial(_name_output, mark, calls, name))
                stack.callback(handle.remove)
        yield


def _name_output(mark: Mark, calls: Counter[str], name: str, module: nn.Module, args: object, out: object) -> None:
    """A module that is called again marks its later outputs as name:2, name:3 …"""
    calls[name] += 1
    label = name if calls[name] == 1 else f"{name}:{calls[name]}"
    for key, item in tensors_in(out):
        mark(f"{label}.{key}" if key else label, type(module).__name__, item)
