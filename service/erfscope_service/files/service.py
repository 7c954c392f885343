"""What happens to image files: known by their first bytes, stored, never decoded here."""

from collections.abc import AsyncIterable, AsyncIterator

from erfscope_contract.job import ListedFile, ListedFiles, StoredFile
from erfscope_contract.problem import ProblemError
from erfscope_jobs.records import Upload
from erfscope_service.preferences import Page
from erfscope_service.services import Services
from erfscope_service.stored import FILE
from erfscope_service.upload.sink import store

_LONGEST_SIGNATURE = 12


def is_known(head: bytes) -> bool:
    """Whether the first bytes are those of a PNG, JPEG, WebP, zip or npy."""
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"PK\x03\x04", b"\x93NUMPY"))


async def keep(services: Services, tenant: str, chunks: AsyncIterable[bytes], name: str) -> StoredFile:
    """Store the file as the tenant's."""
    blob = await store(_recognised(chunks), services.blobs, services.settings.max_file_bytes)
    await services.ledger.put_upload(Upload(tenant, FILE, sha256=blob.sha256, size=blob.size, name=name))
    return StoredFile(sha256=blob.sha256, size=blob.size)


async def page(services: Services, tenant: str, asked: Page) -> ListedFiles:
    """One page of a tenant's images, newest first."""
    page = await services.ledger.list_uploads(tenant, FILE, asked.size, asked.token)
    files = [
        ListedFile(sha256=one.sha256, size=one.size, name=one.name, created_at=one.created_at)
        for one in page.uploads
        if one.created_at is not None
    ]
    return ListedFiles(files=files, next_page_token=page.next_token)


async def drop(services: Services, tenant: str, sha256: str) -> None:
    """Forget the images; their bytes go when no job needs them."""
    if not await services.ledger.drop_upload(tenant, FILE, sha256):
        raise ProblemError("not-found", f"There are no stored images {sha256[:64]!r}; GET /files lists yours.")


async def _recognised(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes; refuses a file that is not an image before the rest of it is read."""
    head = b""
    is_judged = False
    async for chunk in chunks:
        if is_judged:
            yield chunk
            continue
        head += chunk
        if len(head) >= _LONGEST_SIGNATURE:
            _refuse_strangers(head)
            is_judged = True
            yield head
    if not is_judged and head:
        _refuse_strangers(head)
        yield head


def _refuse_strangers(head: bytes) -> None:
    if not is_known(head):
        raise ProblemError(
            "unsupported-media-type",
            "The file is no PNG, JPEG or WebP image, no zip of them, and no npy array.",
        )
