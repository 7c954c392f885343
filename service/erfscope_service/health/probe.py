"""Whether the blob store can be written: one look at a time, however many ask."""

import asyncio

from erfscope_contract.problem import ProblemError
from erfscope_jobs.blobs import BlobStore


class BlobProbe:
    """Who asks while a look is under way gets its answer: the route is open to everyone, a look costs a far store a
    call and this process one of few threads.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._look: asyncio.Task[str] | None = None

    async def ailment(self) -> str:
        """Why the store takes no file, in words; empty where it does."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(asyncio.to_thread(self._ails))
        return await asyncio.shield(self._look)  # one who goes away takes nothing from the others

    def _ails(self) -> str:
        try:
            self._store.check()
        except ProblemError as error:
            return error.problem.detail
        return ""
