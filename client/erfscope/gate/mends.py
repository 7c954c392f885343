"""What to do about a broken rule, in words."""

import re
from collections.abc import Sequence

LENGTHS = re.compile(r"trf_size\w*|erf_size\w*|mass_\d+_(side|pixels)|r\d+|sigma_\w+")  # how far a field reaches
WIDER = (
    "Let the layer see more: larger kernels or dilation before it, an earlier stride, or a later layer. "
    "Trained weights usually see more than fresh ones."
)
NARROWER = "Let the layer see less: smaller kernels, less dilation or stride before it, or an earlier layer."
THEORETICAL = (
    "The theoretical size follows from kernels, strides and dilations alone; weights and samples do not move it."
)

# (start of the metric's name, broken end) → what to do; the first row that fits is taken.
MENDS: Sequence[tuple[str, str, str]] = (
    ("trf_", "min", f"{THEORETICAL} Add or enlarge one of them before this layer."),
    ("trf_", "max", f"{THEORETICAL} Remove or shrink one of them before this layer."),
    ("erf_ratio", "min", "Few of the pixels that can reach the unit do: fewer, larger or dilated kernels use more."),
    ("erf_ratio", "max", "The field fills its TRF: check that no layer weighs its border as much as its centre."),
    ("erf_", "min", WIDER),
    ("erf_", "max", NARROWER),
    ("mass_", "min", WIDER),
    ("mass_", "max", NARROWER),
    ("r50", "min", WIDER), ("r50", "max", NARROWER),
    ("r90", "min", WIDER), ("r90", "max", NARROWER),
    ("r99", "min", WIDER), ("r99", "max", NARROWER),
    ("sigma", "min", WIDER),
    ("sigma", "max", NARROWER),
    ("r2", "min", "The map is not a Gaussian: look at its picture (--pictures) for holes, a grid, or a cut border."),
    ("lattice", "max", "Gridding: use dilations without a common factor (1, 2, 3), smooth after strided or transposed "
     "convolutions, or overlap kernels (kernel size divisible by the stride)."),
    ("dead_fraction", "max", "Samples without any gradient: another unit, channels = \"random\", real images, "
     "or an activation that does not die."),
    ("border_mass", "max", "The field reaches beyond the input: a larger input_shape, or a unit nearer to the centre."),
    ("offset", "", "The field lies beside its unit: look for uneven padding or a shifted resize."),
    ("mass_before", "undefined", "Only a causal field has it, one that reads nothing behind its own place."),
    ("verify_difference", "undefined", "It is computed only with verify = true."),
    ("verify_difference", "max", "The measured gradient is not plain autograd's. Allow more only where rounding "
     "explains it (in float32 a ReLU near 0 may flip); otherwise the measurement is wrong, and worth a report."),
    ("anisotropy", "max", "The field is longer one way: look for kernels, strides or pools that are not square."),
)  # fmt: skip
MEANT = "Where the value is meant, change the bound."
OTHERWISE = "Change the network, or this bound where the new value is meant."
UNDEFINED = "The metric is undefined for this map; look at its picture (--pictures) and at the result's notes."
UPDATE = "erfscope check --update-baseline"
FIND = "Find the change to the model that did it."
UNDO = "Undo that change to the model."  # where it is told
RESTORE = "Restore the former weights."  # where nothing else changed
GREW = (  # where a layer changed and the field is larger
    f"The field grew. Where it is meant: `{UPDATE}`, and commit the file. Otherwise undo that change to the model. "
    'With `direction = "down"` in `drift`, growth passes.'
)
RETRAINED = (  # where weights of a file changed and nothing else
    f"If the model was trained again, other values are usual: run `{UPDATE}` and commit the file, or let the check "
    "guard the architecture alone: `erfscope init {model} --weights random` converts it to drawn weights, with as many "
    "draws as it needs (by hand: replace the line `inputs` of the check by "
    '`weights = "kaiming_normal"`, `draws = 128` and `inputs = 1`, each on its line, and write the baseline anew). '
    "If it was not, restore the former weights."
)


def accepting(undo: str) -> str:
    """What to do about a change, and what to do where it is meant."""
    return f"{undo} Where it is meant: `{UPDATE}`, and commit the file."


def mend_bound(metric: str, end: str) -> str:
    """What to do about a metric that is under its `min`, over its `max`, or `undefined`."""
    ends = (end,) if end == "undefined" else ("", end)
    text = next((text for start, which, text in MENDS if metric.startswith(start) and which in ends), None)
    if end == "undefined":
        return text or UNDEFINED
    return f"{text} {MEANT}" if text else OTHERWISE


def mend_missing() -> str:
    """What to do where nothing was committed yet."""
    return f"Run `{UPDATE}`, look at the file and commit it."
