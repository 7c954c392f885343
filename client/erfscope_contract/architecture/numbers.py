"""Numbers as people mean them: `true` is not 1, although Python and pydantic take it for one."""

from typing import Any

from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

NUMBERS = ("int", "float")
NO_SCHEMAS = ("metadata", "serialization", "default", "cls")  # of a node: what is not read as a schema


def refuse_bool(value: object) -> object:
    """The value; raises where it is true or false."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_from_bool", "must be a number, not true or false")
    return value


def without_bools(schema: CoreSchema, model: type) -> CoreSchema:
    """A model's schema whose numbers are never true or false; models inside of it have seen to that themselves."""
    changed: CoreSchema = _walked(schema, model)
    return changed


def _walked(node: Any, model: type) -> Any:
    if isinstance(node, list | tuple):
        return type(node)(_walked(one, model) for one in node)
    if not isinstance(node, dict) or _is_done(node, model):
        return node
    inner = {key: value if key in NO_SCHEMAS else _walked(value, model) for key, value in node.items()}
    if node.get("type") in NUMBERS:
        return no_info_before_validator_function(refuse_bool, inner)
    return inner


def _is_done(node: dict[str, Any], model: type) -> bool:
    """Another model, or a number that has its check."""
    function = node.get("function")
    return (node.get("type") == "model" and node.get("cls") is not model) or (
        isinstance(function, dict) and function.get("function") is refuse_bool
    )
