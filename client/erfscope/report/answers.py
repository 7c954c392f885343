"""Answers about a model as CSV: numbers in full, one line for each level, axis or change."""

import csv
import io
from collections.abc import Iterable, Sequence

from erfscope.report.profile import AXES
from erfscope_contract.advice import Advice
from erfscope_contract.fit import Fit
from erfscope_contract.text import for_csv
from erfscope_contract.tiles import Tiles

Cell = str | float | None


def fit_csv(fit: Fit) -> str:
    """A line for each level: stride and TRF per axis (pixels), ERF with its standard error, a verdict for each size."""
    axes = AXES[len(fit.input_shape) - 1]
    per_axis = [f"{what}_{name}" for what in ("stride", "trf_size", "trf_largest") for name in axes]
    heads = ["layer", "role", "shape", *per_axis, "global", "erf_size", "erf_size_stderr", "mass_50_side", "limited"]
    sizes = [f"object_{one.size:g}" for one in fit.objects]
    return _text([*heads, *sizes], (
        [
            level.name, level.role, "x".join(map(str, level.shape)), *_each(level.stride, axes),
            *_each(level.trf_size, axes), *_each(level.trf_largest or level.trf_size, axes),
            level.is_global, level.erf_size, level.stderr, level.mass_50_side, level.limited,
            *(one.verdict for one in level.objects),
        ]
        for level in fit.levels
    ))  # fmt: skip


def tiles_csv(tiles: Tiles) -> str:
    """A line for each axis, in input pixels: tile, alignment, halo, the part to keep as [start, stop), step, reach.

    Of an image also its size along the axis, the number of tiles there, and where they start, apart by spaces.
    """
    heads = ["axis", "tile", "alignment", "halo_before", "halo_after", "keep_start", "keep_stop", "step"]
    grid = tiles.grid
    heads += ["reach_before", "reach_after", *(["image", "tiles", "starts"] if grid else [])]
    return _text(heads, (
        [
            name, tiles.tile[k], tiles.alignment[k], *tiles.halo[k], *tiles.crop[k], tiles.step[k],
            tiles.reach.before[k], tiles.reach.after[k],
            *((grid.image[k], len(grid.tiles[k]), " ".join(str(start) for start, _ in grid.tiles[k])) if grid else ()),
        ]
        for k, name in enumerate(AXES[len(tiles.tile)])
    ))  # fmt: skip


def advice_csv(answers: Sequence[Advice]) -> str:
    """A line for each network, the present one first: its ERF in pixels, and what the change adds and keeps."""
    heads = ["object_size", "want", "change", "erf_size", "erf_size_stderr", "mass_50_side", "reaches", "added_macs"]
    heads += ["added_parameters", "added_memory_bytes", "added_ms", "weights_kept", "lattice", "pareto", "trf_size"]
    rows: list[list[Cell]] = []
    for one in answers:
        size = one.erf_measured if one.erf_measured is not None else one.erf_analytic
        timed = None if one.ms is None else 0.0
        rows.append([
            one.object_size, one.want, "", size, one.stderr, one.mass_50_side, one.reaches, 0, 0, 0, timed, 1.0,
            one.lattice, None, "x".join(map(str, one.trf_size)),
        ])  # fmt: skip
        rows += [
            [
                one.object_size, one.want, change.text, change.size, change.stderr, change.mass_50_side, change.reaches,
                change.added_macs, change.added_parameters, change.added_memory, change.added_ms,
                change.weights_kept, change.lattice, change.pareto, "x".join(map(str, change.trf_size)),
            ]
            for change in one.changes
        ]  # fmt: skip
    return _text(heads, rows)


def _each(values: Sequence[float | None], axes: Sequence[str]) -> list[Cell]:
    """One cell for each axis; empty where nothing is known."""
    return list(values) if len(values) == len(axes) else [None] * len(axes)


def _text(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([for_csv(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return out.getvalue()
