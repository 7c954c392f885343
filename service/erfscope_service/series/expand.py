"""From the body of POST /series to one checked request per point."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError

from erfscope_contract import architecture
from erfscope_contract.architecture import Architecture
from erfscope_contract.architecture.spec import MAX_LAYERS
from erfscope_contract.problem import FieldError, ProblemError
from erfscope_contract.request import ErfRequest, ModelRef
from erfscope_contract.series import Member, SeriesRequest, Sweep, are_places, label_of, swept
from erfscope_service.bodies import shaped
from erfscope_service.edge import strict_json
from erfscope_service.erf.submission import Asked
from erfscope_service.problems import from_validation

SWEEP = "/sweep"
MOST_CHARACTERS = 1 << 20  # of what a value adds to its spec: as long as a whole body may be


@dataclass(frozen=True)
class Point:
    """One measurement to be submitted, and where it stands in the series."""

    label: str
    x: float
    asked: Asked


async def read(body: bytes) -> tuple[SeriesRequest, list[Point]]:
    """Raises ProblemError `bad-request`, `invalid-request`, `invalid-architecture`, naming the point."""
    return await asyncio.to_thread(_read, body)  # a sweep checks up to 64 specs


def _read(body: bytes) -> tuple[SeriesRequest, list[Point]]:
    wanted = shaped(SeriesRequest, strict_json.parse(body))
    found = _of_sweep(wanted, wanted.sweep) if wanted.sweep else _of_models(wanted, wanted.models or [])
    points, layers = [], 0
    for n, point in enumerate(found):  # checked one by one, so that too much work is refused before it is done
        layers += _check(point, n, wanted)
        if layers > MAX_LAYERS:
            raise ProblemError(
                "resource-limit",
                f"The first {n + 1} points have {layers:,} layers; a series has at most {MAX_LAYERS:,} in all.",
            )
        points.append(point)
    return wanted, points


def _of_models(wanted: SeriesRequest, members: list[Member]) -> Iterator[Point]:
    for n, member in enumerate(members):
        yield _point(wanted, member.model, member.label or "", member.x, n)


def _point(wanted: SeriesRequest, model: ModelRef, label: str, x: float | None, n: int) -> Point:
    spec = model.architecture
    name = label or (spec.name if spec else None) or ""
    request = _with_model(wanted.request, model, f"/models/{n}")
    return Point(label or name or f"{n + 1}", float(n) if x is None else x, Asked(request, None, name))


def _of_sweep(wanted: SeriesRequest, sweep: Sweep) -> Iterator[Point]:
    numbers = are_places(sweep.values)
    for n, value in enumerate(sweep.values):
        at = f"{SWEEP}/values/{n}"
        model = ModelRef(architecture=_architecture(_spec(sweep, value, at), at, value))
        request = _with_model(wanted.request, model, at)
        name = f"{model.architecture.name or 'spec'} {label_of(value)}" if model.architecture else ""
        place = float(str(value)) if numbers else float(n)
        yield Point(label_of(value)[:200], place, Asked(request, None, name))


def _spec(sweep: Sweep, value: JsonValue, at: str) -> dict[str, Any]:
    """The spec with that value, one at a time: a small body could ask for gigabytes of them."""
    size = len(json.dumps(value)) * len(sweep.parameters)
    if size > MOST_CHARACTERS:
        raise _wrong(at, f"written to {len(sweep.parameters)} places it is over {MOST_CHARACTERS:,} characters of JSON")
    try:
        (spec,) = swept(sweep.model_copy(update={"values": [value]}))
    except ValueError as error:
        raise _wrong(f"{SWEEP}/parameters", str(error)) from None
    return spec


def _architecture(spec: dict[str, Any], at: str, value: Any) -> Architecture:
    try:
        return Architecture.model_validate(spec)
    except ValidationError as error:
        said = from_validation(error, spec, Architecture).problem
        where = "; ".join(f"{one.pointer}: {one.detail}" for one in said.errors[:3])
        raise _wrong(at, f"with the value {json.dumps(value)[:200]} the spec is not valid: {where}") from None


def _with_model(request: ErfRequest, model: ModelRef, at: str) -> ErfRequest:
    try:
        return ErfRequest.model_validate({**request.model_dump(exclude={"model"}), "model": model})
    except ValidationError as error:
        raise _wrong(at, "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())) from None


def _check(point: Point, n: int, wanted: SeriesRequest) -> int:
    """How many layers the spec has, its shapes checked: nothing is submitted when one point cannot be."""
    model = point.asked.request.model
    if model is None or model.architecture is None:
        return 0
    try:
        return len(architecture.check(model.architecture, point.asked.request.input.shape))
    except ProblemError as error:
        at = f"{SWEEP}/values/{n}" if wanted.sweep else f"/models/{n}/model/architecture"
        raise ProblemError(
            error.kind,
            f"{at}: {error.problem.detail}",
            errors=[FieldError(pointer=at, detail=error.problem.detail)],
            **error.problem.context,
        ) from None


def _wrong(at: str, detail: str) -> ProblemError:
    return ProblemError("invalid-request", f"{at}: {detail}", errors=[FieldError(pointer=at, detail=detail)])
