"""Pydantic's complaints as field errors that people can follow: JSON pointers and plain words.

Pydantic names in its locations the branch of a union that it tried ("literal['center']", "list[int]"), which nobody
wrote; and where a value fits no branch it complains once per branch. Here the branches go, and of the complaints
about one value those of the branch that fits best stay.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from erfscope_contract.fields import advised
from erfscope_contract.problem import FieldError

FORMS: Mapping[str, str] = {
    r"^[0-9a-f]{64}$": "must be a sha256: 64 digits 0-9 and a-f",
    r"^[a-z0-9_]{1,64}$": "must be a flat name such as erf_size: small letters, digits and _",
    r"^(/[^/]{1,200})+$": "must be a JSON pointer such as /layers/0/times",
    r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$": "must be at most 64 letters, digits, _ and -, and begin with a letter or _",
    r"^[0-9]{1,9}(,[0-9]{1,9}){0,7}$": "must be one to eight whole numbers with commas between, such as 3,4",
    r"^[a-z0-9-]+$": "must have small letters, digits and - only",
}
"""What the patterns of the contract and of the settings ask, in words."""

_PLAIN: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "there is no such field",
    "value_error": lambda context: str(context["error"]),
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing", "int_parsing_size"), lambda _: "must be an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: "must be a number"),
    **dict.fromkeys(("list_type", "tuple_type"), lambda _: "must be an array"),
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dict_type", "mapping_type"), lambda _: "must be an object"
    ),
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _: "must be true or false"),
    "string_type": lambda _: "must be a string",
    "path_type": lambda _: "must be a path",
    "none_required": lambda _: "must be null",
    "json_invalid": lambda context: f"is not JSON: {context['error']}",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "string_too_short": lambda context: f"must have at least {context['min_length']} characters",
    "union_tag_not_found": lambda context: f"{_discriminator(context)} is required",
    "union_tag_invalid": lambda context: _unknown_tag(str(context["tag"])[:100], context),
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
    "too_short": lambda context: f"must have at least {context['min_length']} entries",
    "string_pattern_mismatch": lambda context: FORMS.get(context["pattern"], "does not have the form of such a value"),
}
"""Words for pydantic's types of error; the others keep its own, after `must be` or as they are."""


def field_errors(error: ValidationError, data: object, model: type[BaseModel] | None = None) -> list[FieldError]:
    """What is wrong with `data`, by field; several complaints about one field are joined.

    With the `model` that refused it, an unknown field is told with the names that it may have meant.
    """
    return merged(error.errors(include_url=False, include_input=False), data, model)


def merged(errors: Iterable[Any], data: object, model: type[BaseModel] | None = None) -> list[FieldError]:
    """The same from pydantic's list; without `data` locations are taken as they are."""
    said: dict[str, list[str]] = {}
    # A misspelt name is often missing under its right one too: what it is called comes first.
    typos_first = sorted(errors, key=lambda error: error["type"] != "extra_forbidden")
    for error in _best_branches(typos_first, data):
        sentences = said.setdefault(pointer(error["loc"], data, is_missing=error["type"] == "missing"), [])
        if (words := in_words(error) + _advice(error, model)) not in sentences:
            sentences.append(words)
    return [FieldError(pointer=at, detail="; or ".join(sentences)) for at, sentences in said.items()]


def in_words(error: Mapping[str, Any]) -> str:
    """One complaint in plain words."""
    words = _PLAIN.get(error["type"])
    if words:
        return words(error.get("ctx", {}))
    text: str = error["msg"]
    return text.replace("Input should be a valid ", "must be a valid ").replace("Input should be ", "must be ")


def _advice(error: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    if model is None or error["type"] != "extra_forbidden":
        return ""
    *location, unknown = error["loc"]
    return advised(str(unknown), model, location)


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


def _unknown_tag(tag: str, context: Mapping[str, Any]) -> str:
    """That there is no such kind, and the one that it may have meant: the nearest, or one that it begins with."""
    known = re.findall(r"'([^']+)'", context["expected_tags"])
    begins = sorted((one for one in known if tag.startswith(one)), key=len)[-1:]
    near = begins or difflib.get_close_matches(tag, known, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]!r}?" if near else f"there are: {context['expected_tags']}"
    return f"there is no {_discriminator(context)} {tag!r}; {advice}"


def _discriminator(context: Mapping[str, Any]) -> str:
    return str(context["discriminator"]).strip("'")
