"""Answers to questions: from the cache, from this process, or from a service; each distinct question once."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from erfscope import _local
from erfscope._files import trouble
from erfscope.gate.attempt import tried
from erfscope.gate.cache import Answer, Cache
from erfscope.gate.means import Means, Outcome, Progress, share_of, silent
from erfscope.gate.question import Question, answered_by
from erfscope.gate.remote import from_service, version_of_service
from erfscope_contract.problem import Problem


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
        for question, outcome in source(missing, means, progress):
            if isinstance(outcome, Answer) and means.cache:
                _keep(means.cache, question.key(answerer), outcome)
            outcomes[question.digest] = outcome
    return outcomes


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


def _from_here(questions: Sequence[Question], means: Means, progress: Progress) -> Iterator[tuple[Question, Outcome]]:
    for number, question in enumerate(questions):
        told = share_of(question, number, len(questions), progress)
        yield question, tried(partial(_measure, question, means, told))


def _measure(question: Question, means: Means, progress: Callable[[str, float], None]) -> Answer:
    result = _local.measure(question.subject.prepared, question.request, question.images, progress)
    return Answer(result.data, result.png() if means.with_pictures else None)
