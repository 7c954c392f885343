"""When a call is repeated."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erfscope._retry import PATIENCE, RetryPolicy, retry_after


def answer(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_busy_is_repeated(status: int) -> None:
    assert RetryPolicy().delay(0, answer(status)) is not None


@pytest.mark.parametrize("status", [200, 202, 304, 400, 401, 404, 409, 413, 422, 500])
def test_an_answer_is_an_answer(status: int) -> None:
    assert RetryPolicy().delay(0, answer(status)) is None


def test_a_broken_connection_is_repeated_until_the_cap() -> None:
    error = httpx2.ConnectError("refused")
    policy = RetryPolicy(retries=2)
    assert [policy.delay(attempt, error) is None for attempt in range(4)] == [False, False, True, True]


def test_a_wrong_address_is_not_repeated() -> None:
    assert RetryPolicy().delay(0, httpx2.UnsupportedProtocol("ftp")) is None


@given(st.integers(0, 2000), st.floats(0, 1))
def test_backoff_is_bounded(attempt: int, luck: float) -> None:
    policy = RetryPolicy(first=0.25, longest=8.0, jitter=lambda: luck)
    whole = min(8.0, 0.25 * 2.0 ** min(attempt, 60))
    assert whole / 2 <= policy.backoff(attempt) <= whole


def test_retry_after_has_the_last_word() -> None:
    assert RetryPolicy().delay(3, answer(429, retry_after="7")) == 7
    assert RetryPolicy().delay(0, answer(503, retry_after=str(int(PATIENCE) + 1))) is None


def test_retry_after_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    seconds = retry_after(answer(503, retry_after=soon))
    assert seconds is not None
    assert 20 < seconds <= 30
    assert retry_after(answer(503, retry_after="Thu, 01 Jan 1998 00:00:00 GMT")) == 0


@pytest.mark.parametrize("value", ["", "soon", "-3", "1e9999", "²"])
def test_nonsense_is_no_retry_after(value: str) -> None:
    response = httpx2.Response(503, headers=[(b"retry-after", value.encode())])
    assert retry_after(response) is None
