"""`erfscope compare`: models side by side under one request; as a table for people or for a paper, and as figures."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

from rich.table import Table
from typer import Argument, Option

from erfscope._client import Client
from erfscope._compare import COMPARED_FORMS, Comparison, Name
from erfscope._compare import compare as compared
from erfscope._compare_table import ENDINGS, asks_for_script, check_metrics
from erfscope._errors import refuse
from erfscope.cli import completion, figures, options, show, values
from erfscope.cli.measure import read
from erfscope.cli.progress import progress_bar
from erfscope.cli.several import Entry, entry, measure_all, with_draws, with_own
from erfscope_contract.lengths import Lengths, measured_in, pixels_of, rank_of
from erfscope_contract.limits import GLOBAL, bounded, legends
from erfscope_contract.meanings import meaning_of
from erfscope_contract.numbers import NO_ERROR

Models = Annotated[
    list[str],
    Argument(
        metavar="MODEL...",
        help="Two or more models: .onnx files, .json specs or preset:NAME. MODEL@random measures with random weights "
        "(Kaiming normal), MODEL@given with the model's own, MODEL@SCHEME with those of a scheme (--weights). "
        "NAME=MODEL names it in tables and figures.",
        autocompletion=completion.models,
    ),
]
Outputs = Annotated[
    list[Path] | None,
    Option(
        "-o",
        "--output",
        help=f"File to write; its ending is its format, one of {', '.join(COMPARED_FORMS)}: the maps "
        "side by side, or the table; may be given several times (default: none).",
        rich_help_panel=options.OUTPUT,
    ),
]
Format = Annotated[
    Literal["latex", "markdown", "csv"] | None,
    Option(
        "--format",
        help="Print a table with a row for each model and value ± standard error: latex (booktabs), markdown, or csv "
        "(default: a table for the terminal).",
        rich_help_panel=options.OUTPUT,
    ),
]
Metrics = Annotated[
    str | None,
    Option(
        metavar="NAME,…",
        help="Metrics of the table by their flat names, such as erf_size,mass_50_ratio; r is RepLKNet's area ratios, "
        "measured as by --protocol both (default: the most important ones).",
        rich_help_panel=options.OUTPUT,
    ),
]
Layers = Annotated[
    list[str] | None,
    Option(
        "--layer",
        metavar="LAYER|NAME=LAYER",
        help="Layer to measure in every model, or NAME=LAYER in the model of that name in the table; may be given "
        "several times (default: auto, the last one that keeps the axes of space).",
        rich_help_panel=options.MEASURED,
    ),
]
InputNames = Annotated[
    list[str] | None,
    Option(
        "--input-name",
        metavar="INPUT|NAME=INPUT",
        help="Input to measure, in every model or in the model NAME; may be given several times (default: the first "
        "that is an image).",
        rich_help_panel=options.INPUT,
    ),
]
SCRIPTS_GRID = (
    "r lies on a grid (the script's squares grow by 2 px a side): one step is {steps}; ± is one step at least, and "
    "* needs more than one step as well."
)
ONE_DRAW = "Random weights are drawn once here, and ± covers the inputs alone; --draws 16 covers the draws."


def compare(
    models: Models,
    output: Outputs = None,
    as_json: options.AsJson = False,
    table_format: Format = None,
    metrics: Metrics = None,
    everything: options.Everything = False,
    layer: Layers = None,
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
    protocol: options.Protocol = None,
    shape: options.Shape = None,
    input_name: InputNames = None,
    verify: options.Verify = False,
    source: options.Sources = None,
    images: options.Images = None,
    mean: options.Mean = None,
    std: options.Std = None,
    scale: options.Scale = None,
    colormap: options.Colormap = None,
    width: options.Width = None,
    dpi: options.Dpi = None,
    font: options.Font = None,
    font_size: options.FontSize = None,
    no_contours: options.NoContours = False,
    no_trf: options.NoTrf = False,
    rate: options.Rate = None,
    spacing: options.Spacing = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Measure several MODELs alike; differences to the first that are more than 2 standard errors are marked *."""
    if len(models) < 2:
        raise refuse("bad-request", "a comparison needs two models or more")
    if as_json and table_format:
        raise refuse("bad-request", "--json and --format both say how to print; give one of them")
    for path in output or ():
        values.check_output(path, COMPARED_FORMS)
    look = figures.look(scale, colormap, width, dpi, font, font_size, no_contours=no_contours, no_trf=no_trf)
    figures.check(output or (), look)
    named = None if metrics is None else check_metrics([name.strip() for name in metrics.split(",")])
    if named and asks_for_script(named) and protocol is None and method != "analytic":
        protocol = "both"
    fields = read({
        "unit": unit, "index": index, "channels": channels, "inputs": inputs, "draws": draws,
        "until": until, "seed": seed, "statistic": statistic, "weights": weights, "dtype": dtype, "method": method,
        "protocol": protocol, "input_shape": shape, "source": source, "mean": mean, "std": std,
        "verify": verify or None,
    })  # fmt: skip
    entries = with_own([entry(model) for model in models], "layer", layer or (), "--layer")
    entries = with_own(entries, "input_name", input_name or (), "--input-name")
    with (
        progress_bar("measuring") as progress,
        Client(url, api_key=api_key) if url else nullcontext() as client,
    ):
        results = measure_all(with_draws(entries, fields, weights), fields, images, client, progress)
        comparison = compared(*results, names=_names(entries, weights))
        ranks = [rank_of(result.data) for result in results]
        lengths = [values.lengths(rate, spacing, rank) or pixels_of(rank) for rank in ranks]
        look["rate"], look["spacing"] = rate, spacing
        for path in output or ():
            comparison.save(path, metrics=named, **(look if path.suffix.lower() not in ENDINGS else {}))
    if as_json:
        print(_json(comparison))
    elif table_format:
        print(comparison.table(table_format, named), end="")
    else:
        drawn_once = draws in (None, 1) and method != "analytic" and any(one.is_drawn(weights) for one in entries)
        _print(comparison, named, output or [], lengths, everything=everything, drawn_once=drawn_once)


def _names(entries: list[Entry], weights: str | None) -> list[Name]:
    """With their weights where any model names its own."""
    if all(one.weights is None for one in entries):
        return [one.name for one in entries]
    return [(one.name, one.weights or weights or ("drawn" if one.is_spec else "given")) for one in entries]


def _print(
    comparison: Comparison,
    metrics: list[str] | None,
    written: list[Path],
    lengths: Sequence[Lengths],
    *,
    everything: bool,
    drawn_once: bool,
) -> None:
    out = show.console()
    out.print(_table(comparison, metrics, lengths, everything=everything))
    show.print_lines(out, ["", "* differs from the first by more than 2 standard errors"])
    show.print_lines(out, comparison.measuring[:1])
    show.print_lines(out, legends(*(result.data for result in comparison.results)))
    if comparison.steps:
        show.print_lines(out, [SCRIPTS_GRID.format(steps=comparison.steps)])
    statistics = list(dict.fromkeys(result.data.provenance.statistic for result in comparison.results))
    if statistics != ["abs"]:
        show.print_lines(out, [f"Maps are of the statistic {', '.join(statistics)}, not of abs, the usual one."])
    if drawn_once:
        show.print_lines(out, [ONE_DRAW])
    if any(result.data.erf.size and not result.stderr.get("erf_size") for result in comparison.results):
        show.print_lines(out, [NO_ERROR])
    show.print_lines(out, [f"note: {note}" for note in comparison.notes])
    show.print_lines(out, [f"wrote {path}" for path in written])


def _json(comparison: Comparison) -> str:
    results = (result.data.model_dump(mode="json", by_alias=True) for result in comparison.results)
    return json.dumps(dict(zip(comparison.names, results, strict=True)), indent=2)


def _is_asked(comparison: Comparison, metric: str, metrics: list[str] | None, *, everything: bool) -> bool:
    if metrics is not None:
        return metric in metrics
    is_chosen = everything or any(show.is_headline(result, metric) for result in comparison.results)
    return is_chosen and comparison.is_shown(metric)


def _table(comparison: Comparison, metrics: list[str] | None, lengths: Sequence[Lengths], *, everything: bool) -> Table:
    """Rows of the metrics that were named, of all, or of the most important ones; each model in its own lengths."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for name in comparison.names:
        table.add_column(show.cell(name), justify="right")
    for row in comparison.rows:
        if not _is_asked(comparison, row.metric, metrics, everything=everything):
            continue
        row_of = meaning_of(row.metric)
        label = row.metric if everything else row_of.label
        cells = []
        for n, (value, error) in enumerate(zip(row.values, row.errors, strict=True)):
            mark = " *" if n and row.differs(n) else "  "
            data = comparison.results[n].data
            size, _ = measured_in(row.metric, value, lengths[n])
            deviation, _ = measured_in(row.metric, error, lengths[n])
            is_whole = row.metric == "trf_size" and data.trf.is_global
            cells.append((GLOBAL if is_whole else bounded(data, row.metric, size, deviation)) + mark)
        unit = "/".join(dict.fromkeys(measured_in(row.metric, None, one)[1] for one in lengths))
        table.add_row(f"{label} [dim]{unit}[/dim]", *cells)
    return table
