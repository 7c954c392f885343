"""What a report says, whatever its form: title, facts, tables, notes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from erfscope.report.facts import box_sides, facts_of, index_text, named
from erfscope_contract.about import weights_of
from erfscope_contract.causal import listens_back
from erfscope_contract.flat import flatten
from erfscope_contract.gridding import is_gridded
from erfscope_contract.lengths import NAMES, pixels_of, rank_of
from erfscope_contract.limits import GLOBAL, LIMITED, bounded, is_limited, marked, share_of
from erfscope_contract.meanings import grouped, is_shown, meaning_of
from erfscope_contract.metrics import meaning_in, text_of
from erfscope_contract.numbers import digits, plain, with_error
from erfscope_contract.request import Weights
from erfscope_contract.result import ErfResult, LayerProfile, Number, UnitEntry

METRIC_HEADS = ("metric", "value ± standard error", "flat name", "meaning")
MOST_ROWS = 400  # of a grid or a profile; the whole of it stands in the JSON


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
        facts=facts_of(result),
        tables=[
            *_metrics(result),
            *_ranking(result),
            *profile(result.layers),
            *grid(result.units),
            *_passed_over(result),
            *_autograd(result),
        ],
        notes=result.provenance.notes,
    )


def _headline(result: ErfResult) -> str:
    one_sided = " It is causal: nothing behind the unit's own place is seen." if result.trf.causal else ""
    back = listens_back(result, pixels_of(rank_of(result)))
    one_sided += "" if back is None else f" It listens back: {back}."
    return f"{_field(result, is_causal=back is not None)}{one_sided}{_whole_input(result)}{_untrained(result)}"


def _field(result: ErfResult, *, is_causal: bool) -> str:
    """How much of the TRF counts; where the map has gaps, how far it reaches, since the ERF leaves the gaps out.

    Of a causal unit of a signal no box, whose half behind the unit is empty: another sentence tells how far back.
    """
    size = bounded(result, "erf_size", result.erf.size, result.stderr.get("erf_size"))
    trf = "×".join(str(side) for side in result.trf.size)
    lengths = pixels_of(rank_of(result))
    sees, erf = f"The unit can see {trf} {lengths.unit}", f"{size} {lengths.unit}"
    half, most = _box(result, "0.50"), _box(result, "0.99")
    reaches = "" if is_causal else f": half of the influence lies within {half}, 99 % of it within {most}"
    if half and most and is_gridded(result.shape, result.gaussian):
        return f"{sees}, with gaps{reaches}. The ERF of {erf} counts the {lengths.long} without the gaps."
    return f"{sees} and listens to {erf} of it{share_of(result)}{'' if is_causal else _half(result, half)}."


def _box(result: ErfResult, share: str) -> str:
    """The box around the unit that holds a share of the mass, in words; empty where it is unknown."""
    area, rank = result.mass.get(share), rank_of(result)
    if area is None or area.side is None:
        return ""
    words = text_of(result, f"mass_{share[2:]}_side", area.side)
    return f"{('', 'a box of side ', 'a cube of side ')[rank - 1]}{words}"


def _half(result: ErfResult, box: str) -> str:
    """Where half of the mass lies: beyond the ERF, or in less than if it lay evenly; empty for others."""
    trf = result.trf
    sides = result.input_shape[1:] if trf.is_global else trf.size
    side, size = result.mass["0.50"].side if box else None, result.erf.size
    if side is None or side >= (prod(sides) / 2) ** (1 / len(sides)):
        return ""
    if size is not None and size < side:
        return f"; half of the influence needs more, {box}"
    return f"; half of the influence lies within {box}"


def _untrained(result: ErfResult) -> str:
    """The sentence about weights that no training has changed: drawn for the measurement, or by a spec's scheme."""
    origin = result.provenance
    is_drawn = origin.weights != Weights.GIVEN
    if is_drawn or (not origin.model_sha256 and result.layer.why):
        return f" The weights are not trained: {weights_of(result)}."
    return ""


def _whole_input(result: ErfResult) -> str:
    """The sentence about a field that is global; empty for others."""
    field = result.trf
    if not field.is_global:
        return ""
    if field.local_box is None:
        return " The whole input, by an operator that sees all of it."
    without, local = named(field.local_without), f"{box_sides(field.local_box)} {pixels_of(rank_of(result)).unit}"
    return f" The whole input, but only through statistics ({without}); without them {local}."


def _metrics(result: ErfResult) -> list[Table]:
    flat = flatten(result)
    tables = []
    for group, names in grouped(flat).items():
        rows = []
        for name in (one for one in names if is_shown(one, flat)):
            row = meaning_of(name)
            rows.append((row.label, text_of(result, name, flat[name]), name, meaning_in(result, name)))
        tables.append(Table(group, METRIC_HEADS, rows, left=2))
    return tables


def _ranking(result: ErfResult) -> list[Table]:
    fitted = result.gaussian.ranking
    if not fitted:
        return []
    rows = [(one.shape, plain(one.r2), plain(one.aic), plain(one.bic)) for one in fitted]
    return [Table("Shapes fitted to the map, best first", ("shape", "R²", "AIC", "BIC"), rows, left=4)]


def _ratio(row: LayerProfile | UnitEntry, ratio: Number) -> str:
    """ERF over TRF of one row, or that its field is global or limited by the input."""
    if row.erf and is_limited(row.erf):
        return LIMITED
    return GLOBAL if row.trf and row.trf.is_global else plain(ratio)


def _erf_size(row: UnitEntry | LayerProfile, size: Number) -> str:
    """The size with its error, or as a bound."""
    return marked(size, row.stderr.get("erf_size"), "erf_size", is_bound=row.erf is not None and is_limited(row.erf))


def profile(layers: Sequence[LayerProfile]) -> list[Table]:
    """One table of the profile along depth; none where it was not asked for."""
    if not layers:
        return []
    px = NAMES.get(len(layers[0].trf_size), "px")
    heads = (
        "layer", "shape", f"stride / {px}", f"TRF / {px}", f"ERF size / {px}", "ERF / TRF", f"50 % box / {px}",
        "operator",
    )  # fmt: skip
    rows = [
        (
            layer.name,
            "×".join(map(str, layer.shape)),
            "×".join("?" if stride is None else digits(stride) for stride in layer.trf_stride),
            "×".join(map(str, layer.trf_size)) + _how_global(layer),
            _erf_size(layer, layer.erf_size),
            _ratio(layer, layer.erf_ratio),
            with_error(layer.mass_50_side, layer.stderr.get("mass_50_side")),
            layer.operator,
        )
        for layer in layers[:MOST_ROWS]
    ]
    return [Table("Along depth, centre units", heads, rows, left=7)]


def _how_global(layer: LayerProfile) -> str:
    if not layer.is_global:
        return ""
    local = layer.trf.local_box if layer.trf else None
    return " (all)" if local is None else f" (all; {box_sides(local)} without statistics)"


def _passed_over(result: ErfResult) -> list[Table]:
    rows = [(one.name, one.why) for one in result.layer.passed_over[:MOST_ROWS]]
    return [Table("Passed over by auto, nearest to the output first", ("tensor", "why"), rows)] if rows else []


def _autograd(result: ErfResult) -> list[Table]:
    rows = [(one.operator, one.why) for one in result.provenance.autograd[:MOST_ROWS]]
    return [Table("Run by autograd on whole tensors", ("operator", "why"), rows)] if rows else []


def grid(units: Sequence[UnitEntry]) -> list[Table]:
    """One table of the units of a grid; none for a single unit."""
    if len(units) < 2:
        return []
    heads = ("unit", "ERF size / px", "ERF / TRF", "dead samples")
    rows = [
        (
            index_text(entry.unit),
            _erf_size(entry, entry.erf.size),
            _ratio(entry, entry.erf.ratio),
            str(entry.samples.dead),
        )
        for entry in units[:MOST_ROWS]
    ]
    return [Table("By position", heads, rows, left=4)]
