"""The scalars of a result as rows that people read: label, meaning, and the value as text. One CSV for all."""

import csv
import io

from pydantic import Field

from erfscope_contract.flat import flatten
from erfscope_contract.meanings import meaning_of, unit_of
from erfscope_contract.numbers import MISSING, with_error
from erfscope_contract.result import ErfResult, Frozen, Number


class Metric(Frozen):
    """One scalar of a result."""

    name: str = Field(description="Its flat name, as in the gate and in CSV files.")
    group: str = Field(description="The heading of its part of the table.")
    label: str
    meaning: str
    unit: str = Field(description="px, pixels, rad, nat, or empty for a plain number.")
    value: Number = Field(description="Null where it is undefined.")
    stderr: Number = Field(None, description="Its standard error, in the same unit; null where it is exact.")
    text: str = Field(description="Value, standard error and unit, rounded to what the error is worth.")


def written(name: str, value: Number, stderr: Number) -> str:
    """`43.32 ± 0.33 px`, by the metric's flat name; a dash where it is undefined."""
    text = with_error(value, stderr)
    return text if text == MISSING else f"{text} {unit_of(name)}".rstrip()


def metrics_of(result: ErfResult) -> list[Metric]:
    """Every scalar of a result, in the order of the flat names."""
    return [_metric(name, value, result.stderr.get(name)) for name, value in flatten(result).items()]


def _metric(name: str, value: Number, stderr: Number) -> Metric:
    row = meaning_of(name)
    return Metric(
        name=name,
        group=row.group,
        label=row.label,
        meaning=row.words,
        unit=row.unit,
        value=value,
        stderr=stderr,
        text=written(name, value, stderr),
    )


def metrics_csv(result: ErfResult) -> str:
    """One line per metric: name, value, standard error; the last two empty where undefined or exact."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("metric", "value", "stderr"))
    writer.writerows((name, value, result.stderr.get(name)) for name, value in flatten(result).items())
    return text.getvalue()
