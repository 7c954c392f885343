"""`erfscope fit`: which heads and levels of a network hold objects of which sizes."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

from rich.table import Table
from rich.text import Text
from typer import Option

from erfscope._models import prepare
from erfscope._questions import FIT
from erfscope.cli import answer, options, show, values
from erfscope.cli.asking import answered, calls_numbered, modules_of, next_weights
from erfscope.cli.fit_next import Asked, new_heads, to_change
from erfscope.cli.tables import Column, table_of
from erfscope.report.answers import fit_csv
from erfscope_contract.about import in_words
from erfscope_contract.causal import back_of
from erfscope_contract.fit import Fit, FitLevel, Verdict
from erfscope_contract.fit_words import objects_of
from erfscope_contract.holding import CONFIDENT, UNITS_ACROSS
from erfscope_contract.judging import NOUNS, By, share_of
from erfscope_contract.lengths import Lengths, pixels_of, scaled, sides_in
from erfscope_contract.limits import marked
from erfscope_contract.numbers import NO_ERROR, digits, plain

Objects = Annotated[
    str,
    Option(
        "--object",
        metavar="N,N,…",
        help="Sizes of objects, pixels: the side of their box, such as 32,96,256. "
        "0.5s, 20ms or 2min are times (with --rate), 12mm, 3cm or 40um lengths (with --spacing).",
    ),
]
Samples = Annotated[
    int | None,
    Option(
        "--inputs",
        min=2,
        max=1000,
        help="Samples per layer: draws of the weights where a scheme draws them (a spec, --weights), else inputs "
        "(default 16).",
    ),
]
Judged = Annotated[
    By | None,
    Option(
        help="Size that a level is judged by: erf_size, or mass_50_side, the side of the box with half of the mass, "
        "which is steadier at few inputs (default: erf_size)."
    ),
]
COLUMNS: Sequence[Column] = (
    ("layer", "left"), ("role", "left"), ("stride", "right"), ("shape", "right"), ("TRF", "right"), ("ERF", "right"),
    ("50 % box", "right"),
)  # fmt: skip
SIZED = ("stride", "TRF", "ERF", "50 % box")  # columns of lengths
BOXES = "For boxes (a detector): that of the head which gives the boxes of your size, named above."
MASKS = (
    "For masks (segmentation): that of the head, {name}, for it decides about each pixel; a level within the network"
)
ALONG = "That of the head, {name}, for it decides along the signal; a level within the network"
MASKS_MORE = "sees for the layers behind it only."
BACKBONE = (
    "The network has no decoder and no heads but its last map. In a detector or a segmentation network that is built "
    "on it, the level named above is the one for your size."
)
STYLES: dict[Verdict, str] = {"holds": "green", "unsure": "yellow"}  # any other is dim


def fit(
    model: options.Model,
    objects: Objects,
    layer: options.Layers = None,
    output: answer.Outputs = None,
    as_json: options.AsJson = False,
    by: Judged = None,
    inputs: Samples = None,
    samples: options.FormerSamples = None,
    weights: options.WeightScheme = None,
    seed: options.Seed = None,
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
    """Show every head and level of MODEL with stride, TRF and ERF, and which sizes of objects it holds.

    Under the table stands when a level holds an object.
    """
    answer.check(output)
    prepared = prepare(model)
    fields: dict[str, Any] = {
        "objects": values.sizes(objects, rate, spacing), "layers": layer, "by": by,
        "samples": inputs if inputs is not None else samples, "weights": weights, "seed": seed,
        "input": values.input_fields(shape, input_name, mean, std),
    }  # fmt: skip
    result = answered(FIT, prepared, fields, url, api_key, images)
    rank = len(result.input_shape) - 1
    lengths = values.lengths(rate, spacing, rank) or pixels_of(rank)
    modules = modules_of(prepared)
    if not layer:  # of layers that were named, some calls may be missing
        modules = calls_numbered(modules, [(level.name, level.operator) for level in result.levels])
    kept = {
        "--weights": next_weights(weights, result.notes), "--inputs": inputs, "--samples": samples, "--seed": seed,
        "--shape": shape, "--input-name": input_name, "--images": images, "--mean": mean, "--std": std, "--rate": rate,
        "--spacing": spacing, "--url": url,
    }  # fmt: skip
    parts = _parts(result, Asked(model, prepared.name, kept, bool(layer)), modules, lengths)
    parts = answer.with_notes(parts, result.notes)
    json = result.model_dump_json(indent=2)
    texts = answer.Texts(f"Objects in {prepared.name}", parts, json, fit_csv(result))
    answer.give(texts, output, as_json=as_json)


def _parts(result: Fit, asked: Asked, modules: Mapping[str, str], lengths: Lengths) -> list[answer.Part]:
    shape = ", ".join(map(str, result.input_shape))
    noun, share = NOUNS[result.by], digits(share_of(result.by, len(result.input_shape) - 1))
    rule = (
        f"At input [{shape}], sizes in {lengths.long}. holds: the {noun} is at least {share} times the object, and the "
        f"object at least {UNITS_ACROSS:g} units wide. small field: the {noun} is smaller. coarse grid: the stride is "
        f"too coarse. unsure: within {CONFIDENT:g} standard errors of the bound, or the {noun} fills the input (≥). "
        f"50 % box: the side of the box with half of the mass (mass_50_side)."
    ) + _back(result, lengths)
    objects = result.objects
    if lengths != pixels_of(len(lengths.steps)):
        sizes, extents = [one.size for one in objects], result.input_shape[1:]
        samples = None if result.about is None else result.about.samples
        objects = objects_of(
            sizes, result.levels, result.deciding, extents, lengths, samples=samples, named=asked.named, by=result.by
        )
    best = [one.words for one in objects]
    said = in_words(result.about, asked.name, f"[{shape}]")
    return [
        level_table(result, modules, lengths),
        [
            *([NO_ERROR] if any(one.erf_size and not one.stderr for one in result.levels) else []),
            *said,
            *([show.LARGEST] if any(one.trf_largest for one in result.levels) else []),
            rule,
        ],
        best,
        _hint(result, asked, lengths),
    ]


def _back(result: Fit, lengths: Lengths) -> str:
    """How far back the causal levels of a signal listen; empty where there is none."""
    rows = [level for level in result.levels if level.causal and len(level.trf_size) == 1]
    backs = [(row.name, back_of(row.mass_50_side, row.trf_size[0])) for row in rows]
    listed = [f"{name} {digits(back * lengths.mean, 3)} {lengths.unit}" for name, back in backs if back is not None]
    if not listed:
        return ""
    return f" Causal levels: half of the box is empty, so half of the mass lies in the last half: {', '.join(listed)}."


def _hint(result: Fit, asked: Asked, lengths: Lengths) -> list[str]:
    """Which row counts, and what to ask next, in the words of this network; of named layers no other row is known."""
    if asked.named:
        return to_change(result, asked, lengths)
    count, masks = len(result.deciding), MASKS if len(result.input_shape) > 2 else ALONG
    which = BACKBONE if not count else BOXES if count > 1 else f"{masks.format(name=result.deciding[0])} {MASKS_MORE}"
    return [f"Which row counts? {which}", *to_change(result, asked, lengths), *new_heads(result, asked, lengths)]


def level_table(
    result: Fit, modules: Mapping[str, str] = MappingProxyType({}), lengths: Lengths | None = None
) -> Table:
    """One row for each level, one column for each object; torch's module where the file tells it.

    Lengths are in `lengths`, by default in the input's own unit.
    """
    lengths = lengths or pixels_of(len(result.input_shape) - 1)
    named = any(level.name in modules for level in result.levels)
    module_column: list[Column] = [("module", "left")] if named else []
    columns: list[Column] = [*COLUMNS[:1], *module_column, *(_with_unit(one, lengths) for one in COLUMNS[1:])]
    columns += [(f"{plain(one.size * lengths.mean)} {lengths.unit}", "center") for one in result.objects]
    rows = list[list[str | Text]]()
    for level in result.levels:
        name, *facts = _facts(level, lengths)
        module = [modules.get(level.name, "")] if named else []
        rows.append([name, *module, *facts, *(_mark(one.verdict) for one in level.objects)])
    return table_of(columns, rows)


def _with_unit(column: Column, lengths: Lengths) -> Column:
    """The heading of a length with its unit, where that is not the input's own."""
    heading, justify = column
    is_scaled = heading in SIZED and lengths != pixels_of(len(lengths.steps))
    return (f"{heading} ({lengths.unit})" if is_scaled else heading, justify)


def _mark(verdict: Verdict) -> Text:
    """The same words as in JSON and CSV."""
    return Text(verdict, style=STYLES.get(verdict, "dim"))


def _facts(level: FitLevel, lengths: Lengths) -> list[str]:
    steps = [None if step is None else step * one for step, one in zip(level.stride, lengths.steps, strict=True)]
    stride = show.by(steps) or "?"
    sides, largest = (sides_in(each, lengths) for each in (level.trf_size, level.trf_largest))
    trf = show.field_of(sides, level.is_global, _box(level, lengths), largest=largest) or "?"
    size, error = scaled(level.erf_size, lengths), scaled(level.stderr, lengths)
    erf = "none" if size is None else marked(size, error, "erf_size", is_bound=level.limited)
    half = "" if level.mass_50_side is None else digits(level.mass_50_side * lengths.mean, 3)
    return [level.name, level.role, stride, show.by(level.shape), trf, erf, half]


def _box(level: FitLevel, lengths: Lengths) -> list[tuple[float, float]] | None:
    """The box of a TRF without statistics, each side in its axis' unit."""
    if level.local_box is None:
        return None
    return [(low * step, high * step) for (low, high), step in zip(level.local_box, lengths.steps, strict=True)]
