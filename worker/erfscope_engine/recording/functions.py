"""Custom autograd.Functions: their forward is seen whole, since the gradient is what they themselves say.

`apply` is compiled, and is often kept before the recording (`swish = Swish.apply`). But it looks its class's parts up
each time: `_backward_cls` first, with gradients as the caller has them, then `forward`, with gradients off.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import is_grad_enabled
from torch.autograd.function import FunctionMeta, _SingleLevelFunction

Run = Callable[[tuple[Any, ...]], Any]  # a forward, given what is not its context
Seen = Callable[[Any, Run, tuple[Any, ...], bool], Any]  # class, its forward, arguments, whether gradients are off


@contextmanager
def functions_seen(seen: Seen) -> Iterator[None]:
    """While open, every forward that some `SomeFunction.apply(...)` of this thread starts goes through `seen`."""
    thread, entered = threading.get_ident(), dict[type, bool]()

    def look_up(cls: type, name: str) -> Any:
        found = type.__getattribute__(cls, name)
        if name == "_backward_cls" and threading.get_ident() == thread:
            entered[cls] = not is_grad_enabled()
        if name != "forward" or threading.get_ident() != thread or cls not in entered:
            return found
        stops = entered.pop(cls)
        return lambda *args: _started(seen, cls, found, args, stops)

    FunctionMeta.__getattribute__ = look_up  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        del FunctionMeta.__getattribute__


def _started(seen: Seen, cls: Any, forward: Callable[..., Any], args: tuple[Any, ...], stops: bool) -> Any:
    own = 0 if cls.setup_context is not _SingleLevelFunction.setup_context else 1  # the context comes first, or apart
    return seen(cls, lambda rest: forward(*args[:own], *rest), args[own:], stops)
