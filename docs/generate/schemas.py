"""reference/request.md, spec.md, result.md: the fields of everything that travels, from the OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from docs.generate.table import anchor, joined, prose, table
from erfscope_service.app import create_app
from erfscope_service.settings import ServiceSettings

Schema = Mapping[str, Any]
HEADS = {
    "spec.md": "# Architecture specs\n\nA network without a file: the layers in order, with torch.nn's own argument "
    "names. `type` chooses the layer. A layer with a `name` can be asked for by it. A layer takes the one "
    "before it, or those that its `inputs` name. The outputs of the network are the layers that no layer takes: the "
    "last one, and each head of a [detector of several levels](../howto/fit.md#a-detector-of-three-levels).",
    "request.md": "# Requests\n\nWhat `POST /erf`, `POST /series`, `POST /advice`, `POST /tiles` and `POST /fit` "
    "take. An unknown field is an error.",
    "result.md": "# Results and jobs\n\nWhat the service answers. Later versions may add fields; readers ignore those "
    "that they do not know.",
}
REQUESTS = ("ErfRequest", "SeriesRequest", "AdviceRequest", "TilesRequest", "FitRequest")
ROOTS = {"spec.md": ("Architecture",), "request.md": REQUESTS}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
MANY = 12  # options of the union of all layers
FIRST = ("Architecture", *REQUESTS, "Job", "ErfResult")


@cache
def document() -> dict[str, Any]:
    """The service's OpenAPI document; no connection is made for it."""
    return create_app(ServiceSettings()).openapi()


def schema_pages() -> dict[str, str]:
    """The three pages."""
    return {page: joined([head, *map(_section, _of(page))]) for page, head in HEADS.items()}


def link(name: str, page: str = "") -> str:
    """A schema's name, linked to where it stands, seen from `page`."""
    home = homes().get(name)
    if home is None:
        return f"`{title(name)}`"
    return f"[{title(name)}]({'' if home == page else home}#{anchor(title(name))})"


def title(name: str) -> str:
    """Names that two modules share keep their module: `advice.Change`."""
    return ".".join(name.split("__")[-2:])


@cache
def homes() -> dict[str, str]:
    """Schema → page. What a spec reaches stands with the specs, what else a request reaches with the requests."""
    found: dict[str, str] = {}
    for page, roots in ROOTS.items():
        for root in roots:
            for name in _reached(root):
                found.setdefault(name, page)
    return {
        name: found.get(name, "result.md") for name in schemas() if "properties" in schemas()[name] or name in found
    }


def schemas() -> dict[str, Schema]:
    """All schemas by name."""
    found: dict[str, Schema] = document()["components"]["schemas"]
    return found


def _of(page: str) -> list[str]:
    here = [name for name, home in homes().items() if home == page]
    return sorted(here, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), title(name)))


def _reached(root: str) -> Iterator[str]:
    waiting, seen = [root], set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in schemas():
            continue
        seen.add(name)
        yield name
        waiting.extend(_references(schemas()[name]))


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _section(name: str) -> str:
    schema = schemas()[name]
    text = prose(schema.get("description", ""))
    if "enum" in schema:
        values = "One of: " + ", ".join(f"`{value}`" for value in schema["enum"]) + "."
        return joined([f"## {title(name)}", text, values])
    needed = schema.get("required", ())
    rows = [
        (f"`{field}`", kind(part, homes()[name]), _default(part, field in needed), prose(part.get("description", "")))
        for field, part in schema.get("properties", {}).items()
    ]
    return joined([f"## {title(name)}", text, table(("field", "type", "default", "meaning"), rows)])


def kind(part: Schema, page: str) -> str:
    """A type, in words."""
    if "$ref" in part:
        return link(part["$ref"].rpartition("/")[2], page)
    if "const" in part or "enum" in part:
        return " · ".join(f"`{value}`" for value in part.get("enum", [part.get("const")]))
    for union in ("anyOf", "oneOf", "allOf"):
        if union in part:
            options = list(dict.fromkeys(kind(option, page) for option in part[union]))
            return "any layer of this page" if len(options) > MANY else " or ".join(options)
    if part.get("type") == "array":
        return _list(part, page)
    if part.get("type") == "object" and isinstance(part.get("additionalProperties"), Mapping):
        return f"object of {kind(part['additionalProperties'], page)}"
    return " ".join([part.get("type", "anything"), *_bounds(part)])


def _list(part: Schema, page: str) -> str:
    if "prefixItems" in part:
        return f"[{', '.join(kind(one, page) for one in part['prefixItems'])}]"
    return f"list of {kind(part.get('items', {}), page)}"


def _bounds(part: Schema) -> list[str]:
    found = [f"{sign} {part[key]:g}" for key, sign in BOUNDS.items() if key in part and part[key] < 2**53]
    return [", ".join(found)] if found else []


def _default(part: Schema, needed: bool) -> str:
    if needed:
        return "required"
    value = part.get("default")
    return "" if value is None or isinstance(value, dict) else f"`{json.dumps(value)}`"
