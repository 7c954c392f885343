"""Asking for advice: store the model, POST /advice, look until it is answered. Decisions only, no network."""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from erfscope import _calls
from erfscope._errors import from_problem, refuse, refuse_invalid
from erfscope._models import Model, Prepared, prepare
from erfscope._transport import Flow, Pause, Settings, exchange
from erfscope.contract.advice import Advice, AdviceJob, AdviceRequest
from erfscope.contract.request import ModelRef

LONG_POLL = 20.0  # seconds that one GET may be held by the service
POLL = (0.1, 1.0)
Progress = Callable[[str, float], None]


def advise(
    settings: Settings,
    model: Model,
    *,
    want: float,
    fields: Mapping[str, Any],
    timeout: float | None,
    progress: Progress | None,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[Advice]:
    """Submit the question and wait for its answer."""
    prepared = prepare(model)
    ref = yield from _ref(settings, prepared)
    request = build(ref, want, fields)
    end = None if timeout is None else clock() + timeout
    longest = LONG_POLL if progress is None else POLL[1]
    job = yield from exchange(_calls.submit_advice(request, uuid.uuid4().hex), settings)
    pause = POLL[0]
    while not job.status.is_terminal:
        if end is not None and clock() >= end:
            raise refuse("timeout", f"advice {job.id} is still {job.status} after {timeout:g} s; it goes on")
        left = longest if end is None else max(0.0, end - clock())
        job = yield from exchange(_calls.advice(job.id, min(longest, left)), settings)
        if progress is not None:
            progress(job.stage, job.progress)
        if not job.status.is_terminal:
            yield Pause(pause)
            pause = min(2 * pause, POLL[1])
    return _answer(job)


def _ref(settings: Settings, prepared: Prepared) -> Flow[ModelRef]:
    if prepared.content is not None:
        stored = yield from exchange(_calls.upload_model(prepared.content), settings)
        return ModelRef(sha256=stored.sha256)
    assert prepared.ref is not None  # a model is bytes or a reference
    return prepared.ref


def build(ref: ModelRef, want: float, fields: Mapping[str, Any]) -> AdviceRequest:
    """The checked question; `fields` that are None are left at their defaults."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return AdviceRequest.model_validate({"model": ref, "want": want, **given})
    except ValidationError as error:
        raise refuse_invalid(error) from None


def _answer(job: AdviceJob) -> Advice:
    if job.result is not None:
        return job.result
    if job.error is not None:
        raise from_problem(job.error)
    raise refuse("conflict", f"advice {job.id} was {job.status}")
