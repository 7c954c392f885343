"""Whether the blob store can be written: one look at a time, however many ask."""

import asyncio

from erfscope.contract.problem import ProblemError
from erfscope_jobs.blobs import BlobStore


class BlobProbe:
    """Who asks while a look is under way gets its answer: the route is open to everyone, a look costs a far store a
    call and this process one of few threads.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._look: asyncio.Task[bool] | None = None

    async def is_up(self) -> bool:
        """Whether the store takes a file."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(asyncio.to_thread(self._takes_a_file))
        return await asyncio.shield(self._look)  # one who goes away takes nothing from the others

    def _takes_a_file(self) -> bool:
        try:
            self._store.check()
        except ProblemError:
            return False
        return True
