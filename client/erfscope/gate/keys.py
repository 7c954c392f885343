"""Fields of a request as the configuration writes them: `unit`, `average.inputs`, `input_shape[0]`. Pure."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from erfscope._request import SHORT
from erfscope_contract.request import ErfRequest


def toml_key(pointer: str, fields: Container[str]) -> str:
    """What is at a JSON pointer of the request, by the key of `fields` that sets it: a short name, or a section."""
    path = tuple(pointer.strip("/").split("/"))
    short = next((one for one, place in SHORT.items() if one in fields and place[: len(path)] == path[:2]), None)
    if short is None or (path[0] in fields and len(path) == 1):
        top, rest = path[0], path[1:]
    else:
        top, rest = short, path[2:]
    return top + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in rest)


def quoted(fields: Mapping[str, Any], request: ErfRequest) -> Iterator[tuple[str, str]]:
    """Numbers that are written as text, which the request was lenient about: their keys, and the text."""
    read = request.model_dump(mode="json")
    for key, value in fields.items():
        section, name = SHORT.get(key, ("", ""))
        yield from _quoted(key, value, read[section][name] if section else read.get(key))


def _quoted(key: str, written: Any, read: Any) -> Iterator[tuple[str, str]]:
    if isinstance(written, str) and isinstance(read, int | float):
        yield key, written
    elif isinstance(written, Mapping) and isinstance(read, Mapping):
        for name, value in written.items():
            yield from _quoted(f"{key}.{name}", value, read.get(name))
    elif isinstance(written, Mapping):  # an input_shape by name
        for name, value in written.items():
            yield from _quoted(f"{key}.{name}", value, read)
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for place, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from _quoted(f"{key}[{place}]", one, other)
