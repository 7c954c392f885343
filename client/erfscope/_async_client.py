"""The async client: `Client` with await."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from pydantic import BaseModel

from erfscope import _calls, _flows, _pages, _questions, _series
from erfscope._client import settings
from erfscope._export import InputShape
from erfscope._job import AsyncJobHandle, Progress
from erfscope._models import File, Model
from erfscope._pages import Pages
from erfscope._request import RequestFields
from erfscope._result import AsyncResult
from erfscope._series import AsyncSeriesHandle
from erfscope._transport import AsyncTransport
from erfscope_contract.advice import Advice
from erfscope_contract.fit import Fit
from erfscope_contract.job import Health, Inspection, ListedFile, ListedJob, ListedModel, StoredFile, StoredModel
from erfscope_contract.request import ErfRequest
from erfscope_contract.series import DEFAULT_METRICS, ListedSeries, Sweep
from erfscope_contract.tiles import Tiles
from erfscope_contract.usage import Usage

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")


class AsyncClient:
    """A connection to an erfscope service, for use in an `async with` block or until `close()`.

    `timeout` is for one exchange over the network in seconds, not for a job; `retries` counts the attempts
    after the first, at a service that is busy or away.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
    ) -> None:
        self._transport = AsyncTransport(settings(base_url, api_key, timeout, retries))
        self.models = AsyncModels(self._transport)
        self.files = AsyncFiles(self._transport)

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return self._transport.settings.base_url

    async def submit(
        self,
        model: Model | None = None,
        *,
        request: ErfRequest | Mapping[str, Any] | None = None,
        images: File | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[RequestFields],
    ) -> AsyncJobHandle:
        """Ask for a measurement and return at once.

        `fields` are laid over `request`; `images` (zip, PNG, JPEG, npy) is uploaded and becomes the input.
        One question sent twice under one `idempotency_key` is one job; a key is made where none is given.
        """
        flow = _flows.submit(
            self._transport.settings,
            model,
            request=request,
            images=images,
            key=idempotency_key,
            fields=fields,
        )
        return AsyncJobHandle(self._transport, await self._transport.drive(flow))

    async def run(
        self,
        model: Model | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
        request: ErfRequest | Mapping[str, Any] | None = None,
        images: File | None = None,
        **fields: Unpack[RequestFields],
    ) -> AsyncResult:
        """Submit and wait."""
        job = await self.submit(model, request=request, images=images, **fields)
        return await job.result(timeout, progress)

    async def job(self, id: str) -> AsyncJobHandle:
        """A job submitted before, here or elsewhere."""
        return AsyncJobHandle(self._transport, await self._transport.call(_calls.job(id)))

    async def jobs(self, page_size: int = 50) -> AsyncIterator[AsyncJobHandle]:
        """All jobs, newest first; pages are read as they are needed."""
        token: str | None = None
        while True:
            page = await self._transport.call(_calls.jobs(page_size, token))
            for job in page.jobs:
                yield AsyncJobHandle(self._transport, job)
            if (token := page.next_page_token) is None:
                return

    async def list_jobs(self, kind: str | None = None, status: str | None = None) -> AsyncIterator[ListedJob]:
        """Jobs of every kind (erf, inspect, advice, tiles, fit), newest first, without requests and results."""
        async for one in _every(self._transport, _pages.jobs(kind, status)):
            yield one

    async def list_series(self) -> AsyncIterator[ListedSeries]:
        """All series, newest first, without their points."""
        async for one in _every(self._transport, _pages.SERIES):
            yield one

    async def series(
        self,
        models: Sequence[Model] | None = None,
        *,
        sweep: Sweep | Mapping[str, Any] | None = None,
        x: Sequence[float] | None = None,
        labels: Sequence[str] | None = None,
        x_label: str = "",
        metrics: Sequence[str] = DEFAULT_METRICS,
        request: ErfRequest | Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[RequestFields],
    ) -> AsyncSeriesHandle:
        """Measure several models (checkpoints) or a swept spec as one series, and return at once.

        `x` places the models (epochs, depths); a sweep is `{"architecture": …, "parameters": ["/layers/0/times"],
        "values": [5, 10, 20]}`. `fields` are laid over `request`, the same for every point.
        """
        flow = _series.submit(
            self._transport.settings,
            models,
            sweep,
            x=x,
            labels=labels,
            x_label=x_label,
            metrics=metrics,
            request=request,
            key=idempotency_key,
            fields=fields,
        )
        return AsyncSeriesHandle(self._transport, await self._transport.drive(flow))

    async def series_of(self, id: str) -> AsyncSeriesHandle:
        """A series submitted before, here or elsewhere."""
        return AsyncSeriesHandle(self._transport, await self._transport.call(_calls.series(id)))

    async def advise(
        self,
        model: Model,
        *,
        want: float | None = None,
        images: File | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
        **fields: Any,
    ) -> Advice:
        """Changes of `model` that give a unit an ERF of `want` pixels, measured and priced, and what each layer adds.

        Instead of `want` give `object_size`, the pixels that a unit must see. `images` (zip, PNG, JPEG, npy) takes the
        place of noise where sizes are measured. Other `fields` are of AdviceRequest: layer, weights, verify, samples,
        latency, seed, input. Waits for the answer.
        """
        return await self._ask(_questions.ADVICE, model, {"want": want, **fields}, timeout, progress, images)

    async def tiles(
        self,
        model: Model,
        *,
        tile: int | Sequence[int],
        images: File | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
        **fields: Any,
    ) -> Tiles:
        """Halo, alignment and crop with which `model` gives on tiles of `tile` pixels what it gives on a whole image.

        `images` (zip, PNG, JPEG, npy) takes the place of noise in the check. `fields` are those of TilesRequest: image,
        layers, halo, input, weights, samples. Waits for the answer, which the service has checked by running the tiles;
        raises UnsupportedModel where no tile can give that.
        """
        side = tile if isinstance(tile, int) else list(tile)
        return await self._ask(_questions.TILES, model, {"tile": side, **fields}, timeout, progress, images)

    async def fit(
        self,
        model: Model,
        *,
        objects: Sequence[float],
        images: File | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
        **fields: Any,
    ) -> Fit:
        """Every head and level of `model` with stride, TRF and ERF, and which of the `objects` (pixels) it holds.

        `images` (zip, PNG, JPEG, npy) takes the place of noise. `fields` are those of FitRequest: layers, input,
        weights, samples, seed. Waits for the answer.
        """
        return await self._ask(_questions.FIT, model, {"objects": list(objects), **fields}, timeout, progress, images)

    async def _ask(
        self,
        kind: _questions.Question[Any, A],
        model: Model,
        fields: Mapping[str, Any],
        timeout: float | None,
        progress: Progress | None,
        images: File | None = None,
    ) -> A:
        settings = self._transport.settings
        flow = _questions.ask(settings, kind, model, fields, timeout=timeout, progress=progress, images=images)
        return await self._transport.drive(flow)

    async def usage(self) -> Usage:
        """What your tenant stores of what it may: bytes of models, images and results, and jobs."""
        return await self._transport.call(_calls.usage())

    async def health(self) -> Health:
        """Whether the service is ready, and how many workers it has."""
        return await self._transport.call(_calls.health())

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncModels:
    """ONNX files stored with the service."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def upload(self, model: Model, *, input_shape: InputShape | None = None) -> StoredModel:
        """Store a model; what is returned may be submitted many times."""
        return await self._transport.drive(_flows.upload_model(self._transport.settings, model, input_shape))

    async def inspect(
        self, model: Model, *, input_shape: InputShape | None = None, timeout: float | None = None
    ) -> Inspection:
        """Its layers with shape, TRF size and stride, inputs, operators, and what cannot be converted."""
        flow = _flows.inspect(self._transport.settings, model, input_shape, timeout)
        return await self._transport.drive(flow)

    async def get(self, sha256: str) -> StoredModel:
        """Look at a stored model."""
        return await self._transport.call(_calls.model(sha256))

    async def delete(self, sha256: str) -> None:
        """Remove a stored model."""
        await self._transport.call(_calls.delete_model(sha256))

    async def list(self) -> AsyncIterator[ListedModel]:
        """All stored models, newest first."""
        async for one in _every(self._transport, _pages.MODELS):
            yield one


class AsyncFiles:
    """Images stored with the service."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def upload(self, file: File) -> StoredFile:
        """Store a zip, PNG, JPEG or npy; its sha256 goes into `input={"source": "images", "images": …}`."""
        return await self._transport.drive(_flows.upload_file(self._transport.settings, file))

    async def delete(self, sha256: str) -> None:
        """Remove stored images; results that were measured on them stay."""
        await self._transport.call(_calls.delete_file(sha256))

    async def list(self) -> AsyncIterator[ListedFile]:
        """All stored images, newest first."""
        async for one in _every(self._transport, _pages.FILES):
            yield one


async def _every(transport: AsyncTransport, pages: Pages[T]) -> AsyncIterator[T]:
    """All entries; a page is read when it is needed."""
    token: str | None = None
    while True:
        page = await transport.call(pages.call(token))
        for entry in pages.entries(page):
            yield entry
        if (token := page.next_page_token) is None:
            return
