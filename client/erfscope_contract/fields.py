"""The names of a model's fields at a place inside of it, for what to write instead of an unknown one."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

CONTAINERS = (list, tuple, set, frozenset)
MOST_LISTED = 12
MOST_MEANT = 3
DEPTH = 2  # how far in a field of that name is looked for


def advised(unknown: str, model: type[BaseModel], location: Sequence[str | int]) -> str:
    """What to write instead of an unknown field: the place of that name, the name nearest to it, or all there are.

    `location` is pydantic's: names of fields, positions in arrays, and tags of unions; the unknown field is left out.
    A field further in, or elsewhere in the model, is told by its whole path, such as average.inputs.
    """
    known = sorted(names_at(model, location))
    inner = list(_paths(_at(model, location), tuple(map(str, location))))
    near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.6)
    if meant := _named(unknown, inner) or near or _named(unknown, _paths([model])):
        return f"; did you mean {' or '.join(meant[:MOST_MEANT])}?"
    further = {path[-1]: path for path in inner}
    if near := difflib.get_close_matches(unknown, sorted(further), n=1, cutoff=0.8):
        return f"; did you mean {'.'.join(further[near[0]])}?"
    return f"; there are: {', '.join(known)}" if 0 < len(known) <= MOST_LISTED else ""


def names_at(model: type[BaseModel], location: Sequence[str | int]) -> set[str]:
    """The fields of every model that may be at a place."""
    shapes = _models(_at(model, location))
    return {_written(name, field) for shape in shapes for name, field in shape.model_fields.items()}


def _at(model: type[BaseModel], location: Sequence[str | int]) -> list[Any]:
    """What may be at a place."""
    here: list[Any] = [model]
    for part in location:
        here = list(_inside(here, part))
    return here


def _named(name: str, paths: Iterable[tuple[str, ...]]) -> list[str]:
    """The paths that end so, each once, written with points."""
    return list(dict.fromkeys(".".join(path) for path in paths if path[-1] == name))


def _paths(shapes: Iterable[Any], before: tuple[str, ...] = (), depth: int = DEPTH) -> Iterator[tuple[str, ...]]:
    """The fields of objects inside of these shapes, by their paths; arrays are not looked into."""
    for shape in _models(shapes):
        for name, field in shape.model_fields.items():
            path = (*before, _written(name, field))
            if depth < DEPTH:
                yield path
            if depth > 1:
                yield from _paths([field.annotation], path, depth - 1)


def _inside(shapes: Iterable[Any], part: str | int) -> Iterator[Any]:
    """What may be one step further in; a part that is no field is the tag of a union's branch."""
    branches = list(_branches(shapes))
    if isinstance(part, int):
        yield from (inner for shape in branches if get_origin(shape) in CONTAINERS for inner in get_args(shape))
        return
    fields = [field.annotation for one in _models(branches) for name, field in one.model_fields.items() if name == part]
    yield from fields or [one for one in _models(branches) if _has_tag(one, part)] or branches


def _branches(shapes: Iterable[Any]) -> Iterator[Any]:
    """Without aliases, annotations and unions: only what they are of."""
    for shape in shapes:
        if get_origin(shape) in (Union, UnionType):
            yield from _branches(get_args(shape))
        elif hasattr(shape, "__metadata__"):
            yield from _branches([shape.__origin__])
        else:
            yield shape


def _models(shapes: Iterable[Any]) -> Iterator[type[BaseModel]]:
    yield from (one for one in _branches(shapes) if isinstance(one, type) and issubclass(one, BaseModel))


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    """Whether a model is the branch that pydantic calls so: by its name, or by one of its words."""
    words = (field.annotation for field in model.model_fields.values())
    return model.__name__ == tag or any(
        get_origin(word) is Literal and tag in map(str, get_args(word)) for word in words
    )


def _written(name: str, field: Any) -> str:
    return field.alias or name
