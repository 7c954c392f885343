"""Which recorded tensors share memory: a write into one is a new value of all of them.

Every tensor has a root (the tensor that its memory was made for) and the chain of views that leads from the root to it.
A write makes a new tensor of the part that is written, puts it back through the chain (the inverse of each view), and
so gives the root a new value. Other views of that root find theirs anew when they are read next.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten
Put = Callable[[Tensor, Tensor, "View"], Tensor]  # parent, new part, the view → new parent
Unseen = Callable[[Tensor, Tensor], Tensor]  # before, after → the numbers of after with the gradient of before


class NotFollowedError(Exception):
    """Something in the network's run that a recording cannot follow: autograd has to run the whole network."""


@dataclass(frozen=True)
class View:
    """One view operator with its arguments; `output` of those that give several."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: int | None = None

    @property
    def name(self) -> str:
        """The operator's ATen name."""
        return str(self.func.overloadpacket.__name__)

    def arg(self, name: str) -> Any:
        """An argument by its schema name (the first one, the tensor, is not among `args`)."""
        for position, parameter in enumerate(self.func._schema.arguments):
            if parameter.name == name:
                inside = 0 < position <= len(self.args)
                return self.args[position - 1] if inside else self.kwargs.get(name, parameter.default_value)
        raise KeyError(name)

    def of(self, tensor: Tensor) -> Tensor:
        """The view of another tensor."""
        out = self.func(tensor, *self.args, **self.kwargs)
        result: Tensor = out if self.output is None else out[self.output]
        return result


@dataclass
class Root:
    """The present value of a piece of memory."""

    now: Tensor
    version: int = 0


@dataclass
class Alias:
    """How a tensor looks at its root, and what it was when it last looked."""

    root: Root
    chain: tuple[View, ...] = ()
    version: int = 0
    now: Tensor | None = None


@dataclass
class Memory:
    """The aliases of all tensors of one recording."""

    aliases: Any = field(default_factory=WeakTensorKeyDictionary)

    def alias(self, tensor: Tensor) -> Alias:
        """How a tensor looks at its root; a tensor that was never seen is a root of its own."""
        known: Alias | None = self.aliases.get(tensor)
        if known is None:
            known = self.aliases[tensor] = Alias(Root(tensor))
        return known

    def note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """Remember that the output of a view operator looks at its first argument."""
        parent = self.alias(args[0])
        several = isinstance(out, tuple | list)
        for k, item in enumerate(out if several else [out]):
            if isinstance(item, Tensor) and item is not args[0]:
                view = View(func, tuple(args[1:]), dict(kwargs), k if several else None)
                self.aliases[item] = Alias(parent.root, (*parent.chain, view), parent.root.version)

    def current(self, tensor: Tensor) -> Tensor:
        """The tensor that has `tensor`'s present value: itself, unless its memory was written since."""
        alias: Alias | None = self.aliases.get(tensor)
        if alias is None:
            return tensor
        if alias.version != alias.root.version:
            alias.now, alias.version = self._seen(alias.root.now, alias.chain), alias.root.version
        return tensor if alias.now is None else alias.now

    def write(self, tensor: Tensor, value: Tensor, unseen: Unseen) -> None:
        """Give `tensor`, and all that shares its memory, new values.

        What is written without gradients, or through `detach`, changes numbers behind autograd's back: `unseen`.
        """
        alias = self.alias(tensor)
        part, detached = value, any(view.name == "detach" for view in alias.chain)
        for depth in range(len(alias.chain) - 1, -1, -1):
            parent, view = self._seen(alias.root.now, alias.chain[:depth]), alias.chain[depth]
            put = PUTS.get(view.name)
            if put is None:
                raise NotFollowedError(f"a write through {view.name}")
            part = put(parent, part, view)
        hidden = detached or not torch.is_grad_enabled()
        alias.root.now = unseen(alias.root.now, part) if hidden else part
        alias.root.version += 1
        if detached or not hidden:
            alias.now, alias.version = value, alias.root.version

    def replace(self, tensor: Tensor, value: Tensor) -> None:
        """`tensor` is another view of the same memory from now on (transpose_ and its like)."""
        alias = self.alias(value)
        self.aliases[tensor] = Alias(alias.root, alias.chain, alias.version, value)

    @staticmethod
    def _seen(root: Tensor, chain: tuple[View, ...]) -> Tensor:
        for view in chain:
            root = view.of(root)
        return root


def _whole(parent: Tensor, part: Tensor, view: View) -> Tensor:
    return part.reshape(parent.shape)


def _unpermuted(parent: Tensor, part: Tensor, view: View) -> Tensor:
    dims = [d % parent.dim() for d in view.arg("dims")]
    return part.permute([dims.index(k) for k in range(len(dims))])


def _transposed(parent: Tensor, part: Tensor, view: View) -> Tensor:
    return part.transpose(view.arg("dim0"), view.arg("dim1")) if view.name == "transpose" else part.t()


def _same(parent: Tensor, part: Tensor, view: View) -> Tensor:
    return part


def _selected(parent: Tensor, part: Tensor, view: View) -> Tensor:
    dim = view.arg("dim") % parent.dim()
    index = view.arg("index") if view.name == "select" else view.output
    start = index % parent.shape[dim]
    return _between(parent, part.unsqueeze(dim), dim, start, start + 1)


def _sliced(parent: Tensor, part: Tensor, view: View) -> Tensor:
    dim = view.arg("dim") % parent.dim()
    start, stop, step = slice(view.arg("start"), view.arg("end"), view.arg("step")).indices(parent.shape[dim])
    if step == 1:
        return _between(parent, part, dim, start, max(stop, start))
    result: Tensor = aten.slice_scatter.default(parent, part, dim, start, stop, step)
    return result


def _split(parent: Tensor, part: Tensor, view: View) -> Tensor:
    dim = view.arg("dim") % parent.dim()
    parts = view.func(parent, *view.args, **view.kwargs)
    start = sum(p.shape[dim] for p in parts[: view.output])
    return _between(parent, part, dim, start, start + part.shape[dim])


def _between(parent: Tensor, part: Tensor, dim: int, start: int, stop: int) -> Tensor:
    """The parent with [start, stop) of one axis replaced, as a join of what stays and what is new."""
    before, after = parent.narrow(dim, 0, start), parent.narrow(dim, stop, parent.shape[dim] - stop)
    parts = [piece for piece in (before, part, after) if piece.shape[dim]]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _diagonal(parent: Tensor, part: Tensor, view: View) -> Tensor:
    result: Tensor = aten.diagonal_scatter.default(parent, part, view.arg("offset"), view.arg("dim1"), view.arg("dim2"))
    return result


def _strided(parent: Tensor, part: Tensor, view: View) -> Tensor:
    result: Tensor = aten.as_strided_scatter.default(
        parent, part, view.arg("size"), view.arg("stride"), view.arg("storage_offset")
    )
    return result


def _as_real(parent: Tensor, part: Tensor, view: View) -> Tensor:
    return torch.view_as_complex(part.contiguous())


# How a new part is put back where a view took it from. A write through a view that is not here is not followed.
PUTS: dict[str, Put] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze"), _whole),
    **dict.fromkeys(("transpose", "t"), _transposed),
    **dict.fromkeys(("detach", "alias", "lift_fresh"), _same),
    **dict.fromkeys(("select", "unbind"), _selected),
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "permute": _unpermuted,
    "slice": _sliced,
    "diagonal": _diagonal,
    "as_strided": _strided,
    "view_as_real": _as_real,
}
