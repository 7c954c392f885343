"""An architecture spec as JSON that can be changed: where each layer stands, its name, what is put behind it."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Spot:
    """A layer in the spec's JSON: keys to its list, its index there, its path for people."""

    keys: Keys
    index: int
    path: str
    layer: Json

    def list_in(self, tree: Json) -> list[Json]:
        """The list that holds the layer, in a copy of the spec."""
        return list_at(tree, self.keys)

    @property
    def place(self) -> str:
        """How a written-out spec calls it: layers[3].layers[1]."""
        words = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys)
        return f"{words.removeprefix('.')}[{self.index}]"


def list_at(tree: Json, keys: Keys) -> list[Json]:
    """The list of layers that these keys lead to."""
    node: Any = tree
    for key in keys:
        node = node[key]
    layers: list[Json] = node
    return layers


def spots(tree: Json) -> list[Spot]:
    """Every layer of a spec, blocks before what is inside them."""
    return list(_spots(tree["layers"], ("layers",), ""))


def paths_at(tree: Json, keys: Keys) -> list[str]:
    """The paths for people of the layers in one list."""
    return [spot.path for spot in spots(tree) if spot.keys == keys]


def _spots(layers: list[Json], keys: Keys, path: str) -> Iterator[Spot]:
    for index, layer in enumerate(layers):
        here = f"{path}{segment(layer, index)}"
        yield Spot(keys, index, here, layer)
        passes = ".*." if layer["type"] in ("repeat", "dense") else "."
        inside = (*keys, index)
        for name in ("layers", "shortcut"):
            if layer.get(name):
                yield from _spots(layer[name], (*inside, name), here + passes)
        for n, branch in enumerate(layer.get("branches", [])):
            yield from _spots(branch, (*inside, "branches", n), f"{here}.{n}.")


def segment(layer: Json, index: int) -> str:
    """The last part of a layer's name."""
    return str(layer.get("name") or f"{layer['type']}_{index}")


def with_layers(tree: Json, keys: Keys, index: int, added: Sequence[Json]) -> Json:
    """A copy with layers put before position `index` of a list; the layers behind keep the names they had."""
    changed = deepcopy(tree)
    layers = list_at(changed, keys)
    for position in range(index, len(layers)):
        layers[position].setdefault("name", segment(layers[position], position))
    layers[index:index] = deepcopy(list(added))
    return changed


def widest(kernel: Any) -> int:
    """The largest extent of a kernel that is given by one number or one per axis."""
    return max(kernel) if isinstance(kernel, list) else int(kernel)
