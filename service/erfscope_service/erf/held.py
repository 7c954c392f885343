"""What a client holds already: a 304 for a job that has ended, for which neither request nor result is read."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import Response

from erfscope_contract.parts import MAP
from erfscope_contract.version import __version__
from erfscope_jobs.records import Glance, Kind
from erfscope_service.caching import etag, holds, unchanged
from erfscope_service.services import Services

TagOf = Callable[[Glance], str | None]  # None: the job has no such part


async def held(services: Services, tenant: str, id: str, headers: Headers, tag_of: TagOf) -> Response | None:
    """The 304, where the client names the tag itself: it was given out for exactly this, and a job never changes.

    None for everything else, `*` too: whether there is such a part has to be seen first.
    """
    if "if-none-match" not in headers:
        return None
    glance = await services.ledger.glance(id, tenant)
    if glance is None or glance.kind is not Kind.ERF or not glance.status.is_terminal:
        return None
    tag = tag_of(glance)
    return unchanged(tag) if tag is not None and holds(headers, tag) else None


def of_job(job: Glance) -> str:
    """The tag of the Job itself."""
    return etag("job", __version__, job.id, job.status, job.result_sha256 or "", job.last_event)


def of_document(job: Glance, form: str) -> str:
    """The tag of a report in that form."""
    return etag("report", form, __version__, job.id, job.result_sha256 or "")


def of_picture(job: Glance, look: str, unit: str | None, layer: str | None) -> str:
    """The tag of the picture of one part, in that look."""
    return etag("heatmap", __version__, job.id, job.result_sha256 or "", look, repr((unit, layer)))


def of_array(job: Glance, unit: str | None, layer: str | None) -> str | None:
    """The tag of an array: of the main map its sha256."""
    if unit is not None or layer is not None:
        return etag("array", __version__, job.id, job.result_sha256 or "", repr((unit, layer)))
    return f'"{job.arrays[MAP]}"' if MAP in job.arrays else None
