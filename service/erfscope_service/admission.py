"""Whether there is room for a file or for work, asked before a byte of it is read."""

from collections.abc import Mapping

from erfscope_contract.problem import ProblemError
from erfscope_service.services import Services
from erfscope_service.settings import ServiceSettings


async def require_room(services: Services, tenant: str, kind: str, headers: Mapping[str, str]) -> None:
    """Pass where a tenant may store a file of that kind (`model`, `file`) and of the announced length.

    Raises:
        ProblemError: `quota-exceeded`; `unavailable` above the watermark of memory or disk.
    """
    require_disk(services)
    await services.ledger.admit(tenant, kind, announced(headers, services.settings))


def announced(headers: Mapping[str, str], settings: ServiceSettings) -> int:
    """The length of a body that may come at all; 0 where none is told, or where it is a 413 anyway."""
    length = headers.get("content-length", "")
    size = int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else 0
    return size if size <= settings.max_model_bytes + settings.max_data_bytes else 0


def require_disk(services: Services) -> None:
    """Pass below the watermark of the disk; raises `unavailable` above it."""
    disk, most = services.blobs.disk(), services.settings.disk_watermark
    if disk and disk.used_share > most:
        raise ProblemError(
            "unavailable",
            f"The disk of the file store has no room left for new work: {disk.used_share:.0%} of it is used, the limit "
            f"is {most:.0%}. Try again later, and tell whoever runs this service if that does not help.",
            retry_after=30,
        )
