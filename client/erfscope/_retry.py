"""Whether to try again, and when: decisions only, no waiting and no network."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

# Too slow on the way (408), busy (429), a proxy without its service (502) or without its answer in time (504), and "not
# now" (503). Every call of this SDK may be repeated:
# reads and DELETE by nature, uploads because they are content-addressed, submits by their Idempotency-Key.
RETRIED = frozenset({408, 429, 502, 503, 504})
HOPELESS = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)  # what is asked cannot be sent at all
PATIENCE = 60.0  # the longest Retry-After that is waited for, seconds


@dataclass(frozen=True)
class RetryPolicy:
    """Capped exponential backoff with jitter; a Retry-After of the service has the last word."""

    retries: int = 4
    first: float = 0.25
    longest: float = 8.0
    jitter: Callable[[], float] = random.random

    def delay(self, attempt: int, outcome: httpx2.Response | httpx2.TransportError) -> float | None:
        """Seconds to wait after the given attempt (0 is the first); None where the outcome stands."""
        if attempt >= self.retries:
            return None
        if isinstance(outcome, httpx2.TransportError):
            return None if isinstance(outcome, HOPELESS) else self.backoff(attempt)
        if outcome.status_code not in RETRIED:
            return None
        asked = retry_after(outcome)
        return self.backoff(attempt) if asked is None else asked if asked <= PATIENCE else None

    def backoff(self, attempt: int) -> float:
        """Between half and all of min(longest, first · 2^attempt)."""
        return min(self.longest, self.first * 2.0 ** min(attempt, 60)) * (0.5 + 0.5 * self.jitter())


def retry_after(response: httpx2.Response) -> float | None:
    """Retry-After in seconds from now, given as seconds or as an HTTP date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
