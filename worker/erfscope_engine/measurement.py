"""What measuring in this process gives: the result and its maps, and with the SDK's help pictures, files and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from erfscope_contract.flat import ByName, errors_by_name, flatten
from erfscope_contract.limits import bounded, count_of, limited_areas, trf_words
from erfscope_contract.result import ErfResult
from erfscope_engine.shown import shown
from erfscope_engine.stack import Stack


@dataclass(frozen=True, repr=False)
class Measurement:
    """The answer: the normalised map (maximum 1, the input's spatial shape) and everything said of it.

    `units_map` and `layers_map` are the maps of result.units and result.layers in their order, float32 of shape
    [n, *spatial], each with maximum 1; None where there are none, or where they would be too large (result.maps).
    `name` is the model's in titles. What draws and writes comes from the SDK (`as_result`).
    """

    result: ErfResult
    map: NDArray[Any]
    units_map: Stack | None = None
    layers_map: Stack | None = None
    name: str = ""

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """Every scalar by its flat name (`erf_size`, `mass_50_side`, …); None where undefined."""
        return ByName(flatten(self.result))

    @cached_property
    def stderr(self) -> dict[str, float | None]:
        """Standard error of every metric, by flat name; None where the number is exact, undefined, or of one sample."""
        return errors_by_name(self.result)

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers must know, such as zero-initialised branches, in sentences; often empty."""
        return list(self.result.provenance.notes)

    @cached_property
    def as_result(self) -> Any:
        """The `erfscope.Result` of this measurement, with all its methods; raises ProblemError without the SDK."""
        return shown(self)

    def array(self, *, unit: Sequence[int] | None = None, layer: str | None = None) -> NDArray[Any]:
        """The map, or that of one unit of a grid or one layer of a profile, each with maximum 1."""
        if unit is None and layer is None:
            return self.map
        map: NDArray[Any] = self.as_result.array(unit=unit, layer=layer)
        return map

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the map on matplotlib axes (the current ones by default) and return them; options: `Result.plot`."""
        return self.as_result.plot(ax, **options)

    def plot_profile(self, ax: Any = None, **options: Any) -> list[Any]:
        """Draw the profile along depth (`layers`) on matplotlib axes, by default the current ones; returns the artists.

        Options as in `Result.plot_profile`: curves, label, normalise, log, names, and those of matplotlib's lines.
        """
        artists: list[Any] = self.as_result.plot_profile(ax, **options)
        return artists

    def save(self, path: Any, **options: Any) -> Path:
        """Write .png, .pdf, .svg, .npy, .json, .csv, .html or .md; options as in `Result.save`."""
        written: Path = self.as_result.save(path, **options)
        return written

    def compare(self, *others: Any, names: Sequence[Any] | None = None) -> Any:
        """An `erfscope.Comparison` with other measurements or results; this one is the first."""
        return self.as_result.compare(*others, names=names)

    def to_dataframe(self) -> Any:
        """One row per metric with value, standard error, unit and meaning, as a pandas.DataFrame (needs pandas)."""
        return self.as_result.to_dataframe()

    def _repr_html_(self) -> str:
        """Picture and table, in a notebook."""
        html: str = self.as_result._repr_html_()
        return html

    def __repr__(self) -> str:
        result = self.result
        size = bounded(result, "erf_size", result.erf.size, result.stderr.get("erf_size"))
        trf = trf_words(result)
        more = limited_areas(result) + count_of(self.notes)
        return f"<Measurement {result.layer.name!r} unit {result.unit}: ERF {size} px, TRF {trf}{more}>"
