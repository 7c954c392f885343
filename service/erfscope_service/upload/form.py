"""Forms that carry a model: its file and those beside it go to the blob store, part `request` to a buffer."""

from collections.abc import AsyncIterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from erfscope_contract.data_files import identity, location_of
from erfscope_contract.problem import ProblemError
from erfscope_contract.text import for_label
from erfscope_jobs.blobs import Blob, BlobStore
from erfscope_service.settings import ServiceSettings
from erfscope_service.upload.multipart import PartBegin, PartData, PartEnd, read_parts
from erfscope_service.upload.sink import BlobSink, Buffer, open_sink

MAX_NAME = 120
MODEL, DATA, REQUEST = "model", "data", "request"
MAX_NAMES = 100_000  # characters of all names of files beside a model


@dataclass(frozen=True)
class StoredFiles:
    """A model's blobs: the ONNX file, and by name the files beside it."""

    onnx: Blob
    data: Mapping[str, Blob] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The name of all of them together."""
        return identity(self.onnx.sha256, self.hashes)

    @property
    def hashes(self) -> dict[str, str]:
        """The sha256 of each file beside the model, by its name."""
        return {name: blob.sha256 for name, blob in self.data.items()}

    @property
    def size(self) -> int:
        """Bytes, all together."""
        return self.onnx.size + sum(blob.size for blob in self.data.values())


@dataclass(frozen=True)
class Form:
    """What came in: the stored model and the text of the request, either of which may be absent."""

    model: StoredFiles | None
    name: str
    request: bytes | None


@dataclass
class _Parts:
    """The parts of a form, as they come in; `allowed` are the names that it may have."""

    blobs: BlobStore
    limits: ServiceSettings
    allowed: tuple[str, ...]
    stack: AsyncExitStack
    name: str = ""
    model: BlobSink | None = None
    request: Buffer | None = None
    data: dict[str, BlobSink] = field(default_factory=dict)
    data_bytes: int = 0
    current: BlobSink | Buffer | None = None

    async def begin(self, part: PartBegin) -> None:
        """Open what takes the part's bytes; raises bad-request, external-data."""
        if part.name not in self.allowed:
            known = ", ".join(map(repr, self.allowed))
            raise ProblemError("bad-request", f"Unknown form part {part.name[:100]!r}; the parts are {known}.")
        if (part.name == MODEL and self.model) or (part.name == REQUEST and self.request):
            raise ProblemError("bad-request", f"The form has part {part.name!r} twice.")
        if part.name == REQUEST:
            self.current = self.request = Buffer("Part 'request'", self.limits.max_json_bytes)
        elif part.name == MODEL:
            self.name = clean_name(part.filename)
            self.current = self.model = await self._open(self.limits.max_model_bytes)
        else:
            self.current = self.data[self._data_name(part.filename)] = await self._open(None)

    async def _open(self, limit: int | None) -> BlobSink:
        return await self.stack.enter_async_context(open_sink(self.blobs, limit))

    def _data_name(self, filename: str) -> str:
        if not filename:
            raise ProblemError(
                "bad-request", "A form part 'data' has no file name; it is the one by which the model names the file."
            )
        name = location_of(filename)
        if name in self.data:
            raise ProblemError("bad-request", f"The form has two parts 'data' with the file name {name!r}.")
        if sum(map(len, self.data)) + len(name) > MAX_NAMES:
            raise ProblemError("bad-request", f"The file names of the parts 'data' have over {MAX_NAMES} characters.")
        return name

    async def write(self, piece: bytes) -> None:
        """The next bytes of the part that began last; raises too-large."""
        if isinstance(self.current, Buffer):
            self.current.write(piece)
        elif self.current is not None:
            if self.current is not self.model:
                self._count(len(piece))
            await self.current.write(piece)

    def _count(self, size: int) -> None:
        self.data_bytes += size
        limit = self.limits.max_data_bytes
        if self.data_bytes > limit:
            raise ProblemError(
                "too-large",
                f"The files beside the model are over the limit of {limit} bytes, all together.",
                limit=limit,
            )

    async def end(self) -> None:
        """The part is complete: hundreds of files must not stay open."""
        if isinstance(self.current, BlobSink):
            await self.current.seal()
        self.current = None

    async def finish(self) -> Form:
        """Everything under its name; raises bad-request for a form that lacks the model of its parts."""
        if self.model is not None and not self.model.size:
            raise ProblemError("bad-request", "The form's part 'model' is empty; send the ONNX file's bytes.")
        if self.model is None and self.data:
            raise ProblemError(
                "bad-request", "Parts 'data' come with a part 'model'; a stored model has its files already."
            )
        stored = None
        if self.model is not None:
            data = {name: await sink.commit() for name, sink in sorted(self.data.items())}
            stored = StoredFiles(await self.model.commit(), data)
        return Form(stored, self.name, self.request.value() if self.request else None)


async def read_form(
    stream: AsyncIterable[bytes],
    boundary: bytes,
    blobs: BlobStore,
    limits: ServiceSettings,
    allowed: tuple[str, ...] = (MODEL, DATA, REQUEST),
) -> Form:
    """Read the body to its end; nothing stays on disk when it is broken or refused."""
    async with AsyncExitStack() as stack:
        parts = _Parts(blobs, limits, allowed, stack)
        async for event in read_parts(stream, boundary):
            if isinstance(event, PartBegin):
                await parts.begin(event)
            elif isinstance(event, PartData):
                await parts.write(event.data)
            elif isinstance(event, PartEnd):
                await parts.end()
        return await parts.finish()


def clean_name(filename: str) -> str:
    """The last component of a file name with only printable characters: a label, never a path."""
    base = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return for_label(base)[:MAX_NAME]
