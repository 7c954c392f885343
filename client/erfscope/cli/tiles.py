"""`erfscope tiles`: how an image is cut so that a network gives on the tiles what it gives on the whole."""

from collections.abc import Sequence
from math import ceil, lcm, prod
from typing import Annotated, Any

from rich.table import Table
from typer import Option

from erfscope._models import prepare
from erfscope._questions import TILES
from erfscope.cli import answer, options, show, values
from erfscope.cli.asking import answered
from erfscope.cli.tables import Column, table_of
from erfscope.report.answers import tiles_csv
from erfscope.report.profile import AXES as NAMES
from erfscope_contract.about import in_words
from erfscope_contract.lengths import KINDS, Lengths, pixels_of
from erfscope_contract.numbers import digits, plain
from erfscope_contract.tiles import TiledLayer, TileGrid, Tiles

Tile = Annotated[
    str,
    Option(
        metavar="N or N,N",
        help="Size of a tile in pixels, samples or voxels, halo included: one for all axes, or one each. 1s is a time "
        "(with --rate), 20mm a length (with --spacing); both are rounded to whole steps.",
    ),
]
Image = Annotated[
    str | None,
    Option(
        metavar="H,W",
        help="Size of an image in pixels (samples, voxels), or with units as --tile, to list where its tiles start; an "
        "axis along which it is no larger than a tile is not cut (default: none).",
    ),
]
HaloSizes = Annotated[
    str | None,
    Option(
        metavar="N or N,N",
        help="Halo to cut with, in pixels (samples, voxels) before and after, or with a unit as --tile: the check "
        "measures its error (default: the exact one).",
    ),
]
Checks = Annotated[
    int | None,
    Option(
        "--checks",
        min=1,
        max=100,
        help="Inputs that the check runs, noise or --images; tiles at the corners and in the middle of each (default "
        "1).",
    ),
]
AXES: Sequence[Column] = (
    ("axis", "left"), ("tile", "right"), ("alignment", "right"), ("halo before", "right"), ("after", "right"),
    ("keep", "right"), ("step", "right"), ("reach", "right"),
)  # fmt: skip
LAYERS: Sequence[Column] = (
    ("layer", "left"), ("operator", "left"), ("stride", "right"), ("TRF", "right"), ("shape on a tile", "right"),
    ("keep", "right"),
)  # fmt: skip
MOST_STARTS = 12
NEARBY = 0.125  # of a tile: how far another size may be that is proposed
LITTLE = 0.25  # of the work: from here on larger tiles pay
ERRORS = (
    "Error by halo: the largest difference over the largest value, and the rms difference over the rms value, with "
    "these weights, of {tiles} tiles of {inputs} (--checks N takes more). A smaller halo keeps more of a tile."
)
MEANING = [
    "halo: pixels at the start and the end of an inner tile that are wrong. alignment: tiles start at its multiples. "
    "keep: what is right, from the first pixel to before the last. step: from one tile to the next. reach: how far a "
    "unit reads from its own place.",
]


def tiles(
    model: options.Model,
    tile: Tile,
    layer: options.Layers = None,
    image: Image = None,
    output: answer.Outputs = None,
    as_json: options.AsJson = False,
    halo: HaloSizes = None,
    checks: Checks = None,
    weights: options.WeightScheme = None,
    shape: options.Shape = None,
    input_name: options.InputName = None,
    images: options.Images = None,
    mean: options.Mean = None,
    std: options.Std = None,
    rate: options.Rate = None,
    spacing: options.Spacing = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Say how large the overlap of tiles must be so that MODEL gives on them what it gives on a whole image.

    Halo, alignment and crop per axis, checked by running the tiles; what cannot be cut is refused with the reason.
    """
    answer.check(output)
    prepared = prepare(model)
    fields: dict[str, Any] = {
        "tile": values.sides(tile, "--tile", rate, spacing), "layers": layer, "weights": weights,
        "image": None if image is None else _extents(values.sides(image, "--image", rate, spacing)),
        "input": values.input_fields(shape, input_name, mean, std), "samples": checks,
        "halo": None if halo is None else values.sides(halo, "--halo", rate, spacing, ceil),
    }  # fmt: skip
    result = answered(TILES, prepared, fields, url, api_key, images)
    json = result.model_dump_json(indent=2)
    lengths = values.lengths(rate, spacing, len(result.tile))
    printed, written = (_parts(result, prepared.name, lengths, whole=whole) for whole in (False, True))
    texts = answer.Texts(f"Tiles of {prepared.name}", printed, json, tiles_csv(result), [*written, MEANING])
    answer.give(texts, output, as_json=as_json)


def _extents(sides: int | list[int]) -> list[int]:
    """Of an image, which has one for each axis."""
    return [sides] if isinstance(sides, int) else sides


def _parts(result: Tiles, name: str, lengths: Lengths | None, *, whole: bool) -> list[answer.Part]:
    said = in_words(result.about, name, f"[{', '.join(map(str, result.input_shape))}]")
    starts = [] if result.grid is None else [[*_starts(result.grid, whole=whole), *_nearby(result)]]
    halos = [halo_table(result)] if len(result.checked.by_halo) > 1 else []
    largest = [show.LARGEST] if any(one.trf_largest for one in result.layers) else []
    words = [*said, *_words(result), *largest]
    return answer.with_notes(
        [axis_table(result, lengths), layer_table(result.layers), *halos, words, *starts], result.notes
    )


def axis_table(result: Tiles, lengths: Lengths | None = None) -> Table:
    """Per axis, in input pixels, with a second row in the unit of `lengths`."""
    names = NAMES[len(result.tile)]
    rows = list[tuple[str, ...]]()
    for k, name in enumerate(names):
        before, after = result.halo[k]
        reach = f"{digits(result.reach.before[k])} + {digits(result.reach.after[k])}"
        numbers = (result.tile[k], result.alignment[k], before, after)
        rows.append((name, *map(str, numbers), _range(result.crop[k]), str(result.step[k]), reach))
        rows += [] if lengths is None else [_in_unit(result, k, lengths)]
    return table_of(AXES, rows, title=f"Tiles, in {_long(result)}")


def _long(result: Tiles) -> str:
    unit = _unit(len(result.tile))
    return "input pixels" if unit == "px" else unit


def _unit(rank: int) -> str:
    return pixels_of(rank).unit


def _in_unit(result: Tiles, k: int, lengths: Lengths) -> tuple[str, ...]:
    """The row of an axis in seconds or millimetres."""

    def long(number: float) -> str:
        return digits(number * lengths.steps[k], 4)

    numbers = (result.tile[k], result.alignment[k], *result.halo[k])
    start, stop = result.crop[k]
    reach = f"{long(result.reach.before[k])} + {long(result.reach.after[k])}"
    name = f"{NAMES[len(result.tile)][k]}, {lengths.unit}"
    return (name, *map(long, numbers), f"{long(start)}:{long(stop)}", long(result.step[k]), reach)


def layer_table(layers: Sequence[TiledLayer]) -> Table:
    """What to keep of each tensor, in its own units."""
    rows = [
        (
            one.name,
            one.operator,
            show.by(one.stride),
            show.field_of(one.trf_size, is_global=False, local=None, largest=one.trf_largest),
            show.by(one.shape),
            ", ".join(map(_range, one.crop)),
        )
        for one in layers
    ]
    return table_of(LAYERS, rows, title="What an inner tile gives, in units of each tensor")


def halo_table(result: Tiles) -> Table:
    """How wrong tiles are with smaller halos, from the check."""
    names = NAMES[len(result.tile)]
    columns: list[Column] = [(f"halo {name}", "right") for name in names]
    columns += [("largest error", "right"), ("rms error", "right"), ("step", "right"), ("kept", "right")]
    rows = [
        [
            *(f"{before} + {after}" for before, after in one.halo),
            f"{one.max_error:.2g}",
            f"{one.relative_error:.2g}",
            show.by(one.step) or "?",
            "?" if one.efficiency is None else f"{one.efficiency:.0%}",
        ]
        for one in result.checked.by_halo
    ]
    return table_of(columns, rows, title="Error by halo")


def _words(result: Tiles) -> list[str]:
    check = result.checked
    image, unit = "×".join(map(str, check.image)), _unit(len(result.tile))
    kind = KINDS.get(len(result.tile), "input")
    halo, right_or_kept = ("the halo", "right") if check.asked is None else ("the exact halo", "kept")
    outside = (
        "" if check.outside is None else f"; in what {halo} crops, tiles are wrong by up to {plain(check.outside)}"
    )
    whole = "" if result.efficiency < 1 else ", nothing is cropped"
    step, tile, right, overlap = (
        "×".join(map(str, sizes))
        for sizes in (
            result.step,
            result.tile,
            (stop - start for start, stop in result.crop),
            (tile - step for tile, step in zip(result.tile, result.step, strict=True)),
        )
    )
    return [
        f"Of an inner tile of {tile} {unit} {right} are {right_or_kept}. The next one is {step} {unit} further on, so "
        f"that neighbours overlap by {overlap} {unit}; {result.efficiency:.0%} of the work is kept{whole}. At the "
        f"{kind}'s border nothing is cropped.",
        *_larger(result),
        *_asked(result),
        f"Checked: {check.tiles} tiles of {_inputs(result)} of {image} {unit} against the whole, with {halo}: "
        f"largest difference {plain(check.max_error)} of the largest value ({check.dtype}){outside}.",
        *([ERRORS.format(tiles=check.tiles, inputs=_inputs(result))] if len(check.by_halo) > 1 else []),
    ]


def _larger(result: Tiles) -> list[str]:
    """How large tiles must be to keep half along each axis, where little of the work is kept."""
    if result.efficiency >= LITTLE:
        return []
    axes = zip(result.tile, result.halo, result.alignment, strict=True)
    sides = "×".join(str(max(tile, 2 * ceil(sum(halo) / step) * step)) for tile, halo, step in axes)
    return [f"That is little. Of tiles of {sides} {_unit(len(result.tile))} half is kept along each axis."]


def _inputs(result: Tiles) -> str:
    """`2 signals of noise`; of an older service, which does not tell how many, one."""
    about, kind = result.about, KINDS.get(len(result.tile), "input")
    count = 1 if about is None else about.inputs or 1
    noise = about is None or about.source == "normal"
    return f"{count} {kind}{'s' * (count != 1)}{' of noise' * noise}"


def _asked(result: Tiles) -> list[str]:
    """What the halo that was asked for does, beside the exact one."""
    asked, exact = result.checked.asked, result.exact_halo
    if asked is None or exact is None:
        return []
    names = NAMES[len(result.tile)]
    whole = ", ".join(f"{name} {before} + {after}" for name, (before, after) in zip(names, exact, strict=True))
    return [
        f"With the halo that you ask for tiles are wrong by up to {plain(asked.max_error)} of the largest value, and "
        f"by {plain(asked.relative_error)} (rms). The exact halo is {whole}.",
        *_saved(result, exact),
    ]


def _saved(result: Tiles, exact: Sequence[tuple[int, int]]) -> list[str]:
    """That a smaller halo saves nothing: the step is that of the exact one, or the image takes as many tiles."""
    steps = [_step(*axis) for axis in zip(result.tile, exact, result.alignment, strict=True)]
    if steps == result.step:
        return ["It saves nothing: the step is that of the exact halo, for steps are multiples of the alignment."]
    if result.grid is None or result.grid.count < _count(result.grid.image, result.tile, steps):
        return []
    return [f"It saves no tile of this image: with the exact halo there are {result.grid.count} as well."]


def _step(tile: int, halo: tuple[int, int], alignment: int) -> int:
    """From one tile to the next: the most multiples of the alignment beside the halo; 0 where there is no room."""
    return max((tile - sum(halo)) // alignment * alignment, 0)


def _count(image: Sequence[int], tile: Sequence[int], step: Sequence[int]) -> int:
    """How many tiles an image takes; 0 where a tile has no room for its halo."""
    if any(size > side and not by for size, side, by in zip(image, tile, step, strict=True)):
        return 0
    along = (
        1 if size <= side else 1 + ceil((size - side) / by) for size, side, by in zip(image, tile, step, strict=True)
    )
    return prod(along)


def _nearby(result: Tiles) -> list[str]:
    """The size within NEARBY of this one of which the image takes the fewest tiles, if those compute less in all."""
    if result.grid is None:
        return []
    image, alignment = result.grid.image, lcm(*result.alignment)
    most = int(NEARBY * min(result.tile)) // alignment

    def tiled(more: int) -> tuple[int, int, list[int]]:
        sides = [side + more * alignment for side in result.tile]
        steps = [_step(*axis) for axis in zip(sides, result.halo, result.alignment, strict=True)]
        count = _count(image, sides, steps)
        return count, count * prod(sides), sides

    now, work, _ = tiled(0)
    sizes = [one for one in map(tiled, range(-most, most + 1)) if one[0] and one[1] < work]
    fewest, computed, sides = min(sizes, default=(now, work, result.tile))
    if fewest >= now:
        return []
    unit = _unit(len(image))
    return [
        f"Of tiles of {'×'.join(map(str, sides))} {unit} it takes {fewest}, which compute "
        f"{1 - computed / work:.0%} less in all; of the sizes nearby, that is the fewest."
    ]


def _starts(grid: TileGrid, *, whole: bool) -> list[str]:
    """Where tiles start, per axis; in a terminal the middle of a long list is left out."""
    size, unit = "×".join(map(str, grid.image)), _unit(len(grid.image))
    kind = {2: "An image", 3: "A volume"}.get(len(grid.image), "A signal")
    lines = [f"{kind} of {size} {unit} takes {grid.count} tile{'s' * (grid.count != 1)}. They start at"]
    for name, reads in zip(NAMES[len(grid.image)], grid.tiles, strict=True):
        starts = [str(start) for start, _ in reads]
        shown = starts if whole or len(starts) <= MOST_STARTS else [*starts[: MOST_STARTS - 2], "…", starts[-1]]
        lines.append(f"  {name}: {', '.join(shown)}")
    return lines


def _range(pair: tuple[int, int]) -> str:
    return f"{pair[0]}:{pair[1]}"
