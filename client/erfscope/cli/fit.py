"""`erfscope fit`: which heads and levels of a network hold objects of which sizes."""

from collections.abc import Sequence
from typing import Annotated, Any

from rich.table import Table
from rich.text import Text
from typer import Option

from erfscope._models import prepare
from erfscope._questions import FIT
from erfscope.cli import answer, options, show
from erfscope.cli.asking import answered
from erfscope.cli.tables import Column, table_of
from erfscope.report.answers import fit_csv
from erfscope_contract.fit import Fit, FitLevel, Verdict
from erfscope_contract.holding import HOLD, UNITS_ACROSS
from erfscope_contract.numbers import with_error

Objects = Annotated[
    str,
    Option("--object", metavar="N,N,…", help="Sizes of objects, pixels: the side of their box, such as 32,96,256."),
]
Samples = Annotated[int | None, Option("--inputs", help="Input samples per layer (default 16).")]
COLUMNS: Sequence[Column] = (
    ("layer", "left"), ("role", "left"), ("stride", "right"), ("shape", "right"), ("TRF", "right"), ("ERF", "right"),
)  # fmt: skip
HINT = (
    "Which layer? For boxes: the head named above for your size. For masks: the same, and the finest level that your "
    "decoder reads must have a unit in every part of the object. Where nothing holds a size: erfscope advise MODEL "
    "--layer NAME --object SIZE."
)
MARKS: dict[Verdict, Text] = {
    "holds": Text("yes", style="green"),
    "small field": Text("field", style="dim"),
    "coarse grid": Text("grid", style="dim"),
    "outside input": Text("input", style="dim"),
}


def fit(
    model: options.Model,
    objects: Objects,
    layer: options.Layers = None,
    output: answer.Outputs = None,
    as_json: options.AsJson = False,
    inputs: Samples = None,
    samples: options.FormerSamples = None,
    weights: options.WeightScheme = None,
    seed: options.Seed = None,
    shape: options.Shape = None,
    input_name: options.InputName = None,
    images: options.Images = None,
    mean: options.Mean = None,
    std: options.Std = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Show every head and level of MODEL with stride, TRF and ERF, and which sizes of objects it holds.

    Under the table stands when a level holds an object.
    """
    answer.check(output)
    prepared = prepare(model)
    fields: dict[str, Any] = {
        "objects": options.numbers(objects, "--object", "sizes in pixels such as 32,96,256"), "layers": layer,
        "samples": inputs if inputs is not None else samples, "weights": weights, "seed": seed,
        "input": options.input_fields(shape, input_name, mean, std),
    }  # fmt: skip
    result = answered(FIT, prepared, fields, url, api_key, images)
    json = result.model_dump_json(indent=2)
    texts = answer.Texts(f"Objects in {prepared.name}", _parts(result), json, fit_csv(result))
    answer.give(texts, output, as_json=as_json)


def _parts(result: Fit) -> list[answer.Part]:
    shape = ", ".join(map(str, result.input_shape))
    rule = (
        f"At input [{shape}], sizes in pixels. yes: the ERF is at least {HOLD:g} times the object, and the object at "
        f"least {UNITS_ACROSS:g} units wide. field: the ERF is smaller. grid: the stride is too coarse."
    )
    best = [one.words for one in result.objects]
    return [level_table(result), [rule], best, [HINT, *(f"note: {note}" for note in result.notes)]]


def level_table(result: Fit) -> Table:
    """One row for each level, one column for each object."""
    columns: list[Column] = [*COLUMNS, *((f"{one.size:g} px", "center") for one in result.objects)]
    return table_of(
        columns, [[*_facts(level), *(MARKS[one.verdict] for one in level.objects)] for level in result.levels]
    )


def _facts(level: FitLevel) -> list[str]:
    stride = show.by(level.stride) or "?"
    trf = show.field_of(level.trf_size, level.is_global, level.local_box) or "?"
    erf = "none" if level.erf_size is None else with_error(level.erf_size, level.stderr)
    return [level.name, level.role, stride, show.by(level.shape), trf, erf]
