"""Pydantic's complaints as field errors that people can follow: JSON pointers and plain words.

Pydantic names in its locations the branch of a union that it tried ("literal['center']", "list[int]"), which nobody
wrote; and where a value fits no branch it complains once per branch. Here the branches go, and of the complaints
about one value those of the branch that fits best stay.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from erfscope.contract.problem import FieldError

_PLAIN: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "there is no such field",
    "value_error": lambda context: str(context["error"]),
    "int_type": lambda _: "must be an integer",
    "int_from_float": lambda _: "must be an integer",
    "float_type": lambda _: "must be a number",
    "list_type": lambda _: "must be an array",
    "model_type": lambda _: "must be an object",
    "dict_type": lambda _: "must be an object",
    "string_type": lambda _: "must be a string",
    "bool_type": lambda _: "must be true or false",
    "union_tag_not_found": lambda context: f"{_discriminator(context)} is required",
    "union_tag_invalid": lambda context: (
        f"there is no {_discriminator(context)} {str(context['tag'])[:100]!r}; there are: {context['expected_tags']}"
    ),
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
    "too_short": lambda context: f"must have at least {context['min_length']} entries",
    "string_pattern_mismatch": lambda context: f"must match {context['pattern']}",
}
"""Words for pydantic's types of error; the others keep its own, after `must be` or as they are."""


def field_errors(error: ValidationError, data: object) -> list[FieldError]:
    """What is wrong with `data`, by field; several complaints about one field are joined."""
    return merged(error.errors(include_url=False, include_input=False), data)


def merged(errors: Iterable[Any], data: object) -> list[FieldError]:
    """The same from pydantic's list; without `data` locations are taken as they are."""
    said: dict[str, list[str]] = {}
    for error in _best_branches(list(errors), data):
        sentences = said.setdefault(pointer(error["loc"], data, is_missing=error["type"] == "missing"), [])
        if (words := in_words(error)) not in sentences:
            sentences.append(words)
    return [FieldError(pointer=at, detail="; or ".join(sentences)) for at, sentences in said.items()]


def in_words(error: Mapping[str, Any]) -> str:
    """One complaint in plain words."""
    words = _PLAIN.get(error["type"])
    if words:
        return words(error.get("ctx", {}))
    text: str = error["msg"]
    return text.replace("Input should be a valid ", "must be a valid ").replace("Input should be ", "must be ")


def pointer(location: Sequence[str | int], data: object, *, is_missing: bool = False) -> str:
    """The JSON pointer (RFC 6901) of a pydantic location; names of union branches are left out.

    `is_missing` says that the last part is a field that `data` does not have.
    """
    parts: list[str] = []
    here = data
    for position, part in enumerate(location, start=1):
        if _is_in(here, part):
            here = here[part]  # type: ignore[index]  # `_is_in` found it
        elif data is not None and not (is_missing and position == len(location)):
            continue
        parts.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in parts)


def _best_branches(errors: list[Any], data: object) -> list[Any]:
    """Without complaints of a union's branch where another branch got further into the same value."""
    at = [pointer(error["loc"], data, is_missing=error["type"] == "missing") for error in errors]

    def got_further(k: int) -> bool:
        has_branch = data is not None and len(errors[k]["loc"]) > at[k].count("/")
        return has_branch and any(other.startswith(f"{at[k]}/") for other in at)

    return [error for k, error in enumerate(errors) if not got_further(k)]


def _is_in(container: object, part: str | int) -> bool:
    if isinstance(container, Mapping):
        return part in container
    return isinstance(container, list | tuple) and isinstance(part, int) and part < len(container)


def _discriminator(context: Mapping[str, Any]) -> str:
    return str(context["discriminator"]).strip("'")
