"""The ladder of exceptions and the table it is made from."""

import pytest
from pydantic import ValidationError

from erfscope import errors
from erfscope._errors import class_name, for_ended, from_problem, refuse, refuse_invalid
from erfscope_contract.job import Job
from erfscope_contract.problem import KINDS, Problem
from erfscope_contract.request import ErfRequest

from .conftest import job_json, problem_json, succeeded


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_a_class(kind: str) -> None:
    error = refuse(kind, "some detail", layer="x")
    assert type(error) is getattr(errors, class_name(kind))
    assert isinstance(error, errors.APIError)
    assert (error.kind, error.problem.status) == (kind, KINDS[kind].status)
    assert error.problem.context == {"layer": "x"}
    assert str(error) == f"{KINDS[kind].title}: some detail"


def test_errors_lists_its_names() -> None:
    assert {"InvalidTarget", "NotFound", "JobFailed"} <= set(dir(errors))
    assert all(issubclass(getattr(errors, name), errors.ErfscopeError) for name in errors.__all__)
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = errors.NoSuchThing


def test_a_kind_of_a_newer_service_is_an_api_error() -> None:
    problem = Problem(type="/problems/brand-new", title="New", status=422, detail="d")
    assert type(from_problem(problem)) is errors.APIError


def test_pydantic_errors_name_the_field() -> None:
    body = {"average": {"inputs": 0}, "colour": 1}
    with pytest.raises(ValidationError) as caught:
        ErfRequest.model_validate(body)
    error = refuse_invalid(caught.value, body)
    assert isinstance(error, errors.APIError)
    assert {item.pointer for item in error.problem.errors} == {"/average/inputs", "/colour"}
    assert "/average/inputs" in str(error)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (succeeded(), None),
        (job_json(), None),
        (job_json(status="canceled"), errors.JobCanceled),
        (job_json(status="failed", error=problem_json("no-gradient", "none")), errors.JobFailed),
        (job_json(status="expired"), errors.JobExpired),
    ],
)
def test_terminal_states(job: dict[str, object], expected: type[Exception] | None) -> None:
    error = for_ended(Job.model_validate(job))
    assert error is None if expected is None else type(error) is expected


def test_a_failed_job_keeps_the_problem() -> None:
    job = Job.model_validate(job_json(status="failed", error=problem_json("no-gradient", "none reached it")))
    error = for_ended(job)
    assert isinstance(error, errors.JobFailed)
    assert (error.kind, error.job.id) == ("no-gradient", "job-1")
