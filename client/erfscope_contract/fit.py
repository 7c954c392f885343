"""Fit: which heads and levels of a network hold objects of which sizes."""

from typing import Annotated, Literal

from pydantic import Field

from erfscope_contract.about import About
from erfscope_contract.holding import CONFIDENT, HOLD, MOST_SAMPLES, RULE, UNITS_ACROSS
from erfscope_contract.job import LARGEST, Work
from erfscope_contract.judging import By
from erfscope_contract.request import InputOptions, ModelRef, Strict, Weights
from erfscope_contract.result import Frozen, Number
from erfscope_contract.tiles import Names

ObjectSize = Annotated[float, Field(gt=0, le=65_536)]
Verdict = Literal["holds", "unsure", "small field", "coarse grid", "outside input"]


class FitRequest(Strict):
    """A network, and the sizes of the objects that it should find."""

    model: ModelRef = Field(description="A stored ONNX model, or an architecture spec.")
    objects: list[ObjectSize] = Field(
        min_length=1, max_length=32, description="Sizes of objects, input pixels: the side of their square box."
    )
    layers: Names = Field(
        default_factory=list,
        description="The tensors to look at. Empty (the default): every head, and the last layer of each stage.",
    )
    input: InputOptions = Field(
        InputOptions(), description="Its name and shape, where they are not the model's own, and the samples' source."
    )
    weights: Weights = Field(Weights.GIVEN, description="The model's own, or a scheme that draws every one anew.")
    samples: Annotated[int, Field(ge=2, le=MOST_SAMPLES)] = Field(
        16,
        description="Samples per layer: draws of the weights with one input each where a scheme draws them (a spec's, "
        "or one named in weights), else inputs.",
    )
    seed: int = Field(0, ge=0, lt=2**63)
    by: By = Field(
        "erf_size",
        description="By which size levels are judged. mass_50_side is steadier at few samples; of images and volumes.",
    )


class ObjectFit(Frozen):
    """One object at one level."""

    size: float
    verdict: Verdict = Field(
        description=f"holds: the ERF is at least {HOLD:g} times the object; small field: it is smaller; unsure: its "
        f"standard error leaves that open ({CONFIDENT:g} of them), or the input bounds it; coarse grid: the object is "
        f"narrower than {UNITS_ACROSS:g} units; outside input: the object is larger than the input."
    )


class FitLevel(Frozen):
    """A head, or the last layer of a stage."""

    name: str
    operator: str
    role: Literal["head", "level"] = Field(description="head: the network's outputs are computed from it alone.")
    shape: list[int] = Field(description="Without the batch axis.")
    stride: list[Number] = Field(description="Input pixels from one unit to the next; null where uneven.")
    trf_size: list[int] = Field(
        description="Pixels per input axis, of the centre unit; empty where no gradient arrives."
    )
    trf_largest: list[int] = LARGEST
    is_global: bool = Field(False, description="An operator on the way sees its whole input.")
    causal: bool = Field(
        False,
        description="One-sided: the unit reads nothing behind its own place. The half of a box of the mass behind that "
        "place is empty then: the mass reaches back by half of its side.",
    )
    local_box: list[tuple[int, int]] | None = Field(
        None, description="Of a TRF that is global through statistics alone, its box without them."
    )
    clipped: bool = Field(False, description="The TRF sticks out of the input: with a larger input the ERF may grow.")
    erf_size: Number = Field(None, description="Luo's ERF size (2 sigma), pixels; null where no gradient arrives.")
    mass_50_side: Number = Field(
        None,
        description="Side of the box around the unit with half of the map's mass, pixels. Where erf_size is smaller "
        "the map is peaked: read this one for how far the unit sees. Null where no gradient arrives, and from an "
        "older service.",
    )
    mass_50_stderr: Number = Field(None, description="Standard error of mass_50_side, pixels.")
    mass_50_limited: bool = Field(
        False, description="The box reaches a border of the input behind which the field continues: it is a bound."
    )
    limited: bool = Field(
        False, description="The ERF fills the input, so that erf_size is a bound: with a larger input it may be larger."
    )
    erf_ratio: Number = Field(None, description="ERF size over TRF side.")
    stderr: Number = Field(None, description="Standard error of erf_size, pixels.")
    objects: list[ObjectFit] = Field(description="Each size that was asked for, in the order of the request.")
    holds: list[float] = Field(
        description="The object sizes, of those asked for, that this level holds; unsure ones do not count."
    )

    def size_by(self, by: By) -> Number:
        """The size that it is judged by, pixels."""
        return self.erf_size if by == "erf_size" else self.mass_50_side

    def error_by(self, by: By) -> Number:
        """Its standard error."""
        return self.stderr if by == "erf_size" else self.mass_50_stderr

    def is_bound_by(self, by: By) -> bool:
        """Whether the input bounds it."""
        return self.limited if by == "erf_size" else self.mass_50_limited


class FitObject(Frozen):
    """One object size at all levels."""

    size: float
    held_by: list[str] = Field(
        description="Levels that hold it, by name, smallest ERF first; unsure ones do not count."
    )
    best: str | None = Field(
        description="The head, else the level, with the smallest ERF that holds it. Where heads decide (`deciding`), "
        "one of them, or null."
    )
    words: str = Field(description="The same as a sentence; where nothing holds it, what is missing.")


class Fit(Frozen):
    """Heads and levels of a network, and which objects each holds."""

    schema_version: int = 1
    input_shape: list[int] = Field(description="[C, spatial …] at which everything was measured, without the batch.")
    levels: list[FitLevel]
    deciding: list[str] = Field(
        default_factory=list,
        description="The heads whose rows count, because what the network says is read from them: all heads where "
        "there are several, or the only one where it lies on a finer grid than the coarsest level, or all levels "
        "lie on one grid. Empty for a network whose only head is on its coarsest grid (a backbone, a classifier), "
        "where levels count as well.",
    )
    objects: list[FitObject]
    by: By = Field("erf_size", description="By which size the levels are judged.")
    rule: str = Field(RULE, description="The rule by which a level holds an object, as a sentence.")
    about: About | None = Field(None, description="Which model and samples; null from an older service.")
    notes: list[str] = Field(default_factory=list)
    engine: str
    torch: str


class FitLinks(Frozen):
    """Where the parts of the job are."""

    self: str


class FitJob(Work):
    """A question for a fit on its way to its answer."""

    request: FitRequest
    result: Fit | None = None
    links: FitLinks
