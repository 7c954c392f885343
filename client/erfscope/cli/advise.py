"""`erfscope advise`: which changes of a network let its units see what they must, and what each costs."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from erfscope._models import prepare
from erfscope._questions import ADVICE
from erfscope.cli import options, show
from erfscope.cli.advice_tables import change_table, layer_table, summary, verdict
from erfscope.cli.asking import answered
from erfscope_contract.advice import HOLD, Advice

ObjectSize = Annotated[
    float | None,
    Option(
        "--object",
        help=f"Size in input pixels of the objects that a unit must see: an ERF {HOLD:g} times that (default: none).",
    ),
]
Want = Annotated[float | None, Option(help="Wanted ERF size in input pixels, instead of --object (default: none).")]
Verify = Annotated[int | None, Option(help="How many of the best changes are measured by gradient (default 5).")]
Samples = Annotated[int | None, Option(help="Samples of each measurement (default 8).")]
Latency = Annotated[
    bool, Option("--latency", help="Time one input through each network on this machine, in ms (default: off).")
]
Depth = Annotated[bool, Option("--layers", help="Also list what each layer adds to the ERF (default: off).")]
Drawing = Annotated[
    Path | None,
    Option(
        "--picture", metavar="FILE", help="Draw the maps of the network and of the best three, PNG (default: none)."
    ),
]


def advise(
    model: options.Model,
    object_size: ObjectSize = None,
    want: Want = None,
    layer: options.Layer = None,
    as_json: options.AsJson = False,
    depth: Depth = False,
    picture: Drawing = None,
    latency: Latency = False,
    verify: Verify = None,
    samples: Samples = None,
    weights: options.WeightScheme = None,
    seed: options.Seed = None,
    shape: options.Shape = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
) -> None:
    """Say which changes let MODEL's units see objects of --object pixels, what each costs, and what it keeps.

    Every row of the table is measured. The best come first; * marks those that no other row beats.
    """
    prepared = prepare(model)
    fields: dict[str, Any] = {
        "want": want, "object_size": object_size, "layer": layer, "verify": verify, "samples": samples,
        "latency": latency or None, "weights": weights, "seed": seed,
        "input": {"shape": options.integers(shape, "--shape")} if shape else None,
    }  # fmt: skip
    advice = answered(ADVICE, prepared, fields, url, api_key)
    if picture is not None:
        _draw(advice, prepared.name, picture)
    if as_json:
        print(advice.model_dump_json(indent=2))
    else:
        _print(advice, depth=depth, picture=picture)


def _print(advice: Advice, *, depth: bool, picture: Path | None) -> None:
    out = show.console()
    if depth:
        out.print(layer_table(advice.layers))
        show.print_lines(out, [""])
    show.print_lines(out, [*summary(advice), ""])
    if advice.changes:
        out.print(change_table(advice))
        show.print_lines(out, [""])
    show.print_lines(out, [verdict(advice), "", *(f"note: {note}" for note in advice.notes)])
    if picture is not None:
        show.print_lines(out, [f"wrote {picture}"])


def _draw(advice: Advice, name: str, path: Path) -> None:
    from erfscope.cli.advice_picture import render  # loads the drawing package

    path.write_bytes(render(advice, name))
