"""What a report says, whatever its form: title, facts, tables, notes. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from erfscope.contract.flat import flatten
from erfscope.contract.meanings import grouped, meaning_of
from erfscope.contract.result import ErfResult, LayerProfile, UnitEntry
from erfscope.numbers import MISSING, plain, with_error

MOST_ROWS = 400  # of a grid or a profile; the whole of it stands in the JSON
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Table:
    """A titled table of text."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 0  # the columns before this one hold numbers on the right; the rest are words


@dataclass(frozen=True)
class Content:
    """A whole report."""

    title: str
    headline: str
    facts: Sequence[tuple[str, str]]
    tables: Sequence[Table]
    notes: Sequence[str]


def content_of(result: ErfResult, name: str) -> Content:
    """Everything of a result that a person reads."""
    return Content(
        title=f"Receptive field of {name}",
        headline=_headline(result),
        facts=_facts(result),
        tables=[*_metrics(result), *_ranking(result), *profile(result.layers), *grid(result.units)],
        notes=result.provenance.notes,
    )


def _headline(result: ErfResult) -> str:
    size = with_error(result.erf.size, result.stderr.get("erf_size"))
    trf = "×".join(str(side) for side in result.trf.size)
    share = f" ({100 * result.erf.ratio:.3g} %)" if result.erf.ratio is not None else ""
    seen = " The whole input, by an operator that sees all of it." if result.trf.is_global else ""
    return f"The unit can see {trf} px and listens to {size} px of it{share}.{seen}"


def _facts(result: ErfResult) -> list[tuple[str, str]]:
    box = ", ".join(f"{start} … {stop}" for start, stop in result.trf.box)
    made = result.provenance
    return [
        ("layer", f"{result.layer.name} ({result.layer.operator}, shape {_shape(result.layer.shape)})"),
        ("unit", _shape(result.unit)),
        ("input", f"{_shape(result.input_shape)}, {made.source}"),
        ("TRF box", f"{box} px{', clipped by the border' if result.trf.clipped else ''}"),
        ("TRF stride", "×".join(plain(stride, "varies") for stride in result.trf.stride) + " px"),
        (
            "average",
            f"{made.samples} samples, {result.samples.dead} dead, statistic {made.statistic}, seed {made.seed}",
        ),
        ("method", f"{made.method}, channels {made.channels}, weights {made.weights}"),
        ("made by", f"erfscope {made.engine}, torch {made.torch}, {made.device}, {made.dtype}, {made.threads} threads"),
        *([("model sha256", made.model_sha256)] if made.model_sha256 else []),
    ]


def _shape(sizes: Sequence[int]) -> str:
    return "[" + ", ".join(str(size) for size in sizes) + "]"


def _metrics(result: ErfResult) -> list[Table]:
    flat = flatten(result)
    tables = []
    for group, names in grouped(flat).items():
        rows = []
        for name in names:
            row = meaning_of(name)
            value = with_error(flat[name], result.stderr.get(name))
            unit = row.unit if value != MISSING else ""
            rows.append((row.label, f"{value} {unit}".strip(), name, row.words))
        tables.append(Table(group, ("metric", "value ± standard error", "flat name", "meaning"), rows, left=2))
    return tables


def _ranking(result: ErfResult) -> list[Table]:
    fitted = result.gaussian.ranking
    if not fitted:
        return []
    rows = [(one.shape, plain(one.r2), plain(one.aic), plain(one.bic)) for one in fitted]
    return [Table("Shapes fitted to the map, best first", ("shape", "R²", "AIC", "BIC"), rows, left=4)]


def profile(layers: Sequence[LayerProfile]) -> list[Table]:
    """One table of the profile along depth; none where it was not asked for."""
    if not layers:
        return []
    heads = ("layer", "TRF / px", "ERF size / px", "ERF / TRF", "50 % box / px", "operator")
    rows = [
        (
            layer.name,
            "×".join(map(str, layer.trf_size)) + (" (all)" if layer.is_global else ""),
            with_error(layer.erf_size, layer.stderr.get("erf_size")),
            plain(layer.erf_ratio),
            with_error(layer.mass_50_side, layer.stderr.get("mass_50_side")),
            layer.operator,
        )
        for layer in layers[:MOST_ROWS]
    ]
    return [Table("Along depth, centre units", heads, rows, left=5)]


def grid(units: Sequence[UnitEntry]) -> list[Table]:
    """One table of the units of a grid; none for a single unit."""
    if len(units) < 2:
        return []
    heads = ("unit", "ERF size / px", "ERF / TRF", "dead samples")
    rows = [
        (
            _shape(entry.unit),
            with_error(entry.erf.size, entry.stderr.get("erf_size")),
            plain(entry.erf.ratio),
            str(entry.samples.dead),
        )
        for entry in units[:MOST_ROWS]
    ]
    return [Table("By position", heads, rows, left=4)]


def visible(text: str) -> str:
    """Without control characters and marks of writing direction, which a name in a model may hold."""
    return _UNSEEN.sub("\ufffd", text)
