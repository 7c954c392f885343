"""The picture and the array of a measurement, as responses that clients may keep."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from erfscope import __version__
from erfscope.contract.job import Job
from erfscope.contract.problem import FieldError, ProblemError
from erfscope_jobs.records import Record
from erfscope_picture import render
from erfscope_service.caching import etag, immutable_headers, not_modified
from erfscope_service.services import Services

PIECE = 2**18
MAP = "map"
OVERLAY = "overlay"


@dataclass(frozen=True)
class Look:
    """How the map is drawn; the default look is stored with the result."""

    scale: Literal["linear", "sqrt", "log"] = "sqrt"
    colormap: str = "viridis"
    overlay: bool = False


DEFAULT_LOOK = Look()
_ONE_AT_A_TIME = asyncio.Semaphore(2)  # a picture of 4096² takes a second of a core and 1 GB


async def heatmap(services: Services, record: Record, job: Job, look: Look, headers: Headers) -> Response:
    """The PNG: the stored one for the default look, drawn from the stored map for any other."""
    tag = etag("heatmap", __version__, record.result_sha256 or record.id, job.model.name, repr(look))
    if known := not_modified(headers, tag):
        return known
    stored = await services.ledger.figure(record.answer or "") if look == DEFAULT_LOOK else None
    png = stored or await _drawn(services, record, job, look)
    return Response(png, media_type="image/png", headers=immutable_headers(tag))


async def _drawn(services: Services, record: Record, job: Job, look: Look) -> bytes:
    assert job.result is not None  # `succeeded` saw to it
    result: Mapping[str, Any] = job.result.model_dump(mode="json")
    paths = {MAP: _array_path(services, record, MAP)}
    if look.overlay:
        paths[OVERLAY] = _array_path(services, record, OVERLAY)
    async with _ONE_AT_A_TIME:
        return await asyncio.to_thread(_draw, paths, result, look, job.model.name)


def _draw(paths: Mapping[str, Path], result: Mapping[str, Any], look: Look, title: str) -> bytes:
    overlay = _load(paths[OVERLAY]) if OVERLAY in paths else None
    return render(
        _load(paths[MAP]),
        result,
        scale=look.scale,
        colormap=look.colormap,
        overlay=overlay,
        title=title or None,
    )


def _load(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    return array


async def array(services: Services, record: Record, name: str, headers: Headers) -> Response:
    """A stored array as it lies in the blob store, in pieces."""
    path = _array_path(services, record, name)
    tag = f'"{record.arrays[name]}"'
    if known := not_modified(headers, tag):
        return known
    size = (await asyncio.to_thread(path.stat)).st_size
    sent = immutable_headers(tag) | {"Content-Length": str(size)}
    return StreamingResponse(_pieces(path), media_type="application/x-npy", headers=sent)


def refuse_unknown(query: Iterable[str]) -> None:
    """A picture of the main unit is no answer to a question about another unit or layer."""
    unknown = sorted(set(query) - {field.name for field in fields(Look)})
    if unknown:
        words = "heatmap.png takes scale, colormap and overlay; it shows the job's main unit."
        errors = [FieldError(pointer=f"/query/{name[:100]}", detail=words) for name in unknown[:10]]
        raise ProblemError("invalid-request", f"Unknown query parameter {unknown[0][:100]!r}: {words}", errors=errors)


def array_name(unit: str | None, layer: str | None) -> str:
    """Which stored array is asked for: the map, or that of one unit of a grid or one layer of a profile."""
    if unit is not None and layer is not None:
        raise ProblemError("invalid-request", "Give unit or layer, not both.")
    if unit is not None:
        return f"{MAP}:unit:{unit}"
    return MAP if layer is None else f"{MAP}:layer:{layer}"


def _array_path(services: Services, record: Record, name: str) -> Path:
    sha256 = record.arrays.get(name)
    if sha256 is None:
        stored = ", ".join(sorted(record.arrays)) or "none"
        raise ProblemError("not-found", f"This job has no array {name[:200]!r}; it has: {stored[:1000]}.")
    if not services.blobs.exists(sha256):
        raise ProblemError("not-found", f"The array {name[:200]!r} has been removed; run the request again.")
    return services.blobs.path(sha256)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
