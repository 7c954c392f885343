"""Answers to questions: from the cache, from this process, or from a service; each distinct question once."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from erfscope import _local
from erfscope._client import Client
from erfscope._errors import ErfscopeError
from erfscope._files import trouble
from erfscope._job import JobHandle
from erfscope._result import Result
from erfscope.gate.cache import Answer, Cache
from erfscope.gate.pictures import compressed
from erfscope.gate.question import Question, answered_by, key_of
from erfscope_contract.job import Inspection
from erfscope_contract.problem import Problem, ProblemError
from erfscope_contract.request import InputOptions

T = TypeVar("T")


def tried(what: Callable[[], T]) -> T | Problem:
    """The answer, or the problem in its place."""
    try:
        return what()
    except Exception as error:
        return problem_from(error)


def problem_from(error: Exception) -> Problem:
    """An exception as a row of the error table; ERFSCOPE_DEBUG=1 shows where it came from."""
    from erfscope.cli.failure import problem_of

    if os.environ.get("ERFSCOPE_DEBUG"):
        traceback.print_exception(error)
    return problem_of(error)


Outcome = Answer | Problem


class Stopped(BaseException):
    """The run is asked to end (SIGTERM); what is not measured by then has this problem. Nothing else catches it."""

    problem = ProblemError("timeout", "The run was ended by SIGTERM before this model was measured.").problem


Progress = Callable[[str, str, float], None]  # model, stage, share of the whole run


@dataclass(frozen=True)
class Means:
    """A service (None: this process), a cache (None: without), patience, pictures or not."""

    url: str | None = None
    cache: Cache | None = None
    timeout: float | None = None  # seconds for all jobs of a service together
    with_pictures: bool = False


def silent(model: str, stage: str, share: float) -> None:
    """Progress that nobody watches."""


def share_of(question: Question, number: int, of: int, progress: Progress) -> Callable[[str, float], None]:
    """Progress of one question as a share of the whole run."""

    def told(stage: str, share: float) -> None:
        progress(question.subject.label, stage, (number + share) / of)

    return told


AWAY = "connection"  # the kind of problem that every further question would meet as well


def from_service(questions: Sequence[Question], means: Means, progress: Progress) -> Iterator[tuple[Question, Outcome]]:
    """Each question with its outcome, in order; jobs that nobody waits for any more are canceled."""
    jobs: dict[str, JobHandle | Problem] = {}
    call = _Caller()
    opened = tried(partial(Client, means.url))
    if isinstance(opened, Problem):  # an API key that is none
        yield from ((question, opened) for question in questions)
        return
    with opened as client, ExitStack() as at_the_end:
        at_the_end.callback(_cancel_all, jobs)
        for question in questions:
            jobs[question.digest] = call(partial(_submit, client, question))
        until = None if means.timeout is None else time.monotonic() + means.timeout
        for number, question in enumerate(questions):
            job = jobs[question.digest]
            told = share_of(question, number, len(questions), progress)
            outcome: Outcome = job if isinstance(job, Problem) else call(partial(_awaited, job, until, means, told))
            del jobs[question.digest]
            yield question, outcome


def version_of_service(url: str) -> str:
    """The version that a service runs; raises an ErfscopeError where it does not answer, or cannot take jobs."""
    with Client(url) as client:
        return client.health().version


@dataclass
class _Caller:
    """Tries; once the service does not answer it is not asked again, or each model would wait for all retries."""

    away: Problem | None = None

    def __call__(self, what: Callable[[], T]) -> T | Problem:
        if self.away is not None:
            return self.away
        outcome = tried(what)
        if isinstance(outcome, Problem) and outcome.kind == AWAY:
            self.away = outcome
        return outcome


def _submit(client: Client, question: Question) -> JobHandle:
    prepared = question.subject.prepared
    model = prepared.ref if prepared.content is None else prepared.content.source
    return client.submit(model, request=question.request, images=question.images)


def _awaited(job: JobHandle, until: float | None, means: Means, progress: Callable[[str, float], None]) -> Answer:
    left = None if until is None else max(until - time.monotonic(), 0.0)
    result = job.result(left, progress)
    return _answer(result, is_drawn=means.with_pictures)


def _cancel_all(jobs: Mapping[str, JobHandle | Problem]) -> None:
    for job in jobs.values():
        if isinstance(job, JobHandle):
            with suppress(ErfscopeError):  # a service that has gone cannot cancel
                job.cancel()


def ask(questions: Sequence[Question], means: Means, progress: Progress = silent) -> dict[str, Outcome]:
    """The outcome of each question by its digest; a problem where it could not be answered."""
    distinct = {question.digest: question for question in questions}
    answerer = _answerer(means)
    if isinstance(answerer, Problem):
        return dict.fromkeys(distinct, answerer)
    recalled = {digest: _recalled(question, means, answerer) for digest, question in distinct.items()}
    outcomes: dict[str, Outcome] = {digest: answer for digest, answer in recalled.items() if answer is not None}
    missing = [question for digest, question in distinct.items() if digest not in outcomes]
    if missing:
        source = from_service if means.url else _from_here
        try:
            for question, outcome in source(missing, means, progress):
                if isinstance(outcome, Answer) and means.cache:
                    _keep(means.cache, question.key(answerer), outcome)
                outcomes[question.digest] = outcome if means.with_pictures else _without_picture(outcome)
        except Stopped as stopped:
            return {**dict.fromkeys(distinct, stopped.problem), **outcomes}
    return outcomes


def recalled(digests: Sequence[str], means: Means) -> dict[str, Answer]:
    """What the cache still has of these questions, with pictures; by digest."""
    answerer = _answerer(means) if digests and means.cache else None
    if means.cache is None or answerer is None or isinstance(answerer, Problem):
        return {}
    found = {digest: means.cache.get(key_of(digest, answerer), with_picture=True) for digest in digests}
    return {digest: answer for digest, answer in found.items() if answer is not None}


def _without_picture(outcome: Outcome) -> Outcome:
    """What was drawn for the cache alone."""
    return replace(outcome, picture=None, map=None) if isinstance(outcome, Answer) else outcome


def _answerer(means: Means) -> Mapping[str, str | None] | Problem:
    """What answers: of a service its version too, so that one that was upgraded, or is stopped, is noticed."""
    if means.url is None or means.cache is None:
        return answered_by(means.url)
    version = tried(partial(version_of_service, means.url))
    return version if isinstance(version, Problem) else answered_by(means.url, version)


def _recalled(question: Question, means: Means, answerer: Mapping[str, str | None]) -> Answer | None:
    if means.cache is None:
        return None
    return means.cache.get(question.key(answerer), with_picture=means.with_pictures)


def _keep(cache: Cache, key: str, answer: Answer) -> None:
    """A cache that cannot be written costs time, not the answer."""
    try:
        cache.put(key, answer)
    except OSError as error:
        print(f"erfscope: the cache {cache.folder} cannot be written: {trouble(error)}", file=sys.stderr)


def inspected(question: Question, means: Means) -> Inspection:
    """The layers of a question's ONNX file; raises an ErfscopeError where they cannot be read."""
    prepared = question.subject.prepared
    if means.url is None:
        asked = question.request.input
        return _local.inspect(prepared, InputOptions(shape=asked.shape, name=asked.name), lambda stage, share: None)
    with Client(means.url) as client:
        return client.models.inspect(prepared.sha256 if prepared.content is None else prepared.content.source)


def _from_here(questions: Sequence[Question], means: Means, progress: Progress) -> Iterator[tuple[Question, Outcome]]:
    for number, question in enumerate(questions):
        told = share_of(question, number, len(questions), progress)
        told("starts", 0.0)
        yield question, tried(partial(_measure, question, means, told))


def _measure(question: Question, means: Means, progress: Callable[[str, float], None]) -> Answer:
    """With its picture for the cache too, so that --pictures finds it later without torch."""
    result = _local.measure(question.subject.prepared, question.request, question.images, progress)
    return _answer(result, is_drawn=means.with_pictures or means.cache is not None)


def _answer(result: Result, *, is_drawn: bool) -> Answer:
    if not is_drawn:
        return Answer(result.data)
    return Answer(result.data, result.png(), compressed(result.array()))
