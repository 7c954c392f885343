"""`erfscope tiles`: how an image is cut so that a network gives on the tiles what it gives on the whole."""

from collections.abc import Sequence
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
from erfscope_contract.lengths import Lengths, pixels_of
from erfscope_contract.numbers import plain
from erfscope_contract.tiles import TiledLayer, TileGrid, Tiles

Tile = Annotated[
    str,
    Option(metavar="N or N,N", help="Size of a tile in pixels, halo included: one number for all axes, or one each."),
]
Image = Annotated[
    str | None,
    Option(
        metavar="H,W",
        help="Size of an image in pixels, to list where its tiles start; an axis along which it is no larger than a "
        "tile is not cut (default: none).",
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
ERRORS = (
    "Error by halo: the largest difference over the largest value, and the rms difference over the rms value, of noise "
    "with these weights. A halo that is smaller than the whole keeps more of a tile."
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
    weights: options.WeightScheme = None,
    shape: options.Shape = None,
    input_name: options.InputName = None,
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
    sides = values.integers(tile, "--tile", "a number of pixels such as 512, or one for each axis such as 512,384")
    fields: dict[str, Any] = {
        "tile": sides[0] if len(sides) == 1 else sides, "layers": layer, "weights": weights,
        "image": values.integers(image, "--image", "pixels per axis such as 2160,3840") if image else None,
        "input": values.input_fields(shape, input_name),
    }  # fmt: skip
    result = answered(TILES, prepared, fields, url, api_key)
    json = result.model_dump_json(indent=2)
    lengths = values.lengths(rate, spacing, len(result.tile))
    printed, written = (_parts(result, prepared.name, lengths, whole=whole) for whole in (False, True))
    texts = answer.Texts(f"Tiles of {prepared.name}", printed, json, tiles_csv(result), [*written, MEANING])
    answer.give(texts, output, as_json=as_json)


def _parts(result: Tiles, name: str, lengths: Lengths | None, *, whole: bool) -> list[answer.Part]:
    said = in_words(result.about, name, f"[{', '.join(map(str, result.input_shape))}]")
    starts = [] if result.grid is None else [_starts(result.grid, whole=whole)]
    notes = [[f"note: {note}" for note in result.notes]] if result.notes else []
    halos = [halo_table(result)] if len(result.checked.by_halo) > 1 else []
    sizes = [] if lengths is None else [_in_unit(result, lengths)]
    return [axis_table(result), layer_table(result.layers), *halos, [*said, *_words(result), *sizes], *starts, *notes]


def axis_table(result: Tiles) -> Table:
    """Per axis, in input pixels."""
    names = NAMES[len(result.tile)]
    rows = []
    for k, name in enumerate(names):
        before, after = result.halo[k]
        reach = f"{result.reach.before[k]:g} + {result.reach.after[k]:g}"
        numbers = (result.tile[k], result.alignment[k], before, after)
        rows.append((name, *map(str, numbers), _range(result.crop[k]), str(result.step[k]), reach))
    return table_of(AXES, rows, title=f"Tiles, in {_long(result)}")


def _long(result: Tiles) -> str:
    unit = _unit(len(result.tile))
    return "input pixels" if unit == "px" else unit


def _unit(rank: int) -> str:
    return pixels_of(rank).unit


def _in_unit(result: Tiles, lengths: Lengths) -> str:
    """The numbers of the first table that have a length, along each axis, in seconds or millimetres."""
    rows = []
    for k, name in enumerate(NAMES[len(result.tile)]):
        numbers = (result.tile[k], *result.halo[k], result.step[k])
        tile, before, after, step = (f"{number * lengths.steps[k]:.4g} {lengths.unit}" for number in numbers)
        rows.append(f"{name}: tile {tile}, halo {before} before and {after} after, step {step}")
    return f"{'; '.join(rows)}."


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
    columns += [("largest error", "right"), ("rms error", "right")]
    rows = [
        [*(f"{before} + {after}" for before, after in one.halo), f"{one.max_error:.2g}", f"{one.relative_error:.2g}"]
        for one in result.checked.by_halo
    ]
    return table_of(columns, rows, title="Error by halo")


def _words(result: Tiles) -> list[str]:
    check = result.checked
    image, unit = "×".join(map(str, check.image)), _unit(len(result.tile))
    outside = "" if check.outside is None else f"; where it is cropped, tiles are wrong by up to {plain(check.outside)}"
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
        f"Of an inner tile of {tile} {unit} {right} are right. The next one is {step} {unit} further on, so that "
        f"neighbours overlap by {overlap} {unit}; {result.efficiency:.0%} of the work is kept{whole}. At the image's "
        "border nothing is cropped.",
        f"Checked: {check.tiles} tiles of an image of {image} {unit} against the whole: largest difference "
        f"{plain(check.max_error)} of the largest value ({check.dtype}){outside}.",
        *([ERRORS] if len(check.by_halo) > 1 else []),
    ]


def _starts(grid: TileGrid, *, whole: bool) -> list[str]:
    """Where tiles start, per axis; in a terminal the middle of a long list is left out."""
    size, unit = "×".join(map(str, grid.image)), _unit(len(grid.image))
    lines = [f"An image of {size} {unit} takes {grid.count} tile{'s' * (grid.count != 1)}. They start at"]
    for name, reads in zip(NAMES[len(grid.image)], grid.tiles, strict=True):
        starts = [str(start) for start, _ in reads]
        shown = starts if whole or len(starts) <= MOST_STARTS else [*starts[: MOST_STARTS - 2], "…", starts[-1]]
        lines.append(f"  {name}: {', '.join(shown)}")
    return lines


def _range(pair: tuple[int, int]) -> str:
    return f"{pair[0]}:{pair[1]}"
