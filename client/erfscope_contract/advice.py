"""Advice: which smallest change of a network gives a unit the effective receptive field that is wanted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from erfscope_contract.about import About
from erfscope_contract.architecture import Architecture
from erfscope_contract.holding import HOLD, MOST_SAMPLES, erf_for
from erfscope_contract.job import Work
from erfscope_contract.request import InputOptions, ModelRef, Strict, Weights
from erfscope_contract.result import Frozen, Number

ChangeKind = Literal[
    "dilation", "kernel_size", "stride", "depth", "output_stride", "large_kernel", "context", "extra_stage",
    "attention", "input_scale", "combined",
]  # fmt: skip

MASS = (
    "Side of the box around the unit with half of the map's mass, pixels; measured where the ERF is. Null where "
    "neither is known, and from an older service."
)


class AdviceRequest(Strict):
    """A network, one of its layers, and the ERF size that its units should have."""

    model: ModelRef = Field(description="A stored ONNX model, or an architecture spec.")
    want: Annotated[float, Field(gt=1, le=65_536)] | None = Field(
        None, description="Wanted ERF size (Luo's, 2 sigma) in input pixels; or give object_size."
    )
    object_size: Annotated[float, Field(gt=1, le=43_690)] | None = Field(
        None,
        description=f"Size in input pixels of the objects that a unit must see; the wanted ERF is {HOLD:g} times it.",
    )
    layer: str = Field("auto", min_length=1, max_length=4096, description="As target.layer of a measurement.")
    input: InputOptions = Field(
        InputOptions(),
        description="Its name and shape, where they are not the model's own, and the samples' source.",
    )
    weights: Weights = Field(Weights.GIVEN, description="The model's own, or a scheme that draws every one anew.")
    verify: Annotated[int, Field(ge=0, le=20)] = Field(
        5,
        description="How many of the best changes are measured; the others are left out. 0: none is measured, and all "
        "are listed by what is expected.",
    )
    latency: bool = Field(
        False, description="Whether to time one input through the network and through each change, on this machine."
    )
    samples: Annotated[int, Field(ge=2, le=MOST_SAMPLES)] = Field(
        8, description="Samples of such a measurement: draws of the weights where a scheme draws them, else inputs."
    )
    seed: int = Field(0, ge=0, lt=2**63)

    @property
    def wanted_size(self) -> float:
        """The ERF size that is asked for, in pixels."""
        return self.want if self.want is not None else erf_for(self.object_size or 0.0)

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.want is None) == (self.object_size is None):
            raise ValueError("needs exactly one of want and object_size")
        return self


class AdviceLayer(Frozen):
    """One row of the profile along depth, by the analytic method."""

    name: str
    operator: str
    trf_size: list[int]
    erf_size: Number
    adds: Number = Field(
        description="ERF size beyond the largest of the layers it reads, pixels; parts of pixels count here, so that "
        "it need not be the difference of two erf_size."
    )
    idle: bool = Field(description="Its TRF grows, its ERF (nearly) does not: less than 1 %.")


class Edit(Frozen):
    """One field of one layer, before and after."""

    layer: str = Field(
        description="What is changed: a layer of the spec (* stands for every pass of a repeat), a "
        "node or input of the ONNX file, or a layer that is added."
    )
    field: str
    before: str
    after: str


class Picture(Frozen):
    """A small map for drawing: rows of cells from 0 to 255, the root of the map, its maximum 255."""

    cells: list[list[int]] = Field(description="Rows of the map; a network along one axis has one row.")
    pixels: list[float] = Field(description="Input pixels that a cell covers, per axis.")


class Change(Frozen):
    """One way to the wanted size."""

    kind: ChangeKind
    text: str
    edits: list[Edit]
    erf_analytic: Number = Field(
        None, description="By the analytic method; null where it cannot follow the network (attention)."
    )
    erf_measured: Number = Field(None, description="By gradient; null where this change was not measured.")
    stderr: Number = None
    mass_50_side: Number = Field(None, description=MASS)
    trf_size: list[int]
    lattice: Number = Field(None, description="Gridding of the map, 0 to 1: holes that a dilation leaves.")
    reaches: bool = Field(description="By the measured size where there is one (within two standard errors).")
    unsure: bool = Field(
        False,
        description="It reaches only within two standard errors: the measured size is below the wanted one. More "
        "inputs decide.",
    )
    layer_shape: list[int] = Field(description="Of the layer after the change, without the batch.")
    added_macs: int = Field(description="Multiply-accumulates up to the layer, per input; negative where they fall.")
    added_parameters: int
    added_memory: int = Field(0, description="Bytes of activations up to the layer, per input, in float32.")
    added_ms: Number = Field(None, description="Milliseconds for one input on this machine; null unless asked for.")
    weights_kept: Number = Field(
        None, description="Share of the network's present weights that fit the change, 0 to 1."
    )
    train_anew: list[str] = Field(default_factory=list, description="Layers whose weights are new.")
    pareto: bool = Field(
        False, description="No other change is as good in ERF size, arithmetic, weights and memory, and better in one."
    )
    input_parts: int | None = Field(
        None,
        description="N, where the network gets its input at 1/N of its size. Sizes are in pixels of the original: N "
        "times those that were measured without it. MACs and memory are those of the smaller input, by its area.",
    )
    picture: Picture | None = Field(None, description="The measured map; of the best three changes.")
    architecture: Architecture | None = Field(
        None, description="The changed spec; null for an ONNX model, and where the input alone is scaled."
    )

    @property
    def size(self) -> float:
        """The ERF size: as measured, or expected."""
        return self.erf_measured if self.erf_measured is not None else (self.erf_analytic or 0.0)


class Advice(Frozen):
    """What is, what adds nothing, and the changes that reach what is wanted, best first."""

    schema_version: int = 1
    layer: str
    want: float
    object_size: Number = Field(None, description="As asked.")
    input_shape: list[int] = Field(description="At which all sizes are given: large enough for the wanted one.")
    layer_shape: list[int]
    trf_size: list[int]
    erf_analytic: Number = None
    erf_measured: Number = None
    stderr: Number = None
    mass_50_side: Number = Field(None, description=MASS)
    lattice: Number = None
    reaches: bool = Field(
        description="Nothing needs to change; or it is unsure whether something must, where erf_measured is below the "
        "wanted size, but within two standard errors. Changes are listed then as well."
    )
    macs: int = Field(description="Multiply-accumulates up to the layer, per input.")
    parameters: int
    memory: int = Field(0, description="Bytes of activations up to the layer, per input, in float32.")
    ms: Number = Field(None, description="Milliseconds for one input on this machine; null unless asked for.")
    picture: Picture | None = Field(None, description="The measured map.")
    layers: list[AdviceLayer]
    changes: list[Change]
    tried: int = Field(description="Changed networks that were looked at.")
    about: About | None = Field(None, description="Which model and samples; null from an older service.")
    coarsest: str | None = Field(
        None,
        description="The last layer of the coarsest grid that the layer is computed from; null where that is its own.",
    )
    head: str | None = Field(
        None,
        description="The layer that auto takes, where it lies behind the layer that was asked about: what widens this "
        "one need not widen that. Null where the layer is that one, and from an older service.",
    )
    notes: list[str] = Field(default_factory=list)
    engine: str
    torch: str

    @property
    def is_unsure(self) -> bool:
        """Whether it reaches the wanted size only within two standard errors."""
        return self.reaches and self.erf_measured is not None and self.erf_measured < self.want


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during an advice, with what was known by then."""

    def __init__(self, answer: Advice) -> None:
        super().__init__()
        self.answer = answer


class AdviceLinks(Frozen):
    """Where the parts of an advice are."""

    self: str


class AdviceJob(Work):
    """A question on its way to its answer."""

    request: AdviceRequest
    result: Advice | None = None
    links: AdviceLinks
