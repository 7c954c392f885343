"""Measurements side by side: every metric, and which differences are larger than their errors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

from erfscope._compare_facts import Line, measuring
from erfscope._compare_table import (
    ENDINGS,
    SCRIPTS_AREAS,
    WRITERS,
    check_metrics,
    remarked,
    steps_words,
    usual_metrics,
)
from erfscope._errors import refuse
from erfscope._figure import (
    VECTOR,
    FigureOptions,
    drawn_rows,
    figure_of,
    needs_matplotlib,
    panel_of,
    picture_options,
    plot_on,
    size_notes,
)
from erfscope._result import Map, Measured, Result
from erfscope_contract import replknet
from erfscope_contract.limits import bounded, bounds_of, count_of
from erfscope_contract.meanings import is_shown, meaning_of
from erfscope_contract.result import ErfResult, Number
from erfscope_contract.significance import ROUNDING, reach
from erfscope_contract.text import for_html

NEVER_SHOWN = frozenset({"erf_ratio"})  # of a field that the input limits: tables say so instead of a number
COMPARED_FORMS = (".png", *VECTOR, *ENDINGS)
PER_ROW = 4  # maps beside each other in a figure
WEIGHED = {"sum": "ones (channels sum)", "random": "random signs (channels random)"}
TWINS = "The same numbers to the last digit as another result: both names mean the same network with the same weights."


@dataclass(frozen=True)
class Row:
    """One metric over all measurements; differences are to the first."""

    metric: str
    values: Sequence[Number]
    errors: Sequence[Number]
    step: float = 0.0  # of the grid that the values lie on; differences of less say nothing
    bounds: Sequence[bool] = ()  # which values the input limits: they may be larger

    def difference(self, n: int) -> Number:
        """Of measurement `n` to the first; None where one is undefined."""
        first, other = self.values[0], self.values[n]
        return None if first is None or other is None else other - first

    def error(self, n: int) -> Number:
        """Standard error of that difference; None where it is exact or unknown."""
        first, other = self.errors[0], self.errors[n]
        return None if first is None and other is None else hypot(first or 0.0, other or 0.0)

    def differs(self, n: int) -> bool:
        """Whether the difference is more than its error explains; a difference of rounding says nothing."""
        difference = self.difference(n)
        if self.metric in ROUNDING or self._may_be_more(n, difference or 0.0):
            return False
        return bool(difference) and abs(difference or 0.0) - self.step > reach(self.errors[0], self.errors[n])

    def _may_be_more(self, n: int, difference: float) -> bool:
        """Whether the smaller of the two is a bound that the input sets: the network's own may be as large."""
        if not self.bounds:
            return False
        first, other = self.bounds[0], self.bounds[n]
        if self.metric in NEVER_SHOWN:
            return first or other
        return other if difference < 0 else first


Name = str | tuple[str, str]  # of a model, or of a model and its weights


class Comparison:
    """Several results under their names; made by `erfscope.compare`."""

    def __init__(self, results: Sequence[Measured], names: Sequence[Name]) -> None:
        self.results = list(results)
        self.parts = [(name,) if isinstance(name, str) else tuple(name) for name in names]
        self.names = [", ".join(part) for part in self.parts]

    @property
    def rows(self) -> list[Row]:
        """Every metric that some result has, in the order of the contract."""
        metrics = list(dict.fromkeys(name for result in self.results for name in result.metrics))
        return [
            Row(
                name,
                [one.metrics.get(name) for one in self.results],
                [one.stderr.get(name) for one in self.results],
                max((replknet.step_in(one.data, name) for one in self.results), default=0.0),
                [_is_bound(one.data, name) for one in self.results],
            )
            for name in metrics
        ]

    def is_shown(self, metric: str) -> bool:
        """Whether a table for people has the row of this metric."""
        return any(is_shown(metric, one.metrics) for one in self.results if metric in one.metrics)

    @property
    def notes(self) -> list[str]:
        """What a reader must know of some of the results, each after the names that it is about; once if of all.

        That r of RepLKNet's script lies on a grid is said once, by the tables.
        """
        about: dict[str, list[str]] = {}
        separator = "; " if any(len(part) > 1 for part in self.parts) else ", "
        ways = {one.data.provenance.channels for one in self.results}
        for name, one in zip(self.names, self.results, strict=True):
            of_the_grid = replknet.grid_words(one.data.replknet or {}, one.data.input_shape[-2:])
            notes = [] if len(ways) == 1 else [_ways(one.data.provenance.channels)]
            notes += [TWINS] if any(one is not other and _are_twins(one, other) for other in self.results) else []
            for note in [*notes, *one.data.provenance.notes]:
                if note == of_the_grid:
                    continue
                about.setdefault(note, []).append(name)
        return [
            note if len(names) == len(self.names) else f"{separator.join(names)}: {note}"
            for note, names in about.items()
        ]

    def to_dataframe(self) -> Any:
        """Metric by model, with standard errors, as a pandas.DataFrame (needs pandas)."""
        import pandas as pd

        columns: dict[str, list[Number]] = {}
        for n, name in enumerate(self.names):
            columns[name] = [row.values[n] for row in self.rows]
            columns[f"{name} stderr"] = [row.errors[n] for row in self.rows]
        return pd.DataFrame(columns, index=[row.metric for row in self.rows])

    def to_latex(self, metrics: Sequence[str] | None = None) -> str:
        r"""A row for each result with value ± standard error, as a tabular (booktabs).

        `metrics` are flat names, and "r" for RepLKNet's area ratios (default: TRF and ERF sizes, and the share of the
        input with 20, 30, 50, 99 %).
        """
        return self.table("latex", metrics)

    def to_markdown(self, metrics: Sequence[str] | None = None) -> str:
        """The same as a Markdown table."""
        return self.table("markdown", metrics)

    def to_csv(self, metrics: Sequence[str] | None = None) -> str:
        """The same as CSV: numbers in full, each with its standard error."""
        return self.table("csv", metrics)

    def table(self, form: str, metrics: Sequence[str] | None = None) -> str:
        """The table in a form: latex, markdown or csv."""
        if form not in WRITERS:
            raise refuse("bad-request", f"there is no form {form!r} of a table; there are {', '.join(WRITERS)}")
        lines = self._lines
        named = usual_metrics(lines) if metrics is None else check_metrics(metrics)
        text = WRITERS[form](lines, named)
        return remarked(text, self.notes) if form == "latex" else text

    @property
    def measuring(self) -> list[str]:
        """For a caption, in sentences: layer, unit, channels, input, samples, seed, weights, statistic and protocol."""
        return measuring(self._lines)

    @property
    def steps(self) -> str:
        """One step of the grid that RepLKNet's r lies on, at each share, in words; empty where no r was measured."""
        return steps_words(self._lines, SCRIPTS_AREAS)

    @property
    def _lines(self) -> list[Line]:
        lines = [
            Line(
                part,
                one.metrics,
                one.stderr,
                limited=bounds_of(one.data),
                measured=one.data,
                is_global=one.data.trf.is_global,
                steps={name: replknet.step_in(one.data, name) for name in SCRIPTS_AREAS},
            )
            for part, one in zip(self.parts, self.results, strict=True)
        ]
        models = [line.name[0] for line in lines]
        lines.sort(key=lambda line: models.index(line.name[0]))  # the rows of a model stand together
        return lines

    def png(self) -> bytes:
        """The maps side by side on one scale, each with its maximum at 1; of volumes a plane through the centre.

        Needs erfscope's pictures, which need pillow.
        """
        return self._sheet(None, None)

    def save(
        self, path: str | PathLike[str], *, metrics: Sequence[str] | None = None, **options: Unpack[FigureOptions]
    ) -> Path:
        """Write .pdf, .svg, .png (maps on shared scales), .tex, .md, .csv (the table of `metrics`).

        Of names with two parts (model, weights) the figure has a column for each model and a row for each kind of
        weights. Options of figures are those of `Result.save`.
        """
        path = Path(path)
        form = path.suffix.lower()
        if form in ENDINGS:
            content = self.table(ENDINGS[form], metrics).encode()
        elif form == ".png" and not needs_matplotlib(path, options) and not self._is_grid:
            content = self._sheet(*picture_options(options))
        elif form in (".png", *VECTOR):
            rows, names = self._rows(options)
            content = figure_of(rows, path, options, names)
        else:
            raise refuse("bad-request", f"{path} has no known ending; give one of {', '.join(COMPARED_FORMS)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def plot(self, axes: Iterable[Any] | None = None, **options: Unpack[FigureOptions]) -> list[Any]:
        """Draw each map on one of the matplotlib axes, titled; returns the axes, in the order of the results.

        By default they are those of a new figure, the one that `save` writes: models and weights as columns and rows.
        """
        if axes is None:
            rows, names = self._rows(options)
            drawn = [ax for row in drawn_rows(rows, options, names) for ax in row if ax]
            return [drawn[at] for at in self._order()]
        axes = list(axes)
        if len(axes) != len(self.results):
            raise refuse("bad-request", f"{len(axes)} axes for {len(self.results)} maps; give one for each")
        pairs = list(zip(axes, self.names, self._maps(), strict=True))
        for ax, name, (values, data) in pairs:
            plot_on(ax, values, data, options)
            ax.set_title(name, parse_math=False)
        return [ax for ax, _, _ in pairs]

    @property
    def _is_grid(self) -> bool:
        """Whether models and weights make columns and rows."""
        return all(len(part) == 2 for part in self.parts) and len({part[1] for part in self.parts}) > 1

    def _maps(self) -> list[tuple[Map, ErfResult]]:
        if any(not isinstance(result, Result) for result in self.results):
            raise refuse("unsupported-feature", "an AsyncResult's map is awaited; give `array()` of it yourself")
        return [(result.array(), result.data) for result in self.results if isinstance(result, Result)]

    def _rows(self, options: Mapping[str, Any]) -> tuple[list[list[Any]], list[str]]:
        """The panels of a figure by rows, and the names of the rows: a column for each model, or lines of maps."""
        maps = self._maps()
        if not self._is_grid:
            panels = [panel_of(*one, name, options) for one, name in zip(maps, self.names, strict=True)]
            return [panels[at : at + PER_ROW] for at in range(0, len(panels), PER_ROW)], []
        models, weights = self._models_and_weights()
        placed = dict(zip(self.parts, maps, strict=True))
        rows = [
            [
                panel_of(*placed[model, kind], model if kind == self._first(model) else "", options)
                if (model, kind) in placed
                else None
                for model in models
            ]
            for kind in weights
        ]
        return rows, weights

    def _first(self, model: str) -> str:
        """The weights in the uppermost row that has this model: its name stands there."""
        _, weights = self._models_and_weights()
        return next(kind for kind in weights if (model, kind) in self.parts)

    def _models_and_weights(self) -> tuple[list[str], list[str]]:
        models, weights = (list(dict.fromkeys(part[at] for part in self.parts)) for at in (0, 1))
        return models, weights

    def _order(self) -> list[int]:
        """For each result, which of the figure's panels it is, row by row."""
        if not self._is_grid:
            return list(range(len(self.results)))
        models, weights = self._models_and_weights()
        panels = [(model, kind) for kind in weights for model in models if (model, kind) in self.parts]
        return [panels.index((part[0], part[1])) for part in self.parts]

    def _sheet(self, scale: str | None, colormap: str | None) -> bytes:
        try:
            from erfscope_picture.sheet import Panel, render_sheet
        except ModuleNotFoundError as error:
            raise refuse("unsupported-feature", f"pictures need pillow: install it ({error})") from None
        panels = []
        for name, (values, data) in zip(self.names, self._maps(), strict=True):
            panels.append(Panel(values, name, size_notes(data)[0], data.trf.center))
        looks: dict[str, Any] = {
            key: value for key, value in (("scale", scale), ("colormap", colormap)) if value is not None
        }
        return render_sheet("Effective receptive fields", panels, **looks)

    def _repr_html_(self) -> str:
        """The table, in a notebook; differences that are more than their errors are bold."""
        heads = "".join(f"<th>{for_html(name)}</th>" for name in ("metric", *self.names))
        body = "".join(self._html_row(row) for row in self.rows if self.is_shown(row.metric))
        notes = "".join(f"<li>{for_html(note)}</li>" for note in self.notes)
        return f"<table><tr>{heads}</tr>{body}</table>" + (f"<ul>{notes}</ul>" if notes else "")

    def _html_row(self, row: Row) -> str:
        cells = []
        for n, (value, error) in enumerate(zip(row.values, row.errors, strict=True)):
            text = bounded(self.results[n].data, row.metric, value, error)
            cells.append(f"<b>{text}</b>" if n and row.differs(n) else text)
        label = meaning_of(row.metric).label
        return f"<tr><td>{for_html(label)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"

    def __repr__(self) -> str:
        named = zip(self.names, (one.data for one in self.results), strict=True)
        sizes = ", ".join(
            f"{name} {bounded(one, 'erf_size', one.erf.size, one.stderr.get('erf_size'))} px" for name, one in named
        )
        return f"<Comparison of ERF sizes: {sizes}{count_of(self.notes)}>"


def _ways(channels: str) -> str:
    """How the channels of the unit make one map, where it is not the same for all results."""
    return f"The channels of its unit are weighted by {WEIGHED.get(channels, channels)}."


def _are_twins(one: Measured, other: Measured) -> bool:
    return one.metrics == other.metrics and one.stderr == other.stderr and any(one.stderr.values())


def _is_bound(result: ErfResult, metric: str) -> bool:
    """Whether the input limits this metric; of the ratio, whether it limits the size."""
    return ("erf_size" if metric in NEVER_SHOWN else metric) in bounds_of(result)


def compare(*results: Any, names: Sequence[Name] | None = None) -> Comparison:
    """Put results side by side; differences are to the first, and weighed by their standard errors.

    A name is a text, or a pair of model and weights, such as ("ResNet-50", "random").
    """
    if len(results) < 2:
        raise refuse("invalid-request", "a comparison needs two results or more")
    results = tuple(getattr(one, "as_result", one) for one in results)  # measurements of the engine in this process
    if strangers := [one for one in results if not isinstance(one, Measured)]:
        raise refuse(
            "invalid-request",
            f"{type(strangers[0]).__name__} is not a result; give what `run`, `result` or the engine's `measure` gave",
        )
    if names is not None and len(names) != len(results):
        raise refuse("invalid-request", f"{len(names)} names for {len(results)} results")
    return Comparison(results, _distinct(names or [result.name for result in results]))


def _distinct(names: Sequence[Name]) -> list[Name]:
    """The same name twice gets a number."""
    return [
        _numbered(name, names[: n + 1].count(name)) if names.count(name) > 1 else name for n, name in enumerate(names)
    ]


def _numbered(name: Name, number: int) -> Name:
    return f"{name} ({number})" if isinstance(name, str) else (f"{name[0]} ({number})", name[1])
