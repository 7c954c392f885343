"""Answers from a service: all questions are submitted before the first is waited for, so its workers share them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from erfscope._client import Client
from erfscope._errors import ErfscopeError
from erfscope._job import JobHandle
from erfscope.gate.attempt import tried
from erfscope.gate.cache import Answer
from erfscope.gate.means import Means, Outcome, Progress, share_of
from erfscope.gate.question import Question
from erfscope_contract.problem import Problem

T = TypeVar("T")
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
    return Answer(result.data, result.png() if means.with_pictures else None)


def _cancel_all(jobs: Mapping[str, JobHandle | Problem]) -> None:
    for job in jobs.values():
        if isinstance(job, JobHandle):
            with suppress(ErfscopeError):  # a service that has gone cannot cancel
                job.cancel()
