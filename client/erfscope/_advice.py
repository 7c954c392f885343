"""Asking for advice: store the model, POST /advice, look until it is answered. Decisions only, no network."""

import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from erfscope import _calls
from erfscope._errors import from_problem, refuse, refuse_invalid
from erfscope._flows import stored
from erfscope._models import Model, prepare
from erfscope._polling import until_ended
from erfscope._transport import Flow, Settings, exchange
from erfscope.contract.advice import Advice, AdviceJob, AdviceRequest
from erfscope.contract.duration import lasting
from erfscope.contract.request import ModelRef

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
    ref = yield from stored(settings, prepare(model))
    job = yield from exchange(_calls.submit_advice(build(ref, want, fields), uuid.uuid4().hex), settings)
    watch = None if progress is None else lambda job: progress(job.stage, job.progress)
    if not job.status.is_terminal:  # an answer that is known already comes at once
        job = yield from until_ended(settings, partial(_calls.advice, job.id), timeout, watch, clock)
    if not job.status.is_terminal:
        raise refuse("timeout", f"advice {job.id} is still {job.status} after {lasting(timeout or 0.0)}; it goes on")
    return _answer(job)


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
