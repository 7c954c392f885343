"""Measurements side by side: every metric, and which differences are larger than their errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

from erfscope._errors import refuse
from erfscope._result import Measured, Result
from erfscope_contract.meanings import is_shown, meaning_of
from erfscope_contract.numbers import plain, with_error
from erfscope_contract.result import Number
from erfscope_contract.significance import ROUNDING, reach
from erfscope_contract.text import for_html


@dataclass(frozen=True)
class Row:
    """One metric over all measurements; differences are to the first."""

    metric: str
    values: Sequence[Number]
    errors: Sequence[Number]

    @property
    def is_shown(self) -> bool:
        """Whether a table for people has this row."""
        return any(is_shown(self.metric, value) for value in self.values)

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
        if self.metric in ROUNDING:
            return False
        difference = self.difference(n)
        return bool(difference) and abs(difference or 0.0) > reach(self.errors[0], self.errors[n])


class Comparison:
    """Several results under their names; made by `erfscope.compare`."""

    def __init__(self, results: Sequence[Measured], names: Sequence[str]) -> None:
        self.results, self.names = list(results), list(names)

    @property
    def rows(self) -> list[Row]:
        """Every metric that some result has, in the order of the contract."""
        metrics = list(dict.fromkeys(name for result in self.results for name in result.metrics))
        return [
            Row(name, [one.metrics.get(name) for one in self.results], [one.stderr.get(name) for one in self.results])
            for name in metrics
        ]

    def to_dataframe(self) -> Any:
        """Metric by model, with standard errors, as a pandas.DataFrame (needs pandas)."""
        import pandas as pd

        columns: dict[str, list[Number]] = {}
        for n, name in enumerate(self.names):
            columns[name] = [row.values[n] for row in self.rows]
            columns[f"{name} stderr"] = [row.errors[n] for row in self.rows]
        return pd.DataFrame(columns, index=[row.metric for row in self.rows])

    def png(self) -> bytes:
        """The maps side by side on one scale, each with its maximum at 1; of volumes a plane through the centre.

        Needs erfscope's pictures, which need pillow.
        """
        try:
            from erfscope_picture.sheet import Panel, render_sheet
        except ModuleNotFoundError as error:
            raise refuse("unsupported-feature", f"pictures need pillow: install it ({error})") from None
        panels = []
        for name, result in zip(self.names, self.results, strict=True):
            if not isinstance(result, Result):
                raise refuse("unsupported-feature", "an AsyncResult's map is awaited; give `array()` of it yourself")
            size = with_error(result.metrics.get("erf_size"), result.stderr.get("erf_size"))
            panels.append(Panel(result.array(), name, f"ERF {size} px", result.data.trf.center))
        return render_sheet("Effective receptive fields", panels)

    def _repr_html_(self) -> str:
        """The table, in a notebook; differences that are more than their errors are bold."""
        heads = "".join(f"<th>{for_html(name)}</th>" for name in ("metric", *self.names))
        body = "".join(self._html_row(row) for row in self.rows if row.is_shown)
        return f"<table><tr>{heads}</tr>{body}</table>"

    def _html_row(self, row: Row) -> str:
        cells = []
        for n, (value, error) in enumerate(zip(row.values, row.errors, strict=True)):
            text = with_error(value, error)
            cells.append(f"<b>{text}</b>" if n and row.differs(n) else text)
        label = meaning_of(row.metric).label
        return f"<tr><td>{for_html(label)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"

    def __repr__(self) -> str:
        named = zip(self.names, self.results, strict=True)
        sizes = ", ".join(f"{name} {plain(one.metrics.get('erf_size'))} px" for name, one in named)
        return f"<Comparison of ERF sizes: {sizes}>"


def compare(*results: Measured, names: Sequence[str] | None = None) -> Comparison:
    """Put results side by side; differences are to the first, and weighed by their standard errors."""
    if len(results) < 2:
        raise refuse("invalid-request", "a comparison needs two results or more")
    if strangers := [one for one in results if not isinstance(one, Measured)]:
        raise refuse(
            "invalid-request", f"{type(strangers[0]).__name__} is not a result; give what `run` or `result` gave"
        )
    if names is not None and len(names) != len(results):
        raise refuse("invalid-request", f"{len(names)} names for {len(results)} results")
    return Comparison(results, _distinct(names or [result.name for result in results]))


def _distinct(names: Sequence[str]) -> list[str]:
    """The same name twice gets a number."""
    return [f"{name} ({names[: n + 1].count(name)})" if names.count(name) > 1 else name for n, name in enumerate(names)]
