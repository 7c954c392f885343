"""What takes more than one call: submitting, waiting, uploading, inspecting. Decisions only."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from erfscope import _calls, _headers
from erfscope._errors import ResultTimeout, for_ended, from_problem, refuse
from erfscope._export import InputShape
from erfscope._models import File, Model, Prepared, prepare, read_file
from erfscope._polling import until_ended
from erfscope._request import build, shapes_given, with_model
from erfscope._transport import Flow, Settings, exchange
from erfscope_contract.job import Inspection, Job, StoredFile, StoredModel
from erfscope_contract.request import ErfRequest, ModelRef


def submit(
    settings: Settings,
    model: Model | None,
    *,
    request: ErfRequest | Mapping[str, Any] | None,
    images: File | None,
    key: str | None,
    fields: Mapping[str, Any],
) -> Flow[Job]:
    """Check, upload the images if there are any, POST /erf."""
    key = _headers.idempotency_key(key)
    stored = (yield from upload_file(settings, images)).sha256 if images is not None else None
    asked = build(request, fields, stored)
    prepared = _model_of(model, asked, fields)
    whole = with_model(asked, prepared.ref)
    call = _calls.submit(whole, prepared.content, key, prepared.data)
    return (yield from exchange(call, settings))


def _model_of(model: Model | None, request: ErfRequest, fields: Mapping[str, Any]) -> Prepared:
    if model is not None and request.model is not None:
        raise refuse("invalid-request", "the model is given twice: as an argument and in the request")
    chosen = request.model if model is None else model
    if chosen is None:
        raise refuse("invalid-request", "give a model: an argument of its own, or in the request")
    return prepare(chosen, shapes_given(request, fields))


def wait(
    settings: Settings,
    id: str,
    timeout: float | None,
    progress: Callable[[str, float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[Job]:
    """Look at a job until it has ended; raises ResultTimeout where it has not in time."""
    watch = None if progress is None else lambda job: progress(job.stage, job.progress)
    job = yield from until_ended(settings, partial(_calls.job, id), timeout, watch, clock)
    if not job.status.is_terminal:
        raise ResultTimeout(job, timeout or 0.0)
    return job


def finished(
    settings: Settings, id: str, timeout: float | None, progress: Callable[[str, float], None] | None = None
) -> Flow[Job]:
    """The succeeded job; raises JobFailed, JobCanceled, JobExpired or ResultTimeout."""
    job = yield from wait(settings, id, timeout, progress)
    if (error := for_ended(job)) is not None:
        raise error
    return job


def upload_file(settings: Settings, file: File) -> Flow[StoredFile]:
    """POST /files."""
    return (yield from exchange(_calls.upload_file(read_file(file)), settings))


def stored(settings: Settings, prepared: Prepared) -> Flow[ModelRef]:
    """How a request names the model: a file is stored first."""
    if prepared.content is not None:
        model = yield from exchange(_calls.upload_model(prepared.content, prepared.data), settings)
        return ModelRef(sha256=model.sha256)
    assert prepared.ref is not None  # a model is bytes or a reference
    return prepared.ref


def upload_model(settings: Settings, model: Model, input_shape: InputShape | None) -> Flow[StoredModel]:
    """POST /models; a model that the service has already is looked up instead."""
    prepared = prepare(model, input_shape)
    if prepared.content is not None:
        return (yield from exchange(_calls.upload_model(prepared.content, prepared.data), settings))
    if prepared.ref is not None and prepared.ref.sha256 is not None:
        return (yield from exchange(_calls.model(prepared.ref.sha256), settings))
    raise refuse("unsupported-media-type", "the service stores ONNX models; a spec is sent with each request")


def inspect(
    settings: Settings,
    model: Model,
    input_shape: InputShape | None,
    timeout: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[Inspection]:
    """Upload, and look until the service has inspected the model."""
    stored = yield from upload_model(settings, model, input_shape)
    if stored.status is None:  # it came with a measurement, or its inspection has expired
        stored = yield from exchange(_calls.inspect_model(stored.sha256), settings)
    if stored.status is not None and not stored.status.is_terminal:
        sha256 = stored.sha256
        stored = yield from until_ended(settings, partial(_calls.model, sha256), timeout, clock=clock)
    if stored.inspection is not None:
        return stored.inspection
    if stored.error is not None:
        raise from_problem(stored.error)
    if stored.status is not None and stored.status.is_terminal:
        raise refuse("internal", f"the inspection of {stored.name} is {stored.status} and says nothing")
    raise refuse("timeout", f"the inspection of {stored.name} is still {stored.status}; ask again")
