"""The ledger with one deadline per call, so that the service answers within 3 s whatever Redis does.

redis-py's timeouts hold per socket operation: when Redis is frozen, a call that has to connect again waits for the
handshake, and once more for its retry (measured: 4 s at a timeout of 2 s, 32 s for a patient connection).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from erfscope_jobs.call import Call
from erfscope_jobs.ledger import AsyncLedger
from erfscope_jobs.records import Submission, Submitted
from erfscope_jobs.wire import unavailable

T = TypeVar("T")
SUBMIT_SECONDS = 2.5  # the record, and its way to the disk


class PromptLedger(AsyncLedger):
    """`AsyncLedger`, never late."""

    async def run(self, call: Call[T]) -> T:
        """Send one call and read its reply."""
        async with _deadline(self.settings.redis_timeout + call.patience):
            return await super().run(call)

    async def submit(self, job: Submission) -> Submitted:
        """SUBMIT, and wait until it is on disk."""
        async with _deadline(SUBMIT_SECONDS):
            return await super().submit(job)


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise unavailable(f"no answer within {seconds:g} s") from error
