"""Sentences below a result's table: where the unit sits, what it reads, what `auto` took, what autograd ran. Pure."""

from collections.abc import Iterator, Sequence

from erfscope.report.facts import MOST_NAMED, box_text, named, sides, tiles_text
from erfscope_contract.lengths import Lengths, pixels_of, rank_of, sides_in
from erfscope_contract.numbers import plain
from erfscope_contract.result import ErfResult, PassedOver, Trf


def remarks_of(result: ErfResult, lengths: Lengths | None = None) -> list[str]:
    """Place and reach of the unit (in `lengths`, or the input's own unit), what it reads, what `auto` took."""
    own = pixels_of(rank_of(result))
    return [*_field(result.trf, lengths or own, own.unit), *_choice(result), *_autograd(result)]


def _field(trf: Trf, lengths: Lengths, own: str) -> Iterator[str]:
    at = ", ".join(map(plain, sides_in(trf.center, lengths)))
    place = f"The unit sits at {f'({at})' if len(trf.center) > 1 else at} {lengths.unit}."
    tiles = tiles_text(trf, own, lengths)
    yield f"{place} Tiles {tiles}." if tiles else place
    if trf.seen is not None and trf.seen != trf.box:
        yield f"Read on this image: {box_text(trf.seen)}."
    if trf.causal:
        yield (
            "Causal: the unit reads nothing behind its own place. Boxes and circles of the mass are centred at that "
            "place, so half of each is empty, and the side of a box may be up to twice the TRF; the mass reaches back "
            "by half of the side."
        )
    if trf.is_global and trf.widened_by:
        yield f"Global through {named(trf.widened_by)}."
    if trf.local_box is not None:
        local = sides(sides_in([stop - start for start, stop in trf.local_box], lengths))
        yield f"Without the statistics of {named(trf.local_without)}: {local} {lengths.unit}."


def _choice(result: ErfResult) -> Iterator[str]:
    """Which input and which layer were taken and why, and what was passed over."""
    taken, layer = result.input, result.layer
    if taken is not None:
        yield f"Input {taken.name}: {taken.why}.{_passed(taken.passed_over)}"
    if layer.why:
        yield f"Layer {layer.name}: {layer.why}.{_passed(layer.passed_over)}"
    elif layer.passed_over:
        yield f"auto took {layer.name}; it passed over {_reasons([_pair(one) for one in layer.passed_over])}."


def _passed(rows: Sequence[PassedOver]) -> str:
    return f" Passed over: {_reasons([_pair(one) for one in rows])}." if rows else ""


def _autograd(result: ErfResult) -> Iterator[str]:
    runs = result.provenance.autograd
    if runs:
        yield f"Run by autograd on whole tensors: {_reasons([(run.operator, run.why) for run in runs])}."


def _pair(passed: PassedOver) -> tuple[str, str]:
    return passed.name, passed.why


def _reasons(rows: Sequence[tuple[str, str]]) -> str:
    """`head (no axis follows the input); pool (…) and 4 more`."""
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return "; ".join(f"{name} ({why.rstrip('.')})" for name, why in rows[:MOST_NAMED]) + more
