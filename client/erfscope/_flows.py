"""What takes more than one call: submitting, waiting, uploading, inspecting. Decisions only."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from erfscope import _calls
from erfscope._errors import ResultTimeout, for_ended, from_problem, refuse
from erfscope._models import File, Model, Prepared, prepare, read_file
from erfscope._request import build, with_model
from erfscope._transport import Flow, Pause, Settings, exchange
from erfscope.contract.job import Inspection, Job, StoredFile, StoredModel
from erfscope.contract.request import ErfRequest

LONG_POLL = 20.0  # seconds that one GET may be held by the service
POLL = (0.1, 1.0)  # first and longest pause between polls that came back early


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
    stored = (yield from upload_file(settings, images)).sha256 if images is not None else None
    asked = build(request, fields, stored)
    prepared = _model_of(model, asked)
    whole = with_model(asked, prepared.ref)
    call = _calls.submit(whole, prepared.content, key or uuid.uuid4().hex)
    return (yield from exchange(call, settings))


def _model_of(model: Model | None, request: ErfRequest) -> Prepared:
    if model is not None and request.model is not None:
        raise refuse("invalid-request", "the model is given twice: as an argument and in the request")
    chosen = request.model if model is None else model
    if chosen is None:
        raise refuse("invalid-request", "give a model: an argument of its own, or in the request")
    return prepare(chosen, request.input.shape)


def wait(
    settings: Settings,
    id: str,
    timeout: float | None,
    progress: Callable[[str, float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[Job]:
    """Look at a job until it has ended; raises ResultTimeout where it has not in time."""
    end = None if timeout is None else clock() + timeout
    longest = LONG_POLL if progress is None else POLL[1]  # whoever watches wants to see it move
    pause = POLL[0]
    while True:
        left = longest if end is None else max(0.0, end - clock())
        job = yield from exchange(_calls.job(id, min(longest, left)), settings)
        if progress is not None:
            progress(job.stage, job.progress)
        if job.status.is_terminal:
            return job
        if end is not None and clock() >= end:
            raise ResultTimeout(job, timeout or 0.0)
        yield Pause(pause if end is None else min(pause, max(0.0, end - clock())))
        pause = min(2 * pause, POLL[1])


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


def upload_model(settings: Settings, model: Model, input_shape: Sequence[int] | None) -> Flow[StoredModel]:
    """POST /models; a model that the service has already is looked up instead."""
    prepared = prepare(model, input_shape)
    if prepared.content is not None:
        return (yield from exchange(_calls.upload_model(prepared.content), settings))
    if prepared.ref is not None and prepared.ref.sha256 is not None:
        return (yield from exchange(_calls.model(prepared.ref.sha256), settings))
    raise refuse("unsupported-media-type", "the service stores ONNX models; a spec is sent with each request")


def inspect(
    settings: Settings,
    model: Model,
    input_shape: Sequence[int] | None,
    timeout: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[Inspection]:
    """Upload, and look until the service has inspected the model."""
    end = None if timeout is None else clock() + timeout
    stored = yield from upload_model(settings, model, input_shape)
    pause = POLL[0]
    while stored.inspection is None:
        if stored.error is not None:
            raise from_problem(stored.error)
        if stored.status.is_terminal:
            raise refuse("internal", f"the inspection of {stored.name} is {stored.status} and says nothing")
        if end is not None and clock() >= end:
            raise refuse("timeout", f"the inspection of {stored.name} is still {stored.status}; ask again")
        yield Pause(pause)
        pause = min(2 * pause, POLL[1])
        stored = yield from exchange(_calls.model(stored.sha256), settings)
    return stored.inspection
