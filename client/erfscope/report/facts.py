"""What a report says beside the metrics: layer, place of the unit, what it reads, how it was measured. Pure."""

from collections.abc import Iterable, Sequence

from erfscope_contract.about import weights_of
from erfscope_contract.lengths import Lengths, pixels_of, sides_in
from erfscope_contract.numbers import plain
from erfscope_contract.result import Box, ErfResult, Trf

ONE = {"px": "pixel", "samples": "sample", "voxels": "voxel"}
MOST_NAMED = 3  # operators in a sentence; tables and the JSON have all
Fact = tuple[str, str]


def facts_of(result: ErfResult) -> list[Fact]:
    """Name and words of each fact; only those that have something to say."""
    return [*_target(result), *field_facts(result.trf), *_measuring(result)]


def field_facts(trf: Trf) -> list[Fact]:
    """Where the unit sits and what it reads."""
    facts = [
        ("projected centre", f"{', '.join(plain(at) for at in trf.center)} px"),
        ("TRF box", f"{box_text(trf.box)}{', clipped by the border' if trf.clipped else ''}"),
        ("read on this image", box_text(trf.seen) if trf.seen is not None and trf.seen != trf.box else ""),
        ("TRF stride", f"{sides(trf.stride, 'varies')} px" if any(trf.stride) else ""),
        ("tiles", tiles_text(trf)),
        ("causal", "the unit reads nothing behind its own place" if trf.causal else ""),
        ("global", global_text(trf) if trf.is_global else ""),
    ]
    return [(name, words) for name, words in facts if words]


def _target(result: ErfResult) -> list[Fact]:
    layer = result.layer
    passed = f"; auto took it and passed over {_count(layer.passed_over, 'tensor')}" if layer.passed_over else ""
    return [
        ("layer", f"{layer.name} ({layer.operator}, shape {index_text(layer.shape)}){passed}"),
        ("unit", index_text(result.unit)),
        ("input", f"{index_text(result.input_shape)}, {result.provenance.source}"),
    ]


def _measuring(result: ErfResult) -> list[Fact]:
    origin, verify = result.provenance, result.verify
    facts = [
        (
            "average",
            f"{origin.samples} samples, {result.samples.dead} dead, statistic {origin.statistic}, seed {origin.seed}",
        ),
        ("method", f"{origin.method}, channels {origin.channels}, weights {weights_of(result)}"),
        ("verified", f"relative difference to plain autograd {plain(verify.relative_difference)}" if verify else ""),
        ("autograd", f"{_count(origin.autograd, 'operator')} ran on whole tensors" if origin.autograd else ""),
        (
            "made by",
            f"erfscope {origin.engine}, torch {origin.torch}, {origin.device}, {origin.dtype}, "
            f"{origin.threads} threads",
        ),
        ("model sha256", origin.model_sha256 or ""),
    ]
    return [(name, words) for name, words in facts if words]


def tiles_text(trf: Trf, unit: str = "px", lengths: Lengths | None = None) -> str:
    """Where tiles may start (input's own unit), how far units read (`lengths`, or that); empty where neither is known.

    The halo of `erfscope tiles` is another number: it is counted from the edge of a tile, not from a unit's centre.
    """
    parts = []
    if trf.alignment is not None and set(trf.alignment) == {1}:
        parts.append(f"may start at any {ONE.get(unit, unit)}")
    elif trf.alignment is not None:
        parts.append(f"start at multiples of {sides(trf.alignment)} {unit}")
    if trf.reach is not None:
        before, after = (
            sides(each if lengths is None else sides_in(each, lengths)) for each in (trf.reach.before, trf.reach.after)
        )
        unit = unit if lengths is None else lengths.unit
        parts.append(
            f"units read up to {before} {unit} before and {after} {unit} after their centre (the halo, counted from a "
            "tile's edge, may differ: erfscope tiles)"
        )
    return "; ".join(parts)


def global_text(trf: Trf) -> str:
    """Through which operators a field is global, and its box without those that only take statistics."""
    through = f"through {named(trf.widened_by)}" if trf.widened_by else "the whole input"
    if trf.local_box is None:
        return through
    return f"{through}; without the statistics of {named(trf.local_without)}: {box_text(trf.local_box)}"


def box_text(box: Box) -> str:
    """`12 … 55, 12 … 55 px`."""
    return ", ".join(f"{start} … {stop}" for start, stop in box) + f" {pixels_of(len(box)).unit}"


def box_sides(box: Box) -> str:
    """`43×43`."""
    return sides([stop - start for start, stop in box])


def sides(lengths: Sequence[float | None], missing: str = "–") -> str:
    """`43×43`."""
    return "×".join(plain(length, missing) for length in lengths)


def index_text(index: Iterable[int]) -> str:
    """`[3, 7, 7]`."""
    return f"[{', '.join(map(str, index))}]"


def named(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _count(rows: Sequence[object], noun: str) -> str:
    return f"{len(rows)} {noun}{'s' * (len(rows) != 1)}"
