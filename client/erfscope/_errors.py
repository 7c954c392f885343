"""What the SDK raises.

* ErfscopeError
  x ConnectionFailed        the service cannot be reached
  x APIError                the service (or the check before sending) refused; `.problem`, `.kind`
    + one class per row of the error table, e.g. erfscope.errors.InvalidTarget for "invalid-target"
  x JobFailed               the job ended as failed; `.problem`, `.kind`, `.job`
    + JobExpired            it was not finished before its deadline
  x JobCanceled             the job was canceled; `.job`
  x ResultTimeout           the job is still at work after the time the caller gave it; `.job`
  x SeriesUnfinished        points of a series are still at work, or did not succeed; `.series`

The classes of the table are made from `erfscope_contract.problem.KINDS`: a new row there is a new class here.
"""

from typing import Any

from pydantic import BaseModel, ValidationError

from erfscope_contract.duration import lasting
from erfscope_contract.invalid import field_errors
from erfscope_contract.job import Job, Status
from erfscope_contract.problem import KINDS, Problem, ProblemError
from erfscope_contract.series import Series


class ErfscopeError(Exception):
    """Base of everything the SDK raises on purpose."""


class _WithProblem(ErfscopeError):  # noqa: N818 – names say what happened, as in httpx
    """An error that carries the service's own words."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem = problem

    @property
    def kind(self) -> str:
        """The row of the error table, e.g. `invalid-target`."""
        return self.problem.kind


class ConnectionFailed(_WithProblem):
    """No answer from the service, after all retries."""


class APIError(_WithProblem):
    """The request was refused; `problem` says why and what to do."""


class JobFailed(_WithProblem):
    """The job ended without a result; `problem` names it, because people look for it by its id."""

    def __init__(self, job: Job, problem: Problem) -> None:
        super().__init__(named(problem, f"job {job.id}"))
        self.job = job


class JobExpired(JobFailed):
    """The job was not finished before its deadline."""


class JobCanceled(ErfscopeError):  # noqa: N818 – as above
    """The job was canceled before it had a result."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} was canceled")
        self.job = job


class ResultTimeout(ErfscopeError):  # noqa: N818 – as above
    """The job goes on; only the waiting ended. Call `result()` again, or `cancel()`."""

    def __init__(self, job: Job, timeout: float) -> None:
        share = f"{job.stage or 'no stage yet'}, {job.progress:.0%}"
        super().__init__(f"job {job.id} is still {job.status} ({share}) after {lasting(timeout)}; it goes on")
        self.job = job


class SeriesUnfinished(ErfscopeError):  # noqa: N818 – as above
    """The series has not ended in time, or some of its points did not succeed; `series` says which."""

    def __init__(self, series: Series, detail: str) -> None:
        super().__init__(detail)
        self.series = series


def class_name(kind: str) -> str:
    """Python's name for a row of the table: `invalid-target` is InvalidTarget."""
    return "".join(part.capitalize() for part in kind.split("-"))


BY_KIND: dict[str, type[APIError]] = {
    kind: type(class_name(kind), (APIError,), {"__doc__": f"{row.title}.", "__module__": "erfscope.errors"})
    for kind, row in KINDS.items()
}


def from_problem(problem: Problem) -> APIError:
    """The exception of a problem; a kind that a newer service knows is a plain APIError."""
    return BY_KIND.get(problem.kind, APIError)(problem)


def named(problem: Problem, what: str) -> Problem:
    """The problem with what it is about in its detail; one that names it already stays as it is."""
    if what in problem.detail:
        return problem
    return problem.model_copy(update={"detail": f"{problem.detail} ({what})"})


def refuse(kind: str, detail: str, **context: Any) -> APIError:
    """An error found before anything is sent, in the same words as the service's."""
    return from_problem(ProblemError(kind, detail, **context).problem)


def refuse_invalid(
    error: ValidationError, data: object, kind: str = "invalid-request", model: type[BaseModel] | None = None
) -> APIError:
    """Pydantic's complaint about `data` as the problem the service would have answered; `model` refused it."""
    errors = field_errors(error, data, model)
    detail = "; ".join(f"{item.pointer}: {item.detail}" if item.pointer else f"it {item.detail}" for item in errors)
    return from_problem(ProblemError(kind, detail, errors=errors).problem)


def for_ended(job: Job) -> ErfscopeError | None:
    """The error that a job's terminal state means; None where it succeeded (or still runs)."""
    if job.status is Status.CANCELED:
        return JobCanceled(job)
    if job.status not in (Status.FAILED, Status.EXPIRED):
        return None
    kind = JobExpired if job.status is Status.EXPIRED else JobFailed
    fallback = ProblemError("deadline" if kind is JobExpired else "internal", f"job {job.id} is {job.status}")
    return kind(job, job.error or fallback.problem)
