"""The picture and the array of a measurement, as responses that clients may keep."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from erfscope_contract.parts import IMAGE, MAP, NO_IMAGE, Part
from erfscope_contract.problem import ProblemError
from erfscope_jobs.records import Record
from erfscope_picture import render
from erfscope_service.caching import immutable_headers, not_modified
from erfscope_service.reading import read_array
from erfscope_service.services import Services

PIECE = 2**18


@dataclass(frozen=True)
class Look:
    """How the map is drawn; the default look of the main map is stored with the result."""

    scale: Literal["linear", "sqrt", "log"] = "sqrt"
    colormap: str = "viridis"
    overlay: bool = False


DEFAULT_LOOK = Look()


async def heatmap(
    services: Services, record: Record, part: Part, title: str, look: Look, headers: Headers, tag: str
) -> Response:
    """The PNG: the stored one for the default look of the main map, drawn from the stored array for any other."""
    if known := not_modified(headers, tag):
        return known
    png = await picture(services, record, part, title, look)
    return Response(png, media_type="image/png", headers=immutable_headers(tag))


async def picture(services: Services, record: Record, part: Part, title: str, look: Look) -> bytes:
    """The PNG itself."""
    is_stored = look == DEFAULT_LOOK and part.array == MAP
    stored = await services.ledger.figure(record.tenant, record.answer or "") if is_stored else None
    return stored or await _drawn(services, record, part, title, look)


async def _drawn(services: Services, record: Record, part: Part, title: str, look: Look) -> bytes:
    path = await asyncio.to_thread(_array_path, services, record, part.array)
    below = await asyncio.to_thread(_array_path, services, record, IMAGE) if look.overlay else None
    async with services.easel.drawing(await asyncio.to_thread(_pixels, path, part.index)):
        return await asyncio.to_thread(_draw, path, below, part, look, title)


def _pixels(path: Path, index: int | None) -> int:
    return _row(path, index).size


def _draw(path: Path, below: Path | None, part: Part, look: Look, title: str) -> bytes:
    return render(
        _row(path, part.index),
        part.result.model_dump(mode="json"),
        scale=look.scale,
        colormap=look.colormap,
        overlay=np.array(read_array(below)) if below else None,
        title=title or None,
    )


async def array(services: Services, record: Record, part: Part, headers: Headers, tag: str | None) -> Response:
    """A stored array as it lies in the blob store, or one row of a stack, in pieces."""
    path = await asyncio.to_thread(_array_path, services, record, part.array)
    tag = tag or f'"{record.arrays[part.array]}"'
    if known := not_modified(headers, tag):
        return known
    head, data = await asyncio.to_thread(_bytes_of, path, part.index)
    sent = immutable_headers(tag) | {"Content-Length": str(len(head) + data.size)}
    return StreamingResponse(_pieces(head, data), media_type="application/x-npy", headers=sent)


def _array_path(services: Services, record: Record, name: str) -> Path:
    """In a thread: the blob store may be far away."""
    sha256 = record.arrays.get(name)
    if sha256 is None and name == IMAGE:
        raise ProblemError("not-found", NO_IMAGE)
    if sha256 is None:
        stored = ", ".join(sorted(record.arrays)) or "none"
        raise ProblemError("not-found", f"This job has no array {name!r}; it has: {stored[:1000]}.")
    if not services.blobs.exists(sha256):
        raise ProblemError("not-found", f"The array {name!r} has been removed; run the request again.")
    return services.blobs.path(sha256)


def _row(path: Path, index: int | None) -> NDArray[Any]:
    """The whole array, or one row; mapped, so that of a stack only that row is ever read."""
    whole = read_array(path)
    return whole if index is None else whole[index]


def _bytes_of(path: Path, index: int | None) -> tuple[bytes, NDArray[np.uint8]]:
    """Header and data of an .npy file of the row; the data is a view on the mapped file."""
    row = _row(path, index)
    head = BytesIO()
    npy.write_array_header_1_0(head, npy.header_data_from_array_1_0(row))
    return head.getvalue(), row.reshape(-1).view(np.uint8)


async def _pieces(head: bytes, data: NDArray[np.uint8]) -> AsyncIterator[bytes]:
    yield head
    for start in range(0, data.size, PIECE):
        yield await asyncio.to_thread(data[start : start + PIECE].tobytes)
