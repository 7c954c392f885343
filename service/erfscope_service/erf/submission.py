"""The body of POST /erf: from bytes to a checked request and the model it is about."""

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastapi import Request

from erfscope_contract import architecture
from erfscope_contract.hashing import sha256_of
from erfscope_contract.problem import FieldError, ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_jobs.digest import canonical
from erfscope_service.admission import require_disk, require_room
from erfscope_service.bodies import JSON, media_type_of, refuse_encoded, shaped
from erfscope_service.edge import strict_json
from erfscope_service.services import Services, count_beyond
from erfscope_service.stored import MODEL
from erfscope_service.upload.form import Form, StoredFiles, read_form
from erfscope_service.upload.multipart import MULTIPART, boundary_of

AT_ONCE = 8192  # bytes of a request that is checked in less time than a thread takes to be called
CALL_BYTES = 65_536  # of a request that is worth a call: the largest specs take half a second to check


@dataclass(frozen=True)
class Asked:
    """A valid request; `stored` is the model that came with it, `name` what people call it."""

    request: ErfRequest
    stored: StoredFiles | None
    name: str

    @property
    def sha256(self) -> str | None:
        """Of the ONNX model; None for a spec."""
        return self.request.model.sha256 if self.request.model else None

    @cached_property
    def as_json(self) -> dict[str, Any]:
        """The canonical request: every field, defaults included."""
        return self.request.model_dump(mode="json")


async def read(http: Request, services: Services, tenant: str) -> Asked:
    """Read and check the body, whichever of the two media types it has.

    Raises:
        ProblemError: `unsupported-media-type`, `too-large`, `bad-request`, `invalid-request`,
            `invalid-architecture`, `external-data`.
    """
    readers = {MULTIPART: _read_multipart, JSON: _read_json}
    refuse_encoded(http.headers)
    given = media_type_of(http.headers)
    if given not in readers:
        raise ProblemError(
            "unsupported-media-type",
            f"POST /erf takes {MULTIPART} (parts model, data and request) or {JSON}, not {given[:100]!r}.",
        )
    require_disk(services)
    form = await readers[given](http, services, tenant)
    if weight := len(form.request or b"") // CALL_BYTES:
        await count_beyond(http, services, weight)
    is_small = len(form.request or b"") < AT_ONCE
    request = _checked(form) if is_small else await asyncio.to_thread(_checked, form)  # the largest take half a second
    return Asked(request, form.model, form.name or _spec_name(request))


def _checked(form: Form) -> ErfRequest:
    request = shaped(ErfRequest, _filled(form))
    if request.model and request.model.architecture:
        architecture.check(request.model.architecture, request.input.shape)
    return request


async def _read_multipart(http: Request, services: Services, tenant: str) -> Form:
    await require_room(services, tenant, MODEL, http.headers)
    boundary = boundary_of(http.headers["content-type"])
    return await read_form(http.stream(), boundary, services.blobs, services.settings)


async def _read_json(http: Request, _: Services, __: str) -> Form:
    return Form(model=None, name="", request=await http.body())


def _filled(form: Form) -> Any:
    """The request as the client wrote it, with the model of the file part filled in."""
    data = strict_json.parse(form.request) if form.request is not None else {}
    if not isinstance(data, dict):
        raise ProblemError("invalid-request", "The request must be a JSON object.")
    has_model = data.get("model") is not None
    if form.model is None and not has_model:
        raise _about_model(
            "name a network: a file part 'model', {'sha256': …}, {'architecture': {…}} or {'preset': 'resnet50'}"
        )
    if form.model is None:
        return data
    if has_model:
        raise _about_model("leave model out when a file part 'model' carries the network")
    return {**data, "model": {"sha256": form.model.sha256}}


def _about_model(what: str) -> ProblemError:
    field = FieldError(pointer="/model", detail=what)
    return ProblemError("invalid-request", f"{field.pointer}: {what}", errors=[field])


def _spec_name(request: ErfRequest) -> str:
    spec = request.model.architecture if request.model else None
    return (spec.name if spec else None) or ""


def fingerprint(asked: Asked) -> str:
    """What an Idempotency-Key is held against: the request, not the bytes around it."""
    return sha256_of(canonical(asked.as_json))
