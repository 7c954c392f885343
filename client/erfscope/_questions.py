"""Questions about a model (advice, tiles, fit): store the model, submit, look until it is answered. No network here."""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from erfscope import _calls
from erfscope._errors import from_problem, named, refuse, refuse_invalid
from erfscope._flows import stored, upload_file
from erfscope._models import File, Model, Prepared, prepare
from erfscope._polling import until_ended
from erfscope._transport import Flow, Settings, exchange
from erfscope_contract.advice import Advice, AdviceJob, AdviceRequest
from erfscope_contract.duration import lasting
from erfscope_contract.fit import Fit, FitJob, FitRequest
from erfscope_contract.request import WEIGHT_WORDS, ModelRef
from erfscope_contract.tiles import Tiles, TilesJob, TilesRequest

Progress = Callable[[str, float], None]
R = TypeVar("R", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class Question(Generic[R, A]):
    """A kind of question: where it is asked, its request, its job, and its answer."""

    path: str
    request: type[R]
    job: type[Any]  # a Work whose result is an A
    answer: type[A]


ADVICE = Question("/advice", AdviceRequest, AdviceJob, Advice)
TILES = Question("/tiles", TilesRequest, TilesJob, Tiles)
FIT = Question("/fit", FitRequest, FitJob, Fit)


def ask(
    settings: Settings,
    kind: Question[R, A],
    model: Model,
    fields: Mapping[str, Any],
    *,
    timeout: float | None,
    progress: Progress | None,
    images: File | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[A]:
    """Store the model, and the images where there are any; submit the question and wait for its answer."""
    shape = (fields.get("input") or {}).get("shape")
    ref = yield from stored(settings, prepare(model, shape))
    file = None if images is None else (yield from upload_file(settings, images)).sha256
    request = build(kind, ref, on_images(fields, file))
    job = yield from exchange(_calls.submit_question(kind.path, request, kind.job, uuid.uuid4().hex), settings)
    watch = None if progress is None else lambda job: progress(job.stage, job.progress)
    if not job.status.is_terminal:  # an answer that is known already comes at once
        look = partial(_calls.question, kind.path, kind.job, job.id)
        job = yield from until_ended(settings, look, timeout, watch, clock)
    if not job.status.is_terminal:
        name, lasted = kind.path.removeprefix("/"), lasting(timeout or 0.0)
        raise refuse("timeout", f"{name} {job.id} is still {job.status} after {lasted}; it goes on")
    return _answer(kind, job)


def build(kind: Question[R, A], ref: ModelRef, fields: Mapping[str, Any]) -> R:
    """The checked question; fields that are None are left at their defaults, and weights may be `random`."""
    filled = {"model": ref} | {name: value for name, value in fields.items() if value is not None}
    if isinstance(filled.get("weights"), str):
        filled["weights"] = WEIGHT_WORDS.get(filled["weights"], filled["weights"])
    try:
        return kind.request.model_validate(filled)
    except ValidationError as error:
        raise refuse_invalid(error, filled, model=kind.request) from None


def on_images(fields: Mapping[str, Any], sha256: str | None) -> Mapping[str, Any]:
    """`fields` with the samples from a file of images of this sha256; None leaves them as they are."""
    if sha256 is None:
        return fields
    return {**fields, "input": {**(fields.get("input") or {}), "source": "images", "images": sha256}}


def reference(prepared: Prepared) -> ModelRef:
    """How a question that is answered in this process names the model."""
    return prepared.ref or ModelRef(sha256=prepared.sha256)


def _answer(kind: Question[R, A], job: Any) -> A:
    if job.result is not None:
        return kind.answer.model_validate(job.result)
    if job.error is not None:
        raise from_problem(named(job.error, f"job {job.id}"))
    raise refuse("conflict", f"{kind.path.removeprefix('/')} {job.id} was {job.status}")
