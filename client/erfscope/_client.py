"""The blocking client."""

import os
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from pydantic import BaseModel

from erfscope import _calls, _flows, _headers, _pages, _questions, _series
from erfscope._export import InputShape
from erfscope._job import JobHandle, Progress
from erfscope._models import File, Model
from erfscope._pages import Pages
from erfscope._request import RequestFields
from erfscope._result import Result
from erfscope._retry import RetryPolicy
from erfscope._series import SeriesHandle
from erfscope._transport import Settings, Transport
from erfscope_contract.advice import Advice
from erfscope_contract.fit import Fit
from erfscope_contract.job import Health, Inspection, ListedFile, ListedJob, ListedModel, StoredFile, StoredModel
from erfscope_contract.request import ErfRequest
from erfscope_contract.series import DEFAULT_METRICS, ListedSeries, Sweep
from erfscope_contract.tiles import Tiles
from erfscope_contract.usage import Usage

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8000"


def settings(base_url: str | None, api_key: str | None, timeout: float = 30.0, retries: int = 4) -> Settings:
    """What both clients take; what is not given comes from ERFSCOPE_URL and ERFSCOPE_API_KEY."""
    url = base_url or os.environ.get("ERFSCOPE_URL") or DEFAULT_URL
    key = _headers.api_key(api_key, os.environ)
    return Settings(url.strip().rstrip("/"), key, timeout, RetryPolicy(retries))


class Client:
    """A connection to an erfscope service, for use in a `with` block or until `close()`.

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
        self._transport = Transport(settings(base_url, api_key, timeout, retries))
        self.models = Models(self._transport)
        self.files = Files(self._transport)

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return self._transport.settings.base_url

    def submit(
        self,
        model: Model | None = None,
        *,
        request: ErfRequest | Mapping[str, Any] | None = None,
        images: File | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[RequestFields],
    ) -> JobHandle:
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
        return JobHandle(self._transport, self._transport.drive(flow))

    def run(
        self,
        model: Model | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
        request: ErfRequest | Mapping[str, Any] | None = None,
        images: File | None = None,
        **fields: Unpack[RequestFields],
    ) -> Result:
        """Submit and wait: `client.run("resnet50.onnx", layer="/layer4/Add").metrics["erf_size"]`."""
        return self.submit(model, request=request, images=images, **fields).result(timeout, progress)

    def job(self, id: str) -> JobHandle:
        """A job submitted before, here or elsewhere."""
        return JobHandle(self._transport, self._transport.call(_calls.job(id)))

    def jobs(self, page_size: int = 50) -> Iterator[JobHandle]:
        """All jobs, newest first; pages are read as they are needed."""
        token: str | None = None
        while True:
            page = self._transport.call(_calls.jobs(page_size, token))
            yield from (JobHandle(self._transport, job) for job in page.jobs)
            if (token := page.next_page_token) is None:
                return

    def list_jobs(self, kind: str | None = None, status: str | None = None) -> Iterator[ListedJob]:
        """Jobs of every kind (erf, inspect, advice, tiles, fit), newest first, without requests and results."""
        yield from _every(self._transport, _pages.jobs(kind, status))

    def list_series(self) -> Iterator[ListedSeries]:
        """All series, newest first, without their points."""
        yield from _every(self._transport, _pages.SERIES)

    def series(
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
    ) -> SeriesHandle:
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
        return SeriesHandle(self._transport, self._transport.drive(flow))

    def series_of(self, id: str) -> SeriesHandle:
        """A series submitted before, here or elsewhere."""
        return SeriesHandle(self._transport, self._transport.call(_calls.series(id)))

    def advise(
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
        return self._ask(_questions.ADVICE, model, {"want": want, **fields}, timeout, progress, images)

    def tiles(
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
        return self._ask(_questions.TILES, model, {"tile": side, **fields}, timeout, progress, images)

    def fit(
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
        return self._ask(_questions.FIT, model, {"objects": list(objects), **fields}, timeout, progress, images)

    def _ask(
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
        return self._transport.drive(flow)

    def usage(self) -> Usage:
        """What your tenant stores of what it may: bytes of models, images and results, and jobs."""
        return self._transport.call(_calls.usage())

    def health(self) -> Health:
        """Whether the service is ready, and how many workers it has."""
        return self._transport.call(_calls.health())

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Models:
    """ONNX files stored with the service."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(self, model: Model, *, input_shape: InputShape | None = None) -> StoredModel:
        """Store a model; what is returned may be submitted many times."""
        return self._transport.drive(_flows.upload_model(self._transport.settings, model, input_shape))

    def inspect(
        self, model: Model, *, input_shape: InputShape | None = None, timeout: float | None = None
    ) -> Inspection:
        """Its layers with shape, TRF size and stride, inputs, operators, and what cannot be converted."""
        flow = _flows.inspect(self._transport.settings, model, input_shape, timeout)
        return self._transport.drive(flow)

    def get(self, sha256: str) -> StoredModel:
        """Look at a stored model."""
        return self._transport.call(_calls.model(sha256))

    def delete(self, sha256: str) -> None:
        """Remove a stored model."""
        self._transport.call(_calls.delete_model(sha256))

    def list(self) -> Iterator[ListedModel]:
        """All stored models, newest first."""
        yield from _every(self._transport, _pages.MODELS)


class Files:
    """Images stored with the service."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(self, file: File) -> StoredFile:
        """Store a zip, PNG, JPEG or npy; its sha256 goes into `input={"source": "images", "images": …}`."""
        return self._transport.drive(_flows.upload_file(self._transport.settings, file))

    def delete(self, sha256: str) -> None:
        """Remove stored images; results that were measured on them stay."""
        self._transport.call(_calls.delete_file(sha256))

    def list(self) -> Iterator[ListedFile]:
        """All stored images, newest first."""
        yield from _every(self._transport, _pages.FILES)


def _every(transport: Transport, pages: Pages[T]) -> Iterator[T]:
    """All entries; a page is read when it is needed."""
    token: str | None = None
    while True:
        page = transport.call(pages.call(token))
        yield from pages.entries(page)
        if (token := page.next_page_token) is None:
            return
