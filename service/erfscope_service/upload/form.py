"""The form of POST /erf: part `model` goes to the blob store, part `request` to a buffer."""

import unicodedata
from collections.abc import AsyncIterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from erfscope.contract.problem import ProblemError
from erfscope_jobs.blobs import Blob, BlobStore
from erfscope_service.upload.multipart import PartBegin, PartData, read_parts
from erfscope_service.upload.sink import BlobSink, Buffer, open_sink

MAX_NAME = 120


@dataclass(frozen=True)
class Form:
    """What came in: the stored model and the text of the request, either of which may be absent."""

    model: Blob | None
    name: str
    request: bytes | None


async def read_form(
    stream: AsyncIterable[bytes], boundary: bytes, blobs: BlobStore, *, max_model: int, max_json: int
) -> Form:
    """Read the body to its end; nothing stays on disk when it is broken or refused."""
    sinks: dict[str, BlobSink | Buffer] = {}
    name = ""
    async with AsyncExitStack() as stack:
        current: BlobSink | Buffer | None = None
        async for event in read_parts(stream, boundary):
            if isinstance(event, PartBegin):
                _refuse(event.name, sinks)
                if event.name == "model":
                    name = clean_name(event.filename)
                    current = await stack.enter_async_context(open_sink(blobs, max_model))
                else:
                    current = Buffer("Part 'request'", max_json)
                sinks[event.name] = current
            elif isinstance(event, PartData):
                if isinstance(current, BlobSink):
                    await current.write(event.data)
                elif current is not None:
                    current.write(event.data)
        return await _finish(sinks, name)


def _refuse(name: str, sinks: dict[str, BlobSink | Buffer]) -> None:
    if name not in ("model", "request"):
        raise ProblemError(
            "bad-request", f"Unknown form part {name[:100]!r}; the parts are 'model' (ONNX) and 'request'."
        )
    if name in sinks:
        raise ProblemError("bad-request", f"The form has part {name!r} twice.")


async def _finish(sinks: dict[str, BlobSink | Buffer], name: str) -> Form:
    model, request = sinks.get("model"), sinks.get("request")
    if isinstance(model, BlobSink) and not model.size:
        raise ProblemError("bad-request", "The form's part 'model' is empty; send the ONNX file's bytes.")
    return Form(
        model=await model.commit() if isinstance(model, BlobSink) else None,
        name=name,
        request=request.value() if isinstance(request, Buffer) else None,
    )


def clean_name(filename: str) -> str:
    """The last component of a file name with only printable characters: a label, never a path."""
    base = filename.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in base if unicodedata.category(c)[0] not in "CZ" or c == " ")
    return kept.strip()[:MAX_NAME]
