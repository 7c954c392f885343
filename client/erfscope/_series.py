"""Several measurements as one: submitting a series, and the handle to it. `SeriesHandle` blocks, its twin awaits."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError

from erfscope import _calls, _headers
from erfscope._errors import SeriesUnfinished, refuse, refuse_invalid
from erfscope._flows import stored
from erfscope._models import Model, prepare
from erfscope._polling import until_ended
from erfscope._request import build, shapes_given
from erfscope._transport import AsyncTransport, Flow, Settings, Transport, exchange
from erfscope_contract.architecture import Architecture
from erfscope_contract.duration import lasting
from erfscope_contract.request import ErfRequest, ModelRef
from erfscope_contract.series import Member, Series, SeriesRequest, Sweep

Progress = Callable[[str, float], None]


def submit(
    settings: Settings,
    models: Sequence[Model] | None,
    sweep: Sweep | Mapping[str, Any] | None,
    *,
    x: Sequence[float] | None,
    labels: Sequence[str] | None,
    x_label: str,
    metrics: Sequence[str],
    request: ErfRequest | Mapping[str, Any] | None,
    key: str | None,
    fields: Mapping[str, Any],
) -> Flow[Series]:
    """Store the models that are files, then POST /series."""
    asked, key = build(request, fields), _headers.idempotency_key(key)
    if models is None and (x is not None or labels is not None):
        raise refuse("invalid-request", "x and labels go with models; in a sweep the values are both")
    if isinstance(models, str):
        raise refuse("invalid-request", f"models is a list of models, not one: [{models!r}, …]")
    members = None
    if models is not None:
        refs = []
        for model in models:
            refs.append((yield from stored(settings, prepare(model, shapes_given(asked, fields)))))
        members = _members(refs, x, labels)
    fields_given = {
        "models": members, "sweep": _sweep(sweep), "x_label": x_label, "metrics": list(metrics), "request": asked
    }  # fmt: skip
    try:
        body = SeriesRequest.model_validate(fields_given)
    except ValidationError as error:
        raise refuse_invalid(error, fields_given, model=SeriesRequest) from None
    return (yield from exchange(_calls.submit_series(body, key), settings))


def _sweep(sweep: Sweep | Mapping[str, Any] | None) -> Sweep | None:
    """The architecture of a sweep may be an Architecture, a preset or a path, as elsewhere."""
    if sweep is None or isinstance(sweep, Sweep):
        return sweep
    if not isinstance(sweep, Mapping) or "architecture" not in sweep:
        raise refuse("invalid-request", "a sweep is {'architecture': …, 'parameters': […], 'values': […]}")
    spec = sweep["architecture"]
    if not isinstance(spec, Mapping):
        ref = prepare(spec).ref
        if ref is None or ref.architecture is None:
            raise refuse("invalid-request", "a sweep changes an architecture spec; this is an ONNX model")
        spec = ref.architecture
    if isinstance(spec, Architecture):
        spec = spec.model_dump(mode="json", exclude_unset=True)
    body = {**sweep, "architecture": spec}
    try:
        return Sweep.model_validate(body)
    except ValidationError as error:
        raise refuse_invalid(error, body, model=Sweep) from None


def _members(refs: Sequence[ModelRef], x: Sequence[float] | None, labels: Sequence[str] | None) -> list[Member]:
    for name, given in (("x", x), ("labels", labels)):
        if given is not None and len(given) != len(refs):
            raise refuse("invalid-request", f"{name} has {len(given)} entries for {len(refs)} models")
    try:
        return [
            Member(model=ref, x=None if x is None else float(x[n]), label=None if labels is None else labels[n])
            for n, ref in enumerate(refs)
        ]
    except ValidationError as error:
        raise refuse_invalid(error, None) from None  # a member has no unions, so its locations are fields
    except (TypeError, ValueError) as error:
        raise refuse("invalid-request", f"x has an entry that is no number: {error}") from None


def finished(
    settings: Settings,
    id: str,
    timeout: float | None,
    progress: Progress | None,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[Series]:
    """Look at a series until every point has ended; raises SeriesUnfinished."""
    watch = None if progress is None else lambda series: progress("series", series.progress)
    series = yield from until_ended(settings, partial(_calls.series, id), timeout, watch, clock)
    if not series.status.is_terminal:
        raise SeriesUnfinished(
            series, f"series {id} is still {series.status} after {lasting(timeout or 0.0)}; it goes on"
        )
    return _succeeded(series)


def _succeeded(series: Series) -> Series:
    lost = [point for point in series.points if not point.metrics]
    if lost:
        said = "; ".join(f"{point.label}: {point.error.detail if point.error else point.status}" for point in lost[:3])
        raise SeriesUnfinished(series, f"{len(lost)} of {len(series.points)} points did not succeed: {said}")
    return series


class _Known:
    """The newest `Series` that was seen, and what can be read off it."""

    def __init__(self, series: Series) -> None:
        self.series = series

    @property
    def id(self) -> str:
        """The series' id; `client.series_of(id)` takes it up again, from anywhere."""
        return self.series.id

    def to_dataframe(self) -> Any:
        """One row per point, as a pandas.DataFrame; raises ImportError without pandas."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for point in self.series.points:
            row: dict[str, Any] = {"x": point.x, "label": point.label, "status": point.status.value}
            for name in self.series.metrics:
                row |= {name: point.metrics.get(name), f"{name}_stderr": point.stderr.get(name)}
            rows.append(row)
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        series = self.series
        return f"<{type(self).__name__} {series.id} {series.status} {len(series.points)} points>"


class SeriesHandle(_Known):
    """A submitted series."""

    def __init__(self, transport: Transport, series: Series) -> None:
        super().__init__(series)
        self._transport = transport

    def refresh(self) -> Series:
        """Look again."""
        self.series = self._transport.call(_calls.series(self.id))
        return self.series

    def result(self, timeout: float | None = None, progress: Progress | None = None) -> Series:
        """Wait for every point; raises SeriesUnfinished where some did not succeed, or not in time."""
        self.series = self._transport.drive(finished(self._transport.settings, self.id, timeout, progress))
        return self.series

    def chart(self, *metrics: str) -> bytes:
        """Metric over x as PNG, with standard errors and the fitted power law."""
        return self._transport.call(_calls.series_chart(self.id, metrics))

    def cancel(self) -> Series:
        """Ask for the end of every point that has not ended."""
        self.series = self._transport.call(_calls.cancel_series(self.id))
        return self.series

    def purge(self) -> None:
        """Remove the series and its jobs, which must have ended."""
        self._transport.call(_calls.purge_series(self.id))


class AsyncSeriesHandle(_Known):
    """A submitted series."""

    def __init__(self, transport: AsyncTransport, series: Series) -> None:
        super().__init__(series)
        self._transport = transport

    async def refresh(self) -> Series:
        """Look again."""
        self.series = await self._transport.call(_calls.series(self.id))
        return self.series

    async def result(self, timeout: float | None = None, progress: Progress | None = None) -> Series:
        """Wait for every point; raises SeriesUnfinished where some did not succeed, or not in time."""
        flow = finished(self._transport.settings, self.id, timeout, progress)
        self.series = await self._transport.drive(flow)
        return self.series

    async def chart(self, *metrics: str) -> bytes:
        """Metric over x as PNG, with standard errors and the fitted power law."""
        return await self._transport.call(_calls.series_chart(self.id, metrics))

    async def cancel(self) -> Series:
        """Ask for the end of every point that has not ended."""
        self.series = await self._transport.call(_calls.cancel_series(self.id))
        return self.series

    async def purge(self) -> None:
        """Remove the series and its jobs, which must have ended."""
        await self._transport.call(_calls.purge_series(self.id))
