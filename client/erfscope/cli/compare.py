"""`erfscope compare`: models side by side under one request."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from rich.table import Table
from typer import Argument, Option

from erfscope._client import Client
from erfscope._compare import Comparison
from erfscope._compare import compare as compared
from erfscope._errors import refuse
from erfscope._models import Prepared, prepare
from erfscope.cli import options, show
from erfscope.cli.measure import read
from erfscope.cli.progress import progress_bar
from erfscope.cli.several import measure_all
from erfscope_contract.meanings import meaning_of
from erfscope_contract.numbers import plain, with_error

Models = Annotated[
    list[str], Argument(metavar="MODEL...", help="Two or more models: .onnx files, .json specs or preset:NAME.")
]
Picture = Annotated[
    Path | None, Option("-o", "--output", help="File for a picture of the maps side by side, .png (default: none).")
]
ONE_DRAW = "The weights of a spec are drawn once here, and ± covers the inputs alone; --draws 16 covers the draws."


def compare(
    models: Models,
    output: Picture = None,
    as_json: options.AsJson = False,
    everything: options.Everything = False,
    layer: options.Layer = None,
    unit: options.Unit = None,
    index: options.Index = None,
    channels: options.Channels = None,
    inputs: options.Inputs = None,
    draws: options.Draws = None,
    until: options.Until = None,
    seed: options.Seed = None,
    statistic: options.Statistics = None,
    weights: options.WeightScheme = None,
    dtype: options.Arithmetic = None,
    method: options.Method = None,
    shape: options.Shape = None,
    verify: options.Verify = False,
    source: options.Sources = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Measure several MODELs alike; differences to the first that are more than 2 standard errors are marked *."""
    if len(models) < 2:
        raise refuse("bad-request", "a comparison needs two models or more")
    if output is not None:
        options.check_output(output, (".png",))
    fields = read({
        "layer": layer, "unit": unit, "index": index, "channels": channels, "inputs": inputs, "draws": draws,
        "until": until, "seed": seed, "statistic": statistic, "weights": weights, "dtype": dtype, "method": method,
        "input_shape": shape, "source": source, "verify": verify or None,
    })  # fmt: skip
    prepared = [prepare(model) for model in models]
    with (
        progress_bar("measuring") as progress,
        Client(url, api_key=api_key) if url else nullcontext() as client,
    ):
        results = measure_all(prepared, fields, client, progress)
        comparison = compared(*results)
        if output is not None:
            output.write_bytes(comparison.png())
    if as_json:
        print(_json(comparison))
        return
    out = show.console()
    out.print(_table(comparison, everything=everything))
    show.print_lines(out, ["", "* differs from the first by more than 2 standard errors"])
    if draws in (None, 1) and method != "analytic" and any(_is_drawn(model) for model in prepared):
        show.print_lines(out, [ONE_DRAW])
    show.print_lines(out, [f"wrote {output}"] if output else [])


def _is_drawn(model: Prepared) -> bool:
    """Whether there are no weights in it."""
    return model.ref is not None and model.ref.architecture is not None


def _json(comparison: Comparison) -> str:
    results = (result.data.model_dump(mode="json", by_alias=True) for result in comparison.results)
    return json.dumps(dict(zip(comparison.names, results, strict=True)), indent=2)


def _table(comparison: Comparison, *, everything: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for name in comparison.names:
        table.add_column(show.cell(name), justify="right")
    for row in comparison.rows:
        if not (everything or row.metric in show.HEADLINE) or not row.is_shown:
            continue
        row_of = meaning_of(row.metric)
        label = row.metric if everything else row_of.label
        cells = []
        for n, (value, error) in enumerate(zip(row.values, row.errors, strict=True)):
            mark = " *" if n and row.differs(n) else "  "
            cells.append((with_error(value, error) if error else plain(value)) + mark)
        table.add_row(f"{label} [dim]{row_of.unit}[/dim]", *cells)
    return table
