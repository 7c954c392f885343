"""What request headers ask for beside the body: repeat safely (Idempotency-Key), wait for the end (Prefer)."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Query, Response

from erfscope_contract.problem import ProblemError
from erfscope_service.services import Services

_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")

IdempotencyHeader = Annotated[
    str | None,
    Header(
        description="Repeat a submission safely: the same key answers with the same job. "
        "/erf, /series, /advice, /tiles and /fit have keys of their own."
    ),
]


PreferHeader = Annotated[
    str | None,
    Header(
        description="`wait=10` holds the answer up to 10 seconds, until the work has ended; the answer says in "
        "Preference-Applied how long it would have waited."
    ),
]
Purge = Annotated[bool, Query(description="Remove the record of a job that has ended.")]


@dataclass(frozen=True)
class Page:
    """Which entries of a list: how many, and after which."""

    size: int
    token: str | None


def _page(
    response: Response,
    page_size: Annotated[int, Query(ge=1, le=100, description="Entries per page.")] = 20,
    page_token: Annotated[str | None, Query(max_length=200, description="`next_page_token` of the last page.")] = None,
) -> Page:
    """Of every list; what it holds may change at any time, so nobody may keep the answer."""
    response.headers["Cache-Control"] = "no-store"
    return Page(page_size, page_token)


PageDep = Annotated[Page, Depends(_page)]


def idempotency_key_of(header: str | None) -> str | None:
    """The key as it was sent; raises `bad-request` for one that is too long or cannot be printed."""
    if header is not None and not _IDEMPOTENCY_KEY.fullmatch(header):
        raise ProblemError("bad-request", "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return header


def applied(seconds: float | None) -> dict[str, str]:
    """The header that says how long was waited at most; none where waiting was not asked for."""
    return {} if seconds is None else {"Preference-Applied": f"wait={seconds:g}"}


def seconds_to_wait(prefer: str | None, services: Services) -> float | None:
    """Of `Prefer: wait=<seconds>`, as far as this service waits; None where it was not asked for."""
    wanted = _PREFER_WAIT.search(prefer or "")
    return float(min(int(wanted[1]), services.settings.long_poll_seconds)) if wanted else None
