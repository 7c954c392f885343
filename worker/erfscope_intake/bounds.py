"""How much an ONNX file may hold: every bound on what strangers send, in one place, and the verdicts on what is beyond.

The bounds are far above what exporters write (the largest networks of the model zoos have 9,000 nodes) and low enough
that a file at all of them together costs seconds and some hundred MiB.
"""

from collections.abc import Sequence
from typing import NoReturn

from erfscope_contract.problem import ProblemError

MAX_NODES = 20_000
MAX_FIELDS = 1_200_000  # of all messages in the file; a parsed message takes about 150 bytes
MAX_NESTING = 64  # messages within messages
MAX_GRAPH_DEPTH = 8
MAX_AXES = 24  # of a tensor: numpy and torch take 64, but the work for each step grows with their square
MAX_PORTS = 2_000  # inputs or outputs of one node
MAX_LISTED = 128  # numbers in an attribute or input that has one or two for each axis
MAX_EXTENT = 2**31
MAX_ELEMENTS = 2**62  # of a tensor: keeps sizes in 64 bits
MAX_INPUT = 2**48  # numbers of the measured input: more cannot be counted in bytes, let alone stored
MAX_INT = 2**31

# Inputs that have a number or two for each axis, by operator.
PER_AXIS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "Slice": (1, 2, 3, 4),
    "Expand": (1,),
    "Tile": (1, 2),
    "Pad": (1, 3),
    "CenterCropPad": (1,),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "ConstantOfShape": (0,),
    "AffineGrid": (1,),
    "Col2Im": (1, 2),
    "MaxUnpool": (2,),
    **dict.fromkeys((
        "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceSumSquare",
    ), (1,)),
}  # fmt: skip
# Inputs whose numbers are places in the first input.
INDICES = {"Gather": 1, "GatherElements": 1, "GatherND": 1, "ScatterElements": 1, "ScatterND": 1}
LISTS = {
    "axes", "perm", "strides", "dilations", "kernel_shape", "pads", "output_padding", "output_shape", "shape",
    "starts", "ends", "scales", "repeats",
}  # fmt: skip
AXIS_ATTRIBUTES = {"axis", "axes", "batch_axis", "time_axis", "batch_dims", "perm"}


def too_complex(detail: str, limit: int) -> NoReturn:
    """The file holds more than may be read."""
    raise ProblemError("model-too-complex", detail, limit=limit)


def check_axes(count: int, where: str) -> None:
    """A shape must have a number of axes that libraries can take."""
    if count > MAX_AXES:
        too_complex(f"{where} has {count} axes; at most {MAX_AXES} can be computed with.", MAX_AXES)


def check_ports(inputs: int, outputs: int, where: str) -> None:
    """A node must have a number of inputs and outputs that can be followed one by one."""
    for number, what in ((inputs, "inputs"), (outputs, "outputs")):
        if number > MAX_PORTS:
            too_complex(f"{where} has {number} {what}; at most {MAX_PORTS} can be followed.", MAX_PORTS)


def check_list(name: str, values: Sequence[int | float], where: str) -> None:
    """An attribute that has a number for each axis, or names axes, must be one that a tensor can have."""
    if name in LISTS and len(values) > MAX_LISTED:
        too_complex(f"{where} has {len(values)} numbers; at most {MAX_LISTED} fit a tensor's axes.", MAX_LISTED)
    if name in AXIS_ATTRIBUTES and any(abs(value) > MAX_AXES for value in values):
        raise ProblemError("invalid-model", f"{where} names an axis beyond {MAX_AXES}, which no tensor has.")
