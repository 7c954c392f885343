"""`erfscope advise`: the smallest changes of a network that give a wanted receptive field."""

from collections.abc import Sequence
from typing import Annotated, Any

from rich.table import Table
from typer import Option

from erfscope._models import prepare
from erfscope._questions import ADVICE
from erfscope.cli import options, show
from erfscope.cli.asking import answered
from erfscope_contract.advice import Advice, AdviceLayer, Change
from erfscope_contract.numbers import with_error

Want = Annotated[float, Option(help="Wanted ERF size in input pixels, for example that of the objects to be found.")]
Verify = Annotated[int | None, Option(help="How many of the best changes are measured by gradient (default 3).")]
Samples = Annotated[int | None, Option(help="Samples of such a measurement (default 16).")]
LAYERS = ("layer", "operator", "TRF", "ERF", "adds")
CHANGES = ("change", "ERF expected", "measured", "TRF", "MACs", "parameters", "layer's shape")
SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def advise(
    model: options.Model,
    want: Want,
    layer: options.Layer = None,
    as_json: options.AsJson = False,
    verify: Verify = None,
    samples: Samples = None,
    weights: options.WeightScheme = None,
    seed: options.Seed = None,
    shape: options.Shape = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Say what each layer of MODEL adds, and which smallest changes make its ERF as large as --want pixels."""
    prepared = prepare(model)
    fields: dict[str, Any] = {
        "layer": layer, "verify": verify, "samples": samples, "weights": weights, "seed": seed,
        "input": {"shape": options.integers(shape, "--shape")} if shape else None,
    }  # fmt: skip
    advice = answered(ADVICE, prepared, {"want": want, **fields}, url, api_key)
    if as_json:
        print(advice.model_dump_json(indent=2))
    else:
        _print(advice)


def _print(advice: Advice) -> None:
    out = show.console()
    out.print(layer_table(advice.layers))
    now = _size(advice.erf_analytic, advice.erf_measured, advice.stderr)
    trf = "×".join(map(str, advice.trf_size))
    show.print_lines(out, [
        "",
        f"{advice.layer}: ERF {now} px, TRF {trf}, wanted {advice.want:g}; {count(advice.macs)} MACs, "
        f"{count(advice.parameters)} parameters, at input {advice.input_shape}.",
        _idle(advice.layers),
        "",
    ])  # fmt: skip
    if advice.reaches and not advice.changes:
        show.print_lines(out, ["Nothing needs to change."])
    elif advice.changes:
        out.print(change_table(advice.changes))
    show.print_lines(out, ["", *(f"note: {note}" for note in advice.notes)])


def _idle(layers: Sequence[AdviceLayer]) -> str:
    idle = [row.name for row in layers if row.idle]
    return f"Layers that add (nearly) nothing to it: {', '.join(idle) or 'none'}."


def layer_table(layers: Sequence[AdviceLayer]) -> Table:
    """The profile along depth: what each layer adds."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in LAYERS:
        made.add_column(heading, justify="left" if heading in ("layer", "operator") else "right", no_wrap=True)
    for row in layers:
        mark = " (idle)" if row.idle else ""
        sizes = ("?" if value is None else f"{value:.1f}" for value in (row.erf_size, row.adds))
        made.add_row(show.cell(row.name + mark), row.operator, "×".join(map(str, row.trf_size)), *sizes)
    return made


def change_table(changes: Sequence[Change]) -> Table:
    """Cheapest first; what was measured comes with its standard error."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in CHANGES:
        made.add_column(heading, justify="left" if heading == CHANGES[0] else "right", no_wrap=heading != CHANGES[0])
    for change in changes:
        text = change.text if change.reaches else f"{change.text} (falls short)"
        measured = "" if change.erf_measured is None else with_error(change.erf_measured, change.stderr)
        made.add_row(
            show.cell(text),
            f"{change.erf_analytic:.1f}",
            measured,
            "×".join(map(str, change.trf_size)),
            count(change.added_macs, sign=True),
            count(change.added_parameters, sign=True),
            "×".join(map(str, change.layer_shape)),
        )
    return made


def _size(analytic: float, measured: float | None, stderr: float | None) -> str:
    return f"{analytic:.1f} expected" if measured is None else f"{with_error(measured, stderr)}"


def count(number: int, *, sign: bool = False) -> str:
    """`1.2M`, with its sign where asked."""
    for scale, letter in SCALES:
        if abs(number) >= scale:
            return f"{number / scale:{'+' if sign else ''}.3g}{letter}"
    return f"{number:+d}" if sign else str(number)
