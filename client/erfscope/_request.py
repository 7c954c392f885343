"""Keyword arguments → ErfRequest: the contract's own fields, and short names for those that are used most."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from pydantic import ValidationError

from erfscope._errors import refuse, refuse_invalid
from erfscope_contract.request import WEIGHT_WORDS, ErfRequest, ModelRef, choice_of, until_of

# Short name → where it stands in ErfRequest. The command line's options are the same names.
SHORT: dict[str, tuple[str, str]] = {
    "layer": ("target", "layer"),
    "unit": ("target", "unit"),
    "channels": ("target", "channels"),
    "inputs": ("average", "inputs"),
    "draws": ("average", "weights"),
    "seed": ("average", "seed"),
    "statistic": ("average", "statistic"),
    "until": ("average", "until"),
    "input_name": ("input", "name"),
    "input_shape": ("input", "shape"),
    "source": ("input", "source"),
    "mean": ("input", "mean"),
    "std": ("input", "std"),
}


class RequestFields(TypedDict, total=False):
    """What `submit` and `run` take beside the model; the second group is short for a field of the first."""

    input: Mapping[str, Any]
    target: Mapping[str, Any]
    average: Mapping[str, Any]
    weights: str
    dtype: str
    method: str
    protocol: str
    layers: str | Sequence[str]
    verify: bool

    layer: str
    unit: str | Sequence[int] | Mapping[str, Any]
    channels: str | Sequence[int]
    inputs: int
    draws: int
    seed: int
    statistic: str
    until: float | Mapping[str, Any]
    input_name: str
    input_shape: Sequence[int] | Mapping[str, Sequence[int]]
    source: str
    mean: Sequence[float]
    std: Sequence[float]


def build(
    base: ErfRequest | Mapping[str, Any] | None, fields: Mapping[str, Any], images: str | None = None
) -> ErfRequest:
    """The request of `base` with `fields` laid over it; raises `erfscope.errors.InvalidRequest`.

    Of an input_shape by name, the request has that of the measured input: `input_name`, or the first.
    """
    body = _plain(base)
    for name, value in _measured(fields).items():
        _lay(body, name, value)
    if isinstance(body.get("weights"), str):
        body["weights"] = WEIGHT_WORDS.get(body["weights"], body["weights"])
    if images is not None:
        body["input"] = {**body.get("input", {}), "source": "images", "images": images}
    return _validate(body)


def shapes_given(request: ErfRequest, fields: Mapping[str, Any]) -> Any:
    """What a module is exported at: the shapes of all inputs by name, where those are given, else that of one."""
    shapes = fields.get("input_shape")
    return shapes if isinstance(shapes, Mapping) else request.input.shape


def _measured(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    shapes = fields.get("input_shape")
    if not isinstance(shapes, Mapping):
        return fields
    name = fields.get("input_name") or next(iter(shapes), None)
    if name not in shapes:
        raise refuse(
            "invalid-request", f"input_shape has no {name!r}; it has {', '.join(map(repr, shapes)) or 'nothing'}"
        )
    return {**fields, "input_name": name, "input_shape": list(shapes[name])}


def with_model(request: ErfRequest, ref: ModelRef | None) -> ErfRequest:
    """The request about this model; None where its bytes travel beside the request.

    Its parts are validated already; what is checked here is whether they go with the model.
    """
    given = {name: getattr(request, name) for name in request.model_fields_set if name != "model"}
    return _validate(given, ref)


def _plain(base: ErfRequest | Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(base, ErfRequest):
        return base.model_dump(mode="json", exclude_unset=True)
    return dict(base or {})


def _lay(body: dict[str, Any], name: str, value: Any) -> None:
    value = list(value) if isinstance(value, tuple) else value
    value = until_of(value) if name == "until" else value
    value = choice_of(value) if name == "layers" else value
    if name in SHORT:
        section, field = SHORT[name]
        body[section] = {**_plain_section(body.get(section)), field: value}
    elif name in ErfRequest.model_fields and name != "model":
        body[name] = {**_plain_section(body.get(name)), **value} if isinstance(value, Mapping) else value
    else:
        known = sorted({*SHORT, *ErfRequest.model_fields} - {"model"})
        raise refuse("invalid-request", f"there is no field {name!r}; there are: {', '.join(known)}")


def _plain_section(section: Any) -> dict[str, Any]:
    if hasattr(section, "model_dump"):
        return dict(section.model_dump(mode="json", exclude_unset=True))
    return dict(section or {})


def _validate(body: Mapping[str, Any], ref: ModelRef | None = None) -> ErfRequest:
    try:
        return ErfRequest.model_validate({**body, "model": ref} if ref else dict(body))
    except ValidationError as error:
        raise refuse_invalid(error, data=body, model=ErfRequest) from None
