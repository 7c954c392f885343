"""A measurement in hand: metrics, map, picture, files.

`Result` reads the map and the picture when they are first asked for; `AsyncResult` is the same with await.
"""

import io
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from erfscope._errors import from_problem, refuse
from erfscope._figure import (
    VECTOR,
    FigureOptions,
    figure_of,
    needs_matplotlib,
    panel_of,
    picture_options,
    plot_on,
    plot_profile_on,
)
from erfscope.report import content_of, to_html, to_markdown
from erfscope.report.profile import profile_csv
from erfscope_contract.flat import ByName, errors_by_name, flatten
from erfscope_contract.limits import bounded, count_of, limited_areas, trf_words
from erfscope_contract.meanings import is_shown, meaning_of
from erfscope_contract.metrics import metrics_csv, text_of
from erfscope_contract.parts import select
from erfscope_contract.problem import ProblemError
from erfscope_contract.result import ErfResult
from erfscope_contract.text import for_html

Map: TypeAlias = NDArray[np.floating[Any]]
Map_co = TypeVar("Map_co", covariant=True)
Picture_co = TypeVar("Picture_co", covariant=True)


@dataclass(frozen=True)
class Origin(Generic[Map_co, Picture_co]):
    """Where the arrays of a result come from: the service, or the process that measured."""

    map: Callable[[Sequence[int] | None, str | None], Map_co]  # of the main unit, or of a unit or layer
    picture: Callable[[str | None, str | None, bool], Picture_co]  # scale, colormap, over the image


class Measured:
    """What both faces share: everything that needs no further call."""

    def __init__(self, data: ErfResult, job_id: str | None, name: str = "") -> None:
        self.data = data
        self.job_id = job_id
        self.name = name or data.layer.name

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """Every scalar by its flat name (`erf_size`, `mass_50_side`, …); None where undefined."""
        return ByName(flatten(self.data))

    @cached_property
    def stderr(self) -> dict[str, float | None]:
        """Standard error of every metric, by flat name; None where the number is exact, undefined, or of one sample."""
        return errors_by_name(self.data)

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers must know, such as zero-initialised branches, in sentences; often empty."""
        return list(self.data.provenance.notes)

    def to_json(self, indent: int | None = 2) -> str:
        """The whole result as JSON."""
        return self.data.model_dump_json(indent=indent, by_alias=True)

    def to_csv(self) -> str:
        """One line per metric: name, value, standard error."""
        return metrics_csv(self.data)

    def profile_csv(self) -> str:
        """One line per layer of the profile (layers="all"): shape, stride, TRF, ERF with standard errors.

        `limited` names the sizes that the input limits: they say how large the input is.
        """
        return profile_csv(self.data)

    def plot_profile(self, ax: Any = None, **options: Any) -> list[Any]:
        """Draw the profile along depth (`layers`) on matplotlib axes, by default the current ones; returns the artists.

        Hollow markers are sizes that the input limits, and a line is then at the input's side.
        Options: `curves` (of trf, stride, erf; also mass_20_side, mass_30_side, mass_50_side, mass_99_side), `label`
        before their names, `normalise` (x: depth from 0 to 1, y: sizes by the input's side, or both), `log` (default
        True), `names` of layers along x, and those of matplotlib's lines.
        A further profile on the same axes has the next colour. Raises BadRequest without a profile.
        """
        return plot_profile_on(ax, self.data, options)

    def __repr__(self) -> str:
        size = self.data.erf.size
        known = bounded(self.data, "erf_size", size, self.data.stderr.get("erf_size"))
        shown = "undefined" if size is None else f"{known} px"
        trf = trf_words(self.data)
        areas = limited_areas(self.data)
        where = f"{self.data.layer.name!r} unit {self.data.unit}"
        return f"<{type(self).__name__} {where}: ERF {shown}, TRF {trf}{areas}{count_of(self.notes)}>"

    def to_markdown(self, picture: str | None = None) -> str:
        """The report; `picture` is the address of the PNG."""
        return to_markdown(content_of(self.data, self.name), picture)

    def to_dataframe(self) -> Any:
        """One row per metric with value, standard error, unit and meaning, as a pandas.DataFrame (needs pandas)."""
        import pandas as pd

        rows = [
            {"metric": n, "value": v, "stderr": self.data.stderr.get(n), **_said(n)} for n, v in self.metrics.items()
        ]
        return pd.DataFrame(rows).set_index("metric")

    def _repr_html_(self) -> str:
        """The table of metrics, in a notebook."""
        data = self.data
        head = f"<b>{for_html(data.layer.name)}</b> · unit {data.unit} · input {data.input_shape}"
        rows = [("<b>metric</b>", "<b>value ± standard error</b>", "<b>name</b>")]
        shown = [name for name in self.metrics if is_shown(name, self.metrics)]
        rows += [(meaning_of(n).label, self._written(n), f"<code>{n}</code>") for n in shown]
        body = "".join("<tr><td>" + "</td><td>".join(row) + "</td></tr>" for row in rows)
        return f"<p>{head}</p><table>{body}</table>"

    def _figure(self, path: Path, map: Map, options: FigureOptions) -> bytes:
        return figure_of([[panel_of(map, self.data, self.name, options)]], path, options)

    def _part(self, unit: Sequence[int] | None, layer: str | None) -> ErfResult:
        """The result as one about a unit of its grid or a layer of its profile."""
        try:
            return select(self.data, None if unit is None else ",".join(map(str, unit)), layer).result
        except ProblemError as error:
            raise from_problem(error.problem) from None

    def _written(self, name: str) -> str:
        return text_of(self.data, name, self.metrics[name])


class Result(Measured):
    """The answer of one measurement; `data` is the whole of it, typed."""

    def __init__(self, data: ErfResult, origin: Origin[Map, bytes], job_id: str | None = None, name: str = "") -> None:
        super().__init__(data, job_id, name)
        self._origin = origin

    @cached_property
    def _map(self) -> Map:
        return self._origin.map(None, None)

    def array(self, *, unit: Sequence[int] | None = None, layer: str | None = None) -> Map:
        """The map: the input's spatial shape, maximum 1 (times 2**data.scale_log2 is the raw gradient).

        `unit` names one of a grid, `layer` one of a profile (`data.units`, `data.layers`); raises NotFound for others.
        """
        return self._map if unit is None and layer is None else self._origin.map(_index(unit), layer)

    def png(self, scale: str | None = None, colormap: str | None = None, *, overlay: bool = False) -> bytes:
        """The picture; scale is linear, sqrt or log.

        `overlay` draws the map over the first image, where the samples were images; NotFound where they were not.
        """
        return self._origin.picture(scale, colormap, overlay)

    def plot(
        self,
        ax: Any = None,
        *,
        unit: Sequence[int] | None = None,
        layer: str | None = None,
        **options: Unpack[FigureOptions],
    ) -> Any:
        """Draw the map on matplotlib axes (the current ones by default) and return them; fonts stay the axes' own.

        `unit` and `layer` choose the map as in `array`. Options are those of `save`; raises UnsupportedFeature without
        matplotlib.
        """
        return plot_on(ax, self.array(unit=unit, layer=layer), self._part(unit, layer), options)

    def compare(self, *others: Any, names: Sequence[Any] | None = None) -> Any:
        """A `Comparison` with other results; this one is the first, to which differences are taken."""
        from erfscope._compare import compare  # a comparison is made of results

        return compare(self, *others, names=names)

    def save(self, path: str | PathLike[str], **options: Unpack[FigureOptions]) -> Path:
        """Write .png, .pdf, .svg (picture), .npy (map), .json (whole result), .csv (metrics), .html or .md (report).

        Options of pictures: scale, colormap, width (inches, or "8.5cm"), dpi, font, font_size (points), contours, trf,
        and rate (samples per second) or spacing (millimetres of a step), for figures in seconds or millimetres.
        """
        path = Path(path)
        if needs_matplotlib(path, options):
            return _write(path, self._figure(path, self.array(), options))
        match _form(path):
            case ".npy":
                content = _npy(self.array())
            case ".png":
                content = self.png(*picture_options(options))
            case ".html":
                content = to_html(content_of(self.data, self.name), self.png(*picture_options(options))).encode()
            case form:
                content = _TEXTS[form](self).encode()
        return _write(path, content)

    def _repr_png_(self) -> bytes:
        """The picture, where a front end shows no HTML."""
        return self.png()

    def _repr_html_(self) -> str:
        """The picture above the table of metrics: of several forms a notebook shows the HTML alone."""
        return f'<img alt="" src="data:image/png;base64,{b64encode(self.png()).decode()}">{super()._repr_html_()}'


class AsyncResult(Measured):
    """The answer of one measurement; what needs the service is awaited."""

    def __init__(
        self,
        data: ErfResult,
        origin: Origin[Awaitable[Map], Awaitable[bytes]],
        job_id: str | None = None,
        name: str = "",
    ) -> None:
        super().__init__(data, job_id, name)
        self._origin = origin
        self._map: Map | None = None

    async def array(self, *, unit: Sequence[int] | None = None, layer: str | None = None) -> Map:
        """The map: the input's spatial shape, maximum 1 (times 2**data.scale_log2 is the raw gradient).

        `unit` names one of a grid, `layer` one of a profile (`data.units`, `data.layers`); raises NotFound for others.
        """
        if unit is not None or layer is not None:
            return await self._origin.map(_index(unit), layer)
        if self._map is None:
            self._map = await self._origin.map(None, None)
        return self._map

    async def png(self, scale: str | None = None, colormap: str | None = None, *, overlay: bool = False) -> bytes:
        """The picture; scale is linear, sqrt or log.

        `overlay` draws the map over the first image, where the samples were images; NotFound where they were not.
        """
        return await self._origin.picture(scale, colormap, overlay)

    async def plot(
        self,
        ax: Any = None,
        *,
        unit: Sequence[int] | None = None,
        layer: str | None = None,
        **options: Unpack[FigureOptions],
    ) -> Any:
        """Draw the map on matplotlib axes (the current ones by default) and return them; fonts stay the axes' own.

        `unit` and `layer` choose the map as in `array`. Options are those of `save`; raises UnsupportedFeature without
        matplotlib.
        """
        return plot_on(ax, await self.array(unit=unit, layer=layer), self._part(unit, layer), options)

    async def save(self, path: str | PathLike[str], **options: Unpack[FigureOptions]) -> Path:
        """Write .png, .pdf, .svg (picture), .npy (map), .json (whole result), .csv (metrics), .html or .md (report).

        Options of pictures: scale, colormap, width (inches, or "8.5cm"), dpi, font, font_size (points), contours, trf,
        and rate (samples per second) or spacing (millimetres of a step), for figures in seconds or millimetres.
        """
        path = Path(path)
        if needs_matplotlib(path, options):
            return _write(path, self._figure(path, await self.array(), options))
        match _form(path):
            case ".npy":
                content = _npy(await self.array())
            case ".png":
                content = await self.png(*picture_options(options))
            case ".html":
                content = to_html(content_of(self.data, self.name), await self.png(*picture_options(options))).encode()
            case form:
                content = _TEXTS[form](self).encode()
        return _write(path, content)


_TEXTS: dict[str, Callable[[Measured], str]] = {
    ".json": Measured.to_json,
    ".csv": Measured.to_csv,
    ".md": Measured.to_markdown,
}
FORMS = (".png", *VECTOR, ".npy", ".html", *_TEXTS)


def _form(path: Path) -> str:
    form = path.suffix.lower()
    if form not in FORMS:
        raise refuse("bad-request", f"{path} has no known ending; give one of {', '.join(FORMS)}")
    return form


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _npy(array: Map) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _index(unit: Sequence[int] | None) -> Sequence[int] | None:
    if unit is not None and not isinstance(unit, Sequence):
        raise refuse("invalid-request", f"unit={unit!r} is no index; give one number per axis, such as (4, 4)")
    return unit


def _said(metric: str) -> dict[str, str]:
    row = meaning_of(metric)
    return {"unit": row.unit, "meaning": row.words}
