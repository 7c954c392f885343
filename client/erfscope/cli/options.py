"""Options of the commands: their help, and how their text is read."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

from erfscope._errors import refuse
from erfscope._result import FORMS
from erfscope_contract.request import Dtype, Source, Statistic, Weights

Model = Annotated[
    str,
    Argument(metavar="MODEL", help="An .onnx file, a .json spec, or preset:NAME (`erfscope presets`)."),
]
Url = Annotated[
    str | None,
    Option("--url", envvar="ERFSCOPE_URL", help="A service; without one, this process does the work."),
]
ApiKey = Annotated[
    str | None,
    Option("--api-key", envvar="ERFSCOPE_API_KEY", show_envvar=True, help="The service's; better in the environment."),
]
AsJson = Annotated[bool, Option("--json", help="Print JSON, and nothing else.")]
Output = Annotated[
    list[Path] | None,
    Option("-o", "--output", help=f"Write a file ({', '.join(FORMS)}); may be given several times."),
]
Everything = Annotated[bool, Option("--all", help="Show every metric, by its flat name.")]

Layer = Annotated[str | None, Option(help="ONNX tensor or node, or a spec's layer; `erfscope layers` lists them.")]
Layers = Annotated[
    list[str] | None,
    Option(
        "--layer",
        help="ONNX tensor or node, or a spec's layer; may be given several times (default: what the outputs are "
        "computed from).",
    ),
]
Unit = Annotated[str | None, Option(help="center, an index such as 7,7, or grid:3x3 (default center).")]
Index = Annotated[
    str | None,
    Option(
        metavar="I,I,…",
        help="One element of the layer's tensor by its full index without the batch, such as 3,7,7; takes the place "
        "of --unit, and is for any layer (default: none).",
    ),
]
Verify = Annotated[
    bool,
    Option(
        "--verify",
        help="Also compute one sample by plain autograd on the whole network, and show the relative difference "
        "(default: off).",
    ),
]
Channels = Annotated[str | None, Option(help="auto, sum, random, or a list such as 0,5.")]
Inputs = Annotated[int | None, Option(help="Input samples.")]
Draws = Annotated[int | None, Option(help="Draws of the weights; above 1 each run re-draws them (see --weights).")]
Until = Annotated[float | None, Option(help="Draw samples until the sizes are this precise, e.g. 0.02.")]
Seed = Annotated[int | None, Option(help="Of every random draw.")]
Statistics = Annotated[Statistic | None, Option(help="How gradients become a map.")]
WeightScheme = Annotated[Weights | None, Option(help="The model's own, or the scheme to draw them by.")]
Arithmetic = Annotated[Dtype | None, Option(help="Arithmetic of the network.")]
Method = Annotated[Literal["gradient", "analytic"] | None, Option(help="By samples, or the expected map in one pass.")]
Protocol = Annotated[Literal["erfscope", "replknet"] | None, Option(help="replknet: area ratios of that script too.")]
Shape = Annotated[
    str | None,
    Option(metavar="C,H,W", help="Input shape without the batch: 3,224,224 or 3x224x224. Default: the model's own."),
]
InputName = Annotated[str | None, Option(help="Which input, where there are several.")]
Sources = Annotated[Source | None, Option(help="Distribution of the samples.")]
Images = Annotated[
    Path | None,
    Option(
        exists=True,
        dir_okay=False,
        help="zip, PNG, JPEG, or npy [N, C, H, W] (or without N) of the input's shape, to use as input.",
    ),
]
Mean = Annotated[str | None, Option(help="Per channel, subtracted from images: 0.485,0.456,0.406.")]
Std = Annotated[str | None, Option(help="Per channel, images are divided by it.")]
Profile = Annotated[bool, Option("--profile", help="All layers: the profile along depth.")]
ProfileOutput = Annotated[
    list[Path] | None,
    Option(
        "--profile-output",
        help="Write the profile along depth to a file: .csv (a line per layer) or .png (a chart); may be given several "
        "times, and turns --profile on (default: none).",
    ),
]
Request = Annotated[
    Path | None, Option(exists=True, dir_okay=False, help="An ErfRequest as JSON; the other options are laid over it.")
]
Scale = Annotated[Literal["linear", "sqrt", "log"] | None, Option(help="Of the picture's colours.")]
Colormap = Annotated[Literal["viridis", "cividis", "magma", "inferno", "gray"] | None, Option(help="Of the picture.")]


def integers(text: str, option: str, wanted: str = "a list of whole numbers such as 3,224,224") -> list[int]:
    """Integers separated by commas or x: `3,224,224`, `3x224x224`."""
    parts = re.split(r"[,x]", text.strip())
    if not all(part.strip().isdecimal() for part in parts):
        raise refuse("bad-request", f"{option} {text!r} is not {wanted}")
    return [int(part) for part in parts]


def numbers(text: str, option: str, example: str = "a list of numbers such as 0.485,0.456") -> list[float]:
    """Numbers separated by commas: `0.485,0.456,0.406`."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise refuse("bad-request", f"{option} {text!r} is not {example}") from None


def input_fields(shape: str | None, name: str | None) -> dict[str, Any] | None:
    """The `input` of a question about a model; None where nothing of it was asked for."""
    fields = {"shape": integers(shape, "--shape") if shape else None, "name": name}
    chosen = {field: value for field, value in fields.items() if value is not None}
    return chosen or None


def check_output(path: Path, forms: Sequence[str], option: str = "-o") -> None:
    """Before anything is measured: whether a file of this name can be written, and in which form."""
    if path.suffix.lower() not in forms:
        raise refuse("bad-request", f"{option} {path}: the ending must be one of {', '.join(forms)}")
    if not path.parent.is_dir():
        raise refuse("not-found", f"{option} {path}: {path.parent} is not a folder; make it first")


def unit(text: str) -> Any:
    """`center`, an index `7,7`, or a grid `grid:3x3`."""
    if text == "center":
        return text
    if text.startswith("grid:"):
        return {"grid": integers(text.removeprefix("grid:"), "--unit grid:", "rows and columns such as 3x3")}
    return integers(text, "--unit", "center, an index such as 7,7, or a grid such as grid:3x3")


def index(text: str) -> Any:
    """A full index `3,7,7`."""
    return {"index": integers(text, "--index", "a full index such as 3,7,7")}


_CHANNELS = "auto, sum, random, or a list of channels such as 0,5"


def channels(text: str) -> Any:
    """`auto`, `sum`, `random`, or a list `0,5`."""
    return text if text in ("auto", "sum", "random") else integers(text, "--channels", _CHANNELS)
