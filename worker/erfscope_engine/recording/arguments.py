"""The arguments of ATen operators: tensors and numbers in nested lists, tuples and dicts.

torch's own pytree knows every container there is, and took a quarter of a recording's time for these three.
"""

from collections.abc import Callable, Iterator
from typing import Any


def mapped(kind: type, change: Callable[[Any], Any], item: Any) -> Any:
    """`item` with every leaf of type `kind` changed; named tuples and shapes become plain tuples."""
    if isinstance(item, kind):
        return change(item)
    if isinstance(item, tuple):
        return tuple([mapped(kind, change, part) for part in item])
    if isinstance(item, list):
        return [mapped(kind, change, part) for part in item]
    if isinstance(item, dict):
        return {name: mapped(kind, change, part) for name, part in item.items()}
    return item


def leaves(item: Any) -> Iterator[Any]:
    """All that is not a container, in order of appearance."""
    if isinstance(item, tuple | list):
        for part in item:
            yield from leaves(part)
    elif isinstance(item, dict):
        for part in item.values():
            yield from leaves(part)
    else:
        yield item
