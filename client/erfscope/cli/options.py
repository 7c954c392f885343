"""Options of the commands: their names, groups and help."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, BadParameter, Option

from erfscope._result import FORMS
from erfscope.cli import completion
from erfscope_contract.request import WEIGHT_WORDS, Dtype, Source, Statistic, Weights

# Groups of options in the help.
MEASURED, SAMPLES, INPUT = "What is measured", "Samples and weights", "Input"
FIGURES, OUTPUT, SERVICE = "Figures", "Output", "Service"

Model = Annotated[
    str,
    Argument(
        metavar="MODEL",
        help="The model: an .onnx file, a .json spec, or preset:NAME (`erfscope presets` lists the names).",
        autocompletion=completion.models,
    ),
]
Url = Annotated[
    str | None,
    Option(
        "--url",
        envvar="ERFSCOPE_URL",
        help="Address of a service that does the work, such as http://localhost:8000 (default: this process does it).",
        rich_help_panel=SERVICE,
    ),
]
ApiKey = Annotated[
    str | None,
    Option(
        "--api-key",
        envvar="ERFSCOPE_API_KEY",
        show_envvar=True,
        help="API key of the service; safer in the environment than on the command line (default: none).",
        rich_help_panel=SERVICE,
    ),
]
AsJson = Annotated[
    bool, Option("--json", help="Print JSON, and nothing else (default: a table).", rich_help_panel=OUTPUT)
]
Output = Annotated[
    list[Path] | None,
    Option(
        "-o",
        "--output",
        help=f"File to write; its ending is its format, one of {', '.join(FORMS)}. May be given several "
        "times (default: none).",
        rich_help_panel=OUTPUT,
    ),
]
Everything = Annotated[
    bool,
    Option(
        "--all", help="Show every metric, by its flat name (default: the most important ones).", rich_help_panel=OUTPUT
    ),
]

Layer = Annotated[
    str | None,
    Option(
        help="Layer to measure: an ONNX tensor or node, or a layer of a spec; `erfscope layers` lists them "
        "(default: auto, "
        "the layer nearest to the output that has axes in the input's space and a gradient).",
        rich_help_panel=MEASURED,
        autocompletion=completion.layers,
    ),
]
Layers = Annotated[
    list[str] | None,
    Option(
        "--layer",
        help="ONNX tensor or node, or a spec's layer; may be given several times (default: what the outputs are "
        "computed from).",
        rich_help_panel=MEASURED,
        autocompletion=completion.layers,
    ),
]
Unit = Annotated[
    str | None,
    Option(
        help="Unit to measure: center, an index such as 7,7, or grid:3x3 (default: center).", rich_help_panel=MEASURED
    ),
]
Index = Annotated[
    str | None,
    Option(
        metavar="I,I,…",
        help="One element of the layer's tensor by its full index without the batch, such as 3,7,7; takes the place "
        "of --unit, and is for any layer (default: none).",
        rich_help_panel=MEASURED,
    ),
]
Verify = Annotated[
    bool,
    Option(
        "--verify",
        help="Also compute one sample by plain autograd on the whole network, and show the relative difference "
        "(default: off).",
        rich_help_panel=MEASURED,
    ),
]
Channels = Annotated[
    str | None,
    Option(
        help="Channels whose outputs are added up: sum, random (signs), a list such as 0,5, or auto: sum, and "
        "random where "
        "the gradient of the sum vanishes (default: auto).",
        rich_help_panel=MEASURED,
    ),
]
Inputs = Annotated[int | None, Option(help="Number of input samples (default: 32).", rich_help_panel=SAMPLES)]
FormerSamples = Annotated[
    int | None, Option("--samples", hidden=True, help="Number of input samples, the former --inputs (default: none).")
]
Draws = Annotated[
    int | None,
    Option(
        help="Number of draws of the weights; above 1 each run draws them again by --weights (default: 1).",
        rich_help_panel=SAMPLES,
    ),
]
Until = Annotated[
    float | None,
    Option(
        help="Draw samples until the relative standard error of the sizes is at most this, such as 0.02 "
        "(default: a fixed "
        "number, see --inputs).",
        rich_help_panel=SAMPLES,
    ),
]
Seed = Annotated[int | None, Option(help="Seed of all random numbers (default: 0).", rich_help_panel=SAMPLES)]
Statistics = Annotated[
    Statistic | None,
    Option(
        help="Statistic that makes a map of the samples' gradients: abs (mean of absolute values), rms, relu (positive "
        "part) or signed (default: abs).",
        rich_help_panel=SAMPLES,
    ),
]
WEIGHTS: Mapping[str, Weights] = {**{scheme.value: scheme for scheme in Weights}, **WEIGHT_WORDS}


def weights_of(text: str) -> Weights:
    """A scheme by its name, or by the word of papers."""
    if text not in WEIGHTS:
        raise BadParameter(f"there are no weights {text!r}; there are {', '.join(WEIGHTS)}")
    return WEIGHTS[text]


def weights_typed(text: str) -> str:
    """The same word: commands that are proposed repeat it."""
    weights_of(text)
    return text


WeightScheme = Annotated[
    str | None,
    Option(
        parser=weights_typed,
        metavar=f"[{'|'.join(WEIGHTS)}]",
        help="Weights to measure with: given (the model's own, also trained) or the scheme to draw them by; random is "
        "kaiming_normal (default: given).",
        autocompletion=lambda: list(WEIGHTS),
        rich_help_panel=SAMPLES,
    ),
]
Arithmetic = Annotated[
    Dtype | None, Option(help="Data type in which the network is computed (default: float32).", rich_help_panel=SAMPLES)
]
Method = Annotated[
    Literal["gradient", "analytic"] | None,
    Option(
        help="gradient: average over samples; analytic: the expected map over random weights, in one pass (default: "
        "gradient).",
        rich_help_panel=SAMPLES,
    ),
]
Protocol = Annotated[
    Literal["erfscope", "replknet", "both"] | None,
    Option(
        help="replknet: as RepLKNet's script does, which drops negative gradients (statistic relu, for the ERF too), "
        "with its area ratios r; both: the numbers of erfscope, and r by the script from the same samples, in twice "
        "the time (default: erfscope).",
        rich_help_panel=SAMPLES,
    ),
]
Shape = Annotated[
    str | None,
    Option(
        metavar="C,H,W",
        help="Input shape in pixels, channels first and without the batch: 3,224,224 (default: the model's own).",
        rich_help_panel=INPUT,
    ),
]
InputName = Annotated[
    str | None,
    Option(
        help="Name of the input to measure, if the model has several (default: the first that is an image).",
        rich_help_panel=INPUT,
    ),
]
Sources = Annotated[
    Source | None,
    Option(
        help="Where the samples come from: a distribution, a constant, or --images (default: normal).",
        rich_help_panel=INPUT,
    ),
]
Images = Annotated[
    Path | None,
    Option(
        exists=True,
        dir_okay=False,
        help="File of images to use as samples: zip, PNG, JPEG, or npy [N, C, H, W] (or without N) of the "
        "input's shape "
        "(default: none).",
        rich_help_panel=INPUT,
    ),
]
Mean = Annotated[
    str | None,
    Option(
        help="Mean of each channel, subtracted from images whose values are 0 to 1: 0.485,0.456,0.406 (default: 0).",
        rich_help_panel=INPUT,
    ),
]
Std = Annotated[
    str | None,
    Option(
        help="Standard deviation of each channel, by which images are divided: 0.229,0.224,0.225 (default: 1).",
        rich_help_panel=INPUT,
    ),
]
Profile = Annotated[
    bool,
    Option(
        "--profile",
        help="Measure all layers: the profile along depth; --layers measures some of them in less time (default: the "
        "one layer).",
        rich_help_panel=MEASURED,
    ),
]
ProfiledLayers = Annotated[
    list[str] | None,
    Option(
        "--layers",
        metavar="NAME|PATTERN|every:N",
        help="Layers of the profile: names, patterns such as 'layer*.relu', or every:4 for each fourth layer; may be "
        "given several times, and turns --profile on (default: all).",
        rich_help_panel=MEASURED,
        autocompletion=completion.layers,
    ),
]
ProfileOutput = Annotated[
    list[Path] | None,
    Option(
        "--profile-output",
        help="Write the profile along depth to a file: .csv (a line per layer), .png, .pdf or .svg (a chart); may be "
        "given several times, and turns --profile on (default: none).",
        rich_help_panel=OUTPUT,
    ),
]
Request = Annotated[
    Path | None,
    Option(
        exists=True,
        dir_okay=False,
        help="File with an ErfRequest as JSON; the other options replace its fields (default: none).",
        rich_help_panel=SAMPLES,
    ),
]
Scale = Annotated[
    Literal["linear", "sqrt", "log"] | None,
    Option(help="Scale of the picture's colours (default: sqrt).", rich_help_panel=FIGURES),
]
Rate = Annotated[
    float | None,
    Option(
        help="Sampling rate of sound, in Hz: lengths are shown in seconds (default: in samples).", rich_help_panel=INPUT
    ),
]
Spacing = Annotated[
    str | None,
    Option(
        metavar="D,H,W",
        help="Size of a pixel or voxel along each axis, such as 2,0.7,0.7, or one for all axes, in mm or with a unit, "
        "such as 0.3m (nm, um, mm, cm, m, km): lengths are shown in this unit (default: in pixels or voxels).",
        rich_help_panel=INPUT,
    ),
]
Width = Annotated[
    str | None,
    Option(
        metavar="LENGTH",
        help="Width of a figure (.pdf, .svg, .png): 3.25 or 3.25in in inches, 8.5cm in centimetres (default: 3.5in "
        "for one map, 7in for four beside each other).",
        rich_help_panel=FIGURES,
    ),
]
Dpi = Annotated[
    float | None,
    Option(
        help="Resolution of a .png figure, in dots per inch (default: 300 where --width is given).",
        rich_help_panel=FIGURES,
    ),
]
Font = Annotated[
    str | None,
    Option(
        help="Font of a figure: STIXGeneral (looks like Times, comes with matplotlib), serif (DejaVu Serif), "
        "sans-serif, or the name of an installed font (default: DejaVu Sans).",
        rich_help_panel=FIGURES,
    ),
]
FontSize = Annotated[
    float | None, Option(help="Size of a figure's letters, in points (default: 8).", rich_help_panel=FIGURES)
]
NoContours = Annotated[
    bool,
    Option(
        "--no-contours",
        help="Draw a figure without the lines around 50, 90 and 99 % of the mass (default: with them).",
        rich_help_panel=FIGURES,
    ),
]
NoTrf = Annotated[
    bool,
    Option(
        "--no-trf",
        help="Draw a figure without the box of the theoretical field (default: with it).",
        rich_help_panel=FIGURES,
    ),
]
Colormap = Annotated[
    Literal["viridis", "cividis", "magma", "inferno", "gray"] | None,
    Option(help="Colour map of the picture (default: viridis).", rich_help_panel=FIGURES),
]
