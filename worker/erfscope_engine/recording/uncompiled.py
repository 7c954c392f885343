"""Recording without torch's compiler: nothing here is compiled, and importing it takes as long as torch itself.

torch marks every dispatch mode as something that its compiler shall leave alone, and imports the compiler to do so, as
do fake tensors to read three of its settings. Where a process has not imported it, the marks are the functions
themselves and the settings are the compiler's defaults, as long as a recording runs. A network that asks for anything
else of the compiler gets the real one.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

COMPILER, SETTINGS = "torch._dynamo", "torch._dynamo.config"
MARK = "__dynamo_disable"  # where torch keeps the function that its compiler leaves alone


class _StandIn(ModuleType):
    """A module that has not been imported: what it lacks is taken from the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def _compiler() -> ModuleType:
    """The compiler with the settings that fake tensors read, at their defaults."""
    package, settings = _StandIn(COMPILER), _StandIn(SETTINGS)
    package.__path__ = []
    settings.fake_tensor_cache_enabled = True  # type: ignore[attr-defined]
    settings.fake_tensor_cache_crosscheck_enabled = False  # type: ignore[attr-defined]
    settings._custom_ops_profile = None  # type: ignore[attr-defined]
    package.config = settings  # type: ignore[attr-defined]
    return package


def fake_tensors() -> FakeTensorMode:
    """The mode of fake tensors that takes constants as they are."""
    if COMPILER in sys.modules:
        return FakeTensorMode(allow_non_fake_inputs=True)
    package = _compiler()
    sys.modules |= {COMPILER: package, SETTINGS: package.config}
    torch._dynamo = package
    try:
        return FakeTensorMode(allow_non_fake_inputs=True)
    finally:
        del sys.modules[COMPILER], sys.modules[SETTINGS], torch._dynamo


@contextmanager
def uncompiled(*modes: type[TorchDispatchMode]) -> Iterator[None]:
    """Modes that run as they are; where the compiler is there already, as it wants them."""
    if COMPILER in sys.modules:
        yield
        return
    marked = [raw for mode in modes if (raw := _unmarked(mode)) is not None]
    for raw in marked:
        setattr(raw, MARK, raw)
    torch._dynamo = package = _compiler()
    try:
        yield
    finally:
        for raw in marked:
            delattr(raw, MARK)
        if vars(torch).get("_dynamo") is package:  # a network that imports the compiler has put the real one there
            del torch._dynamo


def _unmarked(mode: type[TorchDispatchMode]) -> Any:
    """The function that torch wrapped to be left alone; None where it is not wrapped, or marked already."""
    raw = getattr(mode.__torch_dispatch__, "__wrapped__", None)
    return None if raw is None or hasattr(raw, MARK) else raw
