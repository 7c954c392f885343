"""How to mend a broken rule, by metric: what about a network moves that number."""

from collections.abc import Sequence

WIDER = (
    "Let the layer see more: larger kernels or dilation before it, an earlier stride, or a later layer. "
    "Trained weights usually see more than fresh ones."
)
NARROWER = "Let the layer see less: smaller kernels, less dilation or stride before it, or an earlier layer."
EXACT = "The theoretical size follows from kernels, strides and dilations alone; weights and samples do not move it."

# (start of the metric's name, broken end) → what to do; the first row that fits is taken.
MENDS: Sequence[tuple[str, str, str]] = (
    ("trf_", "min", f"{EXACT} Add or enlarge one of them before this layer."),
    ("trf_", "max", f"{EXACT} Remove or shrink one of them before this layer."),
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
OTHERWISE = "Change the network, or this bound where the new value is meant."
UNDEFINED = "The metric is undefined for this map; look at its picture (--pictures) and at the result's notes."
UPDATE = "erfscope check --update-baseline"


def mend_bound(metric: str, end: str) -> str:
    """What to do about a metric that is under its `min`, over its `max`, or `undefined`."""
    ends = (end,) if end == "undefined" else ("", end)
    text = next((text for start, which, text in MENDS if metric.startswith(start) and which in ends), None)
    if end == "undefined":
        return text or UNDEFINED
    return f"{text} Where the value is meant, change the bound." if text else OTHERWISE


def mend_drift(metric: str) -> str:
    """What to do about a metric that is not the baseline's any more."""
    exact = f" {EXACT}" if metric.startswith("trf_") else ""
    return f"Find the change to the model that did it.{exact} Where it is meant: `{UPDATE}`, and commit the file."


def mend_missing() -> str:
    """What to do where nothing was committed yet."""
    return f"Run `{UPDATE}`, look at the file and commit it."
