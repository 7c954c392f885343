"""How answers are had, and how the way there is told."""

from collections.abc import Callable
from dataclasses import dataclass

from erfscope.gate.cache import Answer, Cache
from erfscope.gate.question import Question
from erfscope_contract.problem import Problem

Outcome = Answer | Problem
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
