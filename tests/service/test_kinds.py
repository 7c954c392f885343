"""/problems: the `type` of every problem leads to what it means."""

import httpx2
import pytest
from tests.service.conftest import assert_problem

from erfscope_contract.problem import KINDS, Fault, kind_of_status

ROW = {"type", "title", "status", "fault", "exit_code", "hint", "retry_after"}


def test_the_type_of_a_problem_is_an_address(client: httpx2.Client) -> None:
    problem = client.get("/erf/unknown").json()
    response = client.get(problem["type"])
    assert response.status_code == 200
    row = response.json()
    assert set(row) == ROW
    assert (row["type"], row["title"], row["status"]) == (problem["type"], problem["title"], 404)
    assert (row["fault"], row["exit_code"]) == ("request", 2)


def test_all_are_listed(client: httpx2.Client) -> None:
    rows = client.get("/problems").json()
    assert [row["type"] for row in rows] == [f"/problems/{kind}" for kind in KINDS]


def test_an_unknown_kind(client: httpx2.Client) -> None:
    detail = assert_problem(client.get("/problems/nothing-of-the-kind"), 404, "not-found")["detail"]
    assert "GET /problems" in detail


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_says_what_to_do_and_a_fault_of_the_service_is_no_fault_of_the_request(kind: str) -> None:
    row = KINDS[kind]
    assert row.hint.endswith("."), "a sentence"
    assert row.title[0].isupper()
    assert not row.title.endswith(".")
    if row.status >= 500:
        assert row.fault is Fault.SERVICE
    if row.fault is not Fault.SERVICE:
        assert row.status < 500


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "bad-request"), (404, "not-found"), (408, "too-slow"), (422, "invalid-request"), (418, "bad-request"),
     (429, "too-many-requests"), (500, "internal"), (502, "unavailable"), (503, "unavailable"), (504, "unavailable"),
     (599, "internal")],
)  # fmt: skip
def test_the_kind_of_an_error_that_has_only_a_status(status: int, kind: str) -> None:
    assert kind_of_status(status) == kind
