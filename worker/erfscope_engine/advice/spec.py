"""Candidate changes of an architecture spec, as families of growing size: dilation, kernel, stride, depth."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from erfscope_contract.advice import ChangeKind, Edit
from erfscope_contract.architecture import Architecture, infer
from erfscope_contract.problem import ProblemError

Json = dict[str, Any]
T = TypeVar("T")
FACTORS = (2, 3, 4, 6, 8, 12, 16, 24, 32)  # of a dilation
WIDER = (2, 4, 6, 8, 12, 16, 24)  # added to a kernel size
STRIDES = (2, 4)
DEEPER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # passes added
DOUBLINGS = 5  # dilations 2 … 64 at most
SINGLES = 5  # layers that are tried alone
BEHIND = ("batch_norm", "relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid", "hardswish", "elu", "prelu")


@dataclass(frozen=True)
class Candidate:
    """A changed spec and what was changed."""

    kind: ChangeKind
    edits: tuple[Edit, ...]
    architecture: Architecture


@dataclass(frozen=True)
class Family:
    """Changes of one kind at one place, smallest first; `make(n)` is the n-th, None where it is not valid."""

    kind: ChangeKind
    size: int
    make: Callable[[int], Candidate | None]


@dataclass(frozen=True)
class Spot:
    """A layer in the spec's JSON: keys to its list, its index there, its path for people."""

    keys: tuple[str | int, ...]
    index: int
    path: str
    layer: Json

    def list_in(self, tree: Json) -> list[Json]:
        """The list that holds the layer, in a copy of the spec."""
        node: Any = tree
        for key in self.keys:
            node = node[key]
        found: list[Json] = node
        return found


def families(architecture: Architecture, shape: Sequence[int] | None, *, in_place: bool) -> list[Family]:
    """All families of changes of a spec that is measured at `shape`; `in_place` for those that keep layers' names."""
    tree = architecture.model_dump(mode="json", exclude_unset=True)
    spots = list(_spots(tree["layers"], ("layers",), ""))
    convs = [spot for spot in spots if spot.layer["type"] == "conv" and _widest(spot.layer["kernel_size"]) > 1]
    make = _Maker(tree, shape)
    alone = [[spot] for spot in spread(convs, SINGLES)]
    suffixes = [convs[-n:] for n in _powers(len(convs))]
    found = [make.family("dilation", group, FACTORS, _dilated) for group in [*alone, *suffixes]]
    found += [make.doubling(convs)] if len(convs) > 1 else []
    every = [convs] if len(convs) > 1 else []
    found += [make.family("kernel_size", group, WIDER, _wider) for group in [*alone[: SINGLES // 2], *every]]
    found += [make.family("stride", [spot], STRIDES, _strided) for spot in spread(convs, SINGLES // 2)]
    blocks = [spot for spot in spots if _can_repeat(spot) and not (in_place and spot.layer["type"] != "repeat")]
    found += [make.deeper(spot) for spot in spread(blocks, SINGLES)]
    return found


def _powers(count: int) -> list[int]:
    """2, 4, 8 … below `count`, and `count`."""
    found = [n for n in (2, 4, 8, 16, 32, 64) if n < count]
    return [*found, count] if count > 1 else []


def spread(items: list[T], most: int) -> list[T]:
    """At most so many, evenly spread."""
    if len(items) <= most:
        return items
    return [items[i * (len(items) - 1) // (most - 1)] for i in range(most)]


def _spots(layers: list[Json], keys: tuple[str | int, ...], path: str) -> Iterator[Spot]:
    for index, layer in enumerate(layers):
        here = f"{path}{layer.get('name') or '{}_{}'.format(layer['type'], index)}"
        yield Spot(keys, index, here, layer)
        passes = ".*." if layer["type"] in ("repeat", "dense") else "."
        inside = (*keys, index)
        for name in ("layers", "shortcut"):
            if layer.get(name):
                yield from _spots(layer[name], (*inside, name), here + passes)
        for n, branch in enumerate(layer.get("branches", [])):
            yield from _spots(branch, (*inside, "branches", n), f"{here}.{n}.")


def _widest(kernel: Any) -> int:
    return max(kernel) if isinstance(kernel, list) else int(kernel)


def _can_repeat(spot: Spot) -> bool:
    """A repeat, an identity block, or a convolution that keeps the grid."""
    layer = spot.layer
    if layer["type"] == "residual":
        return layer.get("shortcut") is None
    unit = layer["type"] == "conv" and _widest(layer["kernel_size"]) > 1 and layer.get("stride", 1) in (1, [1, 1])
    return layer["type"] == "repeat" or unit


@dataclass(frozen=True)
class _Maker:
    tree: Json
    shape: Sequence[int] | None

    def family(
        self, kind: ChangeKind, spots: Sequence[Spot], levels: Sequence[int], alter: Callable[[Json, int], Json | None]
    ) -> Family:
        """The same change of some layers, level after level."""

        return Family(kind, len(levels), lambda n: self._altered(kind, [(spot, levels[n]) for spot in spots], alter))

    def _altered(
        self, kind: ChangeKind, spots: Sequence[tuple[Spot, int]], alter: Callable[[Json, int], Json | None]
    ) -> Candidate | None:
        tree, edits = deepcopy(self.tree), list[Edit]()
        for spot, level in spots:
            changed = alter(spot.layer, level)
            if changed is None:
                return None
            edits.append(_edit(spot, kind, spot.layer, changed))
            spot.list_in(tree)[spot.index] = changed
        return self._checked(kind, edits, tree)

    def doubling(self, spots: Sequence[Spot]) -> Family:
        """The last n layers get dilations 2, 4, 8 …, which leave no holes (Yu and Koltun, ICLR 2016)."""

        def make(n: int) -> Candidate | None:
            last = spots[-(n + 2) :]
            return self._altered("dilation", [(spot, 2 ** (k + 1)) for k, spot in enumerate(last)], _dilated)

        return Family("dilation", min(len(spots) - 1, DOUBLINGS), make)

    def deeper(self, spot: Spot) -> Family:
        """More passes of a repeat, or copies of a block behind it (with its normalisation and activation)."""

        def make(n: int) -> Candidate | None:
            tree = deepcopy(self.tree)
            where = spot.list_in(tree)
            layer = where[spot.index]
            times = layer["times"] if layer["type"] == "repeat" else 1
            if layer["type"] == "repeat":
                layer["times"] = times + DEEPER[n]
            else:
                last = spot.index + 1
                while layer["type"] == "conv" and last < len(where) and where[last]["type"] in BEHIND:
                    last += 1
                block = {"type": "repeat", "times": 1 + DEEPER[n], "layers": where[spot.index : last]}
                where[spot.index : last] = [block]
            edit = Edit(layer=spot.path, field="times", before=str(times), after=str(times + DEEPER[n]))
            return self._checked("depth", [edit], tree)

        return Family("depth", len(DEEPER), make)

    def _checked(self, kind: ChangeKind, edits: Sequence[Edit], tree: Json) -> Candidate | None:
        try:
            changed = Architecture.model_validate(tree)
            infer(changed, self.shape)
        except (ValidationError, ProblemError):
            return None  # the layers behind it do not take the new shape: this change is none
        return Candidate(kind, tuple(edits), changed)


def _edit(spot: Spot, field: str, before: Json, after: Json) -> Edit:
    return Edit(layer=spot.path, field=field, before=str(before.get(field, 1)), after=str(after[field]))


def _per_axis(layer: Json, field: str, default: int, rank: int) -> list[int]:
    value = layer.get(field, default)
    return list(value) if isinstance(value, list) else [value] * rank


def _plain(values: list[int]) -> int | list[int]:
    return values[0] if len(set(values)) == 1 else values


def _padded(layer: Json, before: tuple[list[int], list[int]], after: tuple[list[int], list[int]]) -> Json | None:
    """The layer with the padding that keeps its output's size, for other (kernel, dilation) per axis."""
    if layer.get("padding") == "same":
        return dict(layer)
    if layer.get("padding") == "valid":
        return None
    spans = ([d * (k - 1) for k, d in zip(*each, strict=True)] for each in (before, after))
    grown = [late - early for early, late in zip(*spans, strict=True)]
    if any(n % 2 for n in grown):
        return None
    pads = _per_axis(layer, "padding", 0, len(grown))
    return {**layer, "padding": _plain([p + n // 2 for p, n in zip(pads, grown, strict=True)])}


def _rank(layer: Json) -> int:
    """Axes that the layer's numbers are given for: 1 stands for as many as there are."""
    lengths = [
        len(v) for v in (layer.get(f) for f in ("kernel_size", "dilation", "padding", "stride")) if isinstance(v, list)
    ]
    return max(lengths, default=1)


def _numbers(layer: Json) -> tuple[list[int], list[int]]:
    rank = _rank(layer)
    return _per_axis(layer, "kernel_size", 1, rank), _per_axis(layer, "dilation", 1, rank)


def _dilated(layer: Json, factor: int) -> Json | None:
    kernel, dilation = _numbers(layer)
    wider = [d * factor if k > 1 else d for k, d in zip(kernel, dilation, strict=True)]
    found = _padded(layer, (kernel, dilation), (kernel, wider))
    return found and {**found, "dilation": _plain(wider)}


def _wider(layer: Json, more: int) -> Json | None:
    kernel, dilation = _numbers(layer)
    wider = [k + more if k > 1 else k for k in kernel]
    found = _padded(layer, (kernel, dilation), (wider, dilation))
    return found and {**found, "kernel_size": _plain(wider)}


def _strided(layer: Json, factor: int) -> Json | None:
    kernel, dilation = _numbers(layer)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    changed = dict(layer)
    if layer.get("padding") == "same":
        if any(n % 2 for n in reach):
            return None
        changed["padding"] = _plain([n // 2 for n in reach])
    return {**changed, "stride": _plain([s * factor for s in _per_axis(layer, "stride", 1, len(kernel))])}
