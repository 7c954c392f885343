"""A module before and after a measurement: parameters, buffers, modes, hooks, attributes, and whether it still runs."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from tests.engine.oracle import sample
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
MOST_DEEP = 4


class evaluating(AbstractContextManager[None]):  # noqa: N801  (named as torch names its context managers)
    """A module in evaluation mode for a while; each part of it is back in its own mode afterwards."""

    def __init__(self, module: nn.Module) -> None:
        self.modes = {part: part.training for part in module.modules()}
        self.module = module

    def __enter__(self) -> None:
        self.module.eval()

    def __exit__(self, *exception: object) -> None:
        for part, mode in self.modes.items():
            part.training = mode


def snapshot(module: nn.Module) -> dict[str, Any]:
    """Everything that a measurement could change, by name."""
    state: dict[str, Any] = {}
    for name, part in module.named_modules():
        state[f"{name}.training"] = part.training
        for hooks in HOOKS:
            state[f"{name}.{hooks}"] = tuple(map(id, getattr(part, hooks, {}).values()))
        for key, value in _attributes(part).items():
            state[f"{name}.{key}"] = _described(value)
    return state


def _attributes(part: nn.Module) -> dict[str, Any]:
    """Parameters, buffers and all that somebody put on a module."""
    plain = {key: value for key, value in vars(part).items() if not key.startswith("_") and key != "training"}
    return {**dict(part.named_parameters(recurse=False)), **dict(part.named_buffers(recurse=False)), **plain}


def _described(value: Any, depth: int = 0) -> Any:
    """Something that is equal if and only if the value is the same, to the byte."""
    if isinstance(value, FakeTensor):
        return "a fake tensor, which holds no numbers"
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, Mapping) and depth < MOST_DEEP:
        return {repr(key): _described(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and depth < MOST_DEEP:
        return [_described(item, depth + 1) for item in value]
    return value if isinstance(value, int | float | str | bool | None) else id(value)


def _tensor(value: Tensor) -> tuple[Any, ...]:
    numbers = value.detach().clone(memory_format=torch.contiguous_format).flatten().view(torch.uint8)
    gathered = value.is_leaf and value.grad is not None
    return id(value), type(value), value.dtype, value.stride(), value.requires_grad, gathered, numbers.numpy().tobytes()


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of what differs, is new, or has gone."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def output_of(module: nn.Module, shape: Sequence[int]) -> list[bytes]:
    """What a module gives for one input in evaluation mode, to the byte, tensor by tensor."""
    with evaluating(module), torch.no_grad():
        return [value.contiguous().numpy().tobytes() for value in _tensors(module(sample(shape, 0)[None]))]


def _tensors(value: Any) -> list[Tensor]:
    """All tensors of an output."""
    if isinstance(value, Tensor):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value
    return [tensor for item in items for tensor in _tensors(item)]
