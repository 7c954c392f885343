"""The scalars of a result as rows that people read: label, meaning, and the value as text. One CSV for all."""

import csv
import io
import re

from pydantic import Field

from erfscope_contract.flat import flatten
from erfscope_contract.lengths import NAMES, measured_in, pixels_of, rank_of
from erfscope_contract.limits import GLOBAL, LIMITED, bounded, legend_of
from erfscope_contract.meanings import meaning_of, unit_of
from erfscope_contract.numbers import MISSING, with_error
from erfscope_contract.result import ErfResult, Frozen, Number


class Metric(Frozen):
    """One scalar of a result."""

    name: str = Field(description="Its flat name, as in the gate and in CSV files.")
    group: str = Field(description="The heading of its part of the table.")
    label: str
    meaning: str
    unit: str = Field(description="px, samples or voxels, pixels, rad, nat, or empty for a plain number.")
    value: Number = Field(description="Null where it is undefined.")
    stderr: Number = Field(None, description="Its standard error, in the same unit; null where it is exact.")
    text: str = Field(description="Value, standard error and unit, rounded to what the error is worth.")


def written(name: str, value: Number, stderr: Number) -> str:
    """`43.32 ± 0.33 px`, by the metric's flat name; a dash where it is undefined."""
    text = with_error(value, stderr)
    return text if text == MISSING else f"{text} {unit_of(name)}".rstrip()


def text_of(result: ErfResult, name: str, value: Number) -> str:
    """The same of a result, in its input's unit (px, samples, voxels); a bound where the input limits the field."""
    text = bounded(result, name, value, result.stderr.get(name))
    return text if text in (MISSING, LIMITED, GLOBAL) else f"{text} {_counted(text, _unit(result, name))}".rstrip()


def _counted(text: str, unit: str) -> str:
    """The unit behind a number, singular for one: `1 sample`."""
    return unit.removesuffix("s") if text == "1" else unit


def _unit(result: ErfResult, name: str) -> str:
    return measured_in(name, None, pixels_of(rank_of(result)))[1]


def metrics_of(result: ErfResult) -> list[Metric]:
    """Every scalar of a result, in the order of the flat names."""
    return [_metric(result, name, value) for name, value in flatten(result).items()]


def meaning_in(result: ErfResult, name: str) -> str:
    """What a metric means, and the mark of its number where the input limits it."""
    return _of_input(result, meaning_of(name).words) + legend_of(result, name)


def _of_input(result: ErfResult, words: str) -> str:
    """Words about pixels, of an input that has samples or voxels instead."""
    own = NAMES.get(rank_of(result), "px")
    return words if own == "px" else re.sub(r"\bpixels\b", own, words)


def _metric(result: ErfResult, name: str, value: Number) -> Metric:
    row = meaning_of(name)
    return Metric(
        name=name,
        group=row.group,
        label=_of_input(result, row.label),
        meaning=meaning_in(result, name),
        unit=_unit(result, name),
        value=value,
        stderr=result.stderr.get(name),
        text=text_of(result, name, value),
    )


def metrics_csv(result: ErfResult) -> str:
    """One line per metric: name, value, standard error; the last two empty where undefined or exact."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("metric", "value", "stderr"))
    writer.writerows((name, value, result.stderr.get(name)) for name, value in flatten(result).items())
    return text.getvalue()
