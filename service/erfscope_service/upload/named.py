"""Files that a model names and that did not come with it: refused at once, where a short look can tell."""

import asyncio

from erfscope_contract.data_files import location_of, matched
from erfscope_contract.named_files import names_in
from erfscope_jobs.blobs import BlobStore
from erfscope_service.upload.form import StoredFiles

# A model whose weights are elsewhere is small. A larger one, or one of more fields, is left to the worker, which looks
# at every model anyway; a look within these bounds takes half a second at most, in a thread.
MOST_BYTES = 2 << 20
MOST_FIELDS = 300_000


async def require_named(blobs: BlobStore, stored: StoredFiles) -> None:
    """Raises ProblemError("external-data") where the model names a file that was not sent, or does not name one."""
    if stored.onnx.size <= MOST_BYTES:
        await asyncio.to_thread(_check, blobs, stored)


def _check(blobs: BlobStore, stored: StoredFiles) -> None:
    names = names_in(blobs.path(stored.onnx.sha256), MOST_FIELDS)
    if names:
        matched(stored.hashes, list(map(location_of, names)))
