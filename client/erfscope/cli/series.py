"""`erfscope series`: several models, or a swept spec; a table with trends on stdout, and files where asked."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from erfscope._client import Client
from erfscope._errors import refuse, refuse_invalid
from erfscope._models import Prepared, parse_spec, prepare
from erfscope.cli import options, show, values
from erfscope.cli.measure import read
from erfscope.cli.progress import progress_bar
from erfscope.cli.several import Entry, measure_all
from erfscope_contract.job import Status
from erfscope_contract.meanings import unit_of
from erfscope_contract.numbers import with_error
from erfscope_contract.series import (
    DEFAULT_METRICS,
    FARTHEST,
    Series,
    SeriesLinks,
    SeriesPoint,
    Sweep,
    are_places,
    known_metric,
    label_of,
    swept,
)
from erfscope_contract.text import for_csv
from erfscope_contract.trends import trend_of

Models = Annotated[list[str], Argument(metavar="MODEL...", help="Two or more models, or one spec with --sweep.")]
Swept = Annotated[
    str | None,
    Option(
        metavar="POINTER=V,V,…",
        help="Parameter of the spec and its values: /layers/0/times=5,10,20; several parameters with + between "
        "(default: "
        "none).",
    ),
]
Places = Annotated[
    str | None,
    Option("--x", metavar="N,N,…", help="Value of each model on the horizontal axis: 0,5,10 (default: 0, 1, 2 …)."),
]
Metrics = Annotated[
    str | None,
    Option(
        help="Flat names of metrics with commas between; a chart draws them all (default: "
        f"{','.join(DEFAULT_METRICS)})."
    ),
]
Outputs = Annotated[
    list[Path] | None,
    Option(
        "-o",
        "--output",
        help="File to write; its ending is its format: .png (chart), .json or .csv; may be given "
        "several times (default: none).",
    ),
]
FORMS = (".png", ".json", ".csv")


def series(
    models: Models,
    output: Outputs = None,
    as_json: options.AsJson = False,
    sweep: Swept = None,
    x: Places = None,
    x_label: Annotated[str, Option(help="Name of the horizontal axis (default: none).")] = "",
    metrics: Metrics = None,
    layer: options.Layer = None,
    unit: options.Unit = None,
    index: options.Index = None,
    inputs: options.Inputs = None,
    draws: options.Draws = None,
    seed: options.Seed = None,
    statistic: options.Statistics = None,
    weights: options.WeightScheme = None,
    dtype: options.Arithmetic = None,
    method: options.Method = None,
    shape: options.Shape = None,
    verify: options.Verify = False,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Measure several MODELs, or one spec at several values of a parameter, and fit the trend."""
    for path in output or ():
        values.check_output(path, FORMS)
    if sweep and x:
        raise refuse("bad-request", "--x goes with several models; with --sweep the values are the places")
    fields = read({
        "layer": layer, "unit": unit, "index": index, "inputs": inputs, "draws": draws, "seed": seed,
        "statistic": statistic, "weights": weights, "dtype": dtype, "method": method, "input_shape": shape,
        "verify": verify or None,
    })  # fmt: skip
    named = _metrics(metrics) if metrics else list(DEFAULT_METRICS)
    changed = _sweep(models, sweep) if sweep else None
    x_label = x_label or (changed.parameters[0] if changed else "")
    places = values.numbers(x, "--x") if x else None
    if not are_places(places or ()):
        raise refuse("bad-request", f"--x {x!r}: every number must be finite, and at most {FARTHEST:g}")
    with (
        progress_bar("measuring the series") as progress,
        Client(url, api_key=api_key) if url else nullcontext() as client,
    ):
        if client:
            handle = client.series(
                None if changed else models, sweep=changed, x=places, x_label=x_label, metrics=named, **fields
            )
            found = handle.result(progress=progress)
        else:
            found = _here(_subjects(models, changed, places), fields, named, x_label, progress)
    _give(found, output or [], as_json, named if metrics else named[:1])


def _metrics(text: str) -> list[str]:
    try:
        return [known_metric(name.strip()) for name in text.split(",")]
    except ValueError as error:
        raise refuse("bad-request", f"--metrics: {error}") from None


def _sweep(models: Sequence[str], text: str) -> Sweep:
    pointers, _, values = text.partition("=")
    if len(models) != 1 or not values:
        raise refuse("bad-request", "--sweep takes one spec and POINTER=V,V,…, e.g. --sweep /layers/0/times=5,10,20")
    ref = prepare(models[0]).ref
    if ref is None or ref.architecture is None:
        raise refuse("bad-request", f"--sweep changes an architecture spec; {models[0]} is an ONNX model")
    spec = ref.architecture.model_dump(mode="json", exclude_unset=True)
    wanted = {
        "architecture": spec,
        "parameters": pointers.split("+"),
        "values": [_value(part) for part in values.split(",")],
    }
    try:
        return Sweep.model_validate(wanted)
    except ValidationError as error:
        raise refuse_invalid(error, wanted, "bad-request") from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _subjects(
    models: Sequence[str], sweep: Sweep | None, places: Sequence[float] | None
) -> list[tuple[str, float, Prepared]]:
    """Label, place and model of each point."""
    if sweep is None:
        if len(models) < 2:
            raise refuse("bad-request", "a series needs two or more models, or one spec with --sweep")
        if places is not None and len(places) != len(models):
            raise refuse("bad-request", f"--x has {len(places)} numbers for {len(models)} models")
        prepared = [prepare(model) for model in models]
        return [(one.name, places[n] if places else float(n), one) for n, one in enumerate(prepared)]
    try:
        specs = swept(sweep)
    except ValueError as error:
        raise refuse("bad-request", f"--sweep: {error}") from None
    numeric = are_places(sweep.values)
    return [
        (label_of(value), float(str(value)) if numeric else float(n), prepare(parse_spec(spec)))
        for n, (value, spec) in enumerate(zip(sweep.values, specs, strict=True))
    ]


def _here(
    subjects: Sequence[tuple[str, float, Prepared]],
    fields: Mapping[str, Any],
    metrics: list[str],
    x_label: str,
    progress: Callable[[str, float], None],
) -> Series:
    """The series, measured by this process."""
    results = measure_all([Entry(model, model.name) for _, _, model in subjects], fields, None, None, progress)
    points = [
        SeriesPoint(
            label=label,
            x=x,
            job="",
            status=Status.SUCCEEDED,
            metrics={name: _known(result.metrics, name) for name in metrics},
            stderr={name: result.stderr.get(name) for name in metrics},
        )
        for (label, x, _), result in zip(subjects, results, strict=True)
    ]
    return Series(
        id="",
        status=Status.SUCCEEDED,
        progress=1.0,
        created_at=datetime.now(UTC),
        x_label=x_label,
        metrics=metrics,
        points=points,
        trends={metric: trend_of(points, metric) for metric in metrics},
        links=SeriesLinks(self="", chart=""),
    )


def _known(found: Mapping[str, float | None], name: str) -> float | None:
    if name not in found:
        raise refuse("bad-request", f"--metrics: there is no {name!r}; there are: {', '.join(found)}")
    return found[name]


def _give(found: Series, output: Sequence[Path], as_json: bool, drawn: Sequence[str]) -> None:
    """`drawn` are the metrics of the chart; tables and files have all."""
    for path in output:
        path.write_bytes(_WRITERS[path.suffix.lower()](found, drawn))
    if as_json:
        print(found.model_dump_json(indent=2))
        return
    out = show.console()
    out.print(_table(found))
    lines = ["", *(_sentence(found, metric) for metric in found.metrics)]
    show.print_lines(out, lines + [_wrote(path, drawn) for path in output])


def _wrote(path: Path, drawn: Sequence[str]) -> str:
    return f"wrote {path}" + (f": {', '.join(drawn)}" if path.suffix.lower() == ".png" else "")


def _chart(found: Series, drawn: Sequence[str]) -> bytes:
    from erfscope_picture import render_trend

    return render_trend(found.model_dump(mode="json"), drawn)


def _csv(found: Series, _: Sequence[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "x", *(part for name in found.metrics for part in (name, f"{name}_stderr"))])
    for point in found.points:
        cells = (cell for name in found.metrics for cell in (point.metrics.get(name), point.stderr.get(name)))
        writer.writerow([for_csv(point.label), point.x, *cells])
    return text.getvalue().encode()


_WRITERS: Mapping[str, Callable[[Series, Sequence[str]], bytes]] = {
    ".png": _chart,
    ".csv": _csv,
    ".json": lambda found, _: (found.model_dump_json(indent=2) + "\n").encode(),
}


def _table(found: Series) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(show.cell(found.x_label or "model"))
    for name in found.metrics:
        unit = unit_of(name)
        table.add_column(Text(f"{name}{f' [{unit}]' if unit else ''} ± se"), justify="right")
    for point in found.points:
        cells = [with_error(point.metrics.get(name), point.stderr.get(name)) for name in found.metrics]
        table.add_row(show.cell(point.label), *cells)
    return table


def _sentence(found: Series, metric: str) -> str:
    trend = found.trends[metric]
    parts = []
    if trend.power is not None:
        error = trend.power.slope_error
        parts.append(f"goes as x^{trend.power.slope:.3f}" + (f" ± {error:.3f}" if error is not None else ""))
    if trend.change is not None:
        error = trend.change.difference_error
        ratio = f" ({trend.change.ratio:.3g} times)" if trend.change.ratio is not None else ""
        parts.append(
            f"{trend.change.difference:+.4g}" + (f" ± {error:.2g}" if error else "") + f" from first to last{ratio}"
        )
    return f"{metric}: {'; '.join(parts) or 'no trend'}"
