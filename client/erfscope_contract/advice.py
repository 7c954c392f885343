"""Advice: which smallest change of a network gives a unit the effective receptive field that is wanted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from erfscope_contract.architecture import Architecture
from erfscope_contract.job import Work
from erfscope_contract.request import InputOptions, ModelRef, Source, Strict, Weights
from erfscope_contract.result import Frozen, Number

ChangeKind = Literal["dilation", "kernel_size", "stride", "depth"]


class AdviceRequest(Strict):
    """A network, one of its layers, and the ERF size that its units should have."""

    model: ModelRef = Field(description="A stored ONNX model, or an architecture spec.")
    want: Annotated[float, Field(gt=1, le=65_536)] = Field(
        description="Wanted ERF size (Luo's, 2 sigma) in input pixels: the size of the objects that matter, say."
    )
    layer: str = Field("auto", min_length=1, max_length=4096, description="As target.layer of a measurement.")
    input: InputOptions = Field(InputOptions(), description="Its shape, where it is not the model's own.")
    weights: Weights = Field(Weights.GIVEN, description="The model's own, or a scheme that draws every one anew.")
    verify: Annotated[int, Field(ge=0, le=10)] = Field(3, description="How many of the best changes are measured.")
    samples: Annotated[int, Field(ge=2, le=1000)] = Field(
        16, description="Samples of such a measurement: draws of the weights where a scheme draws them, else inputs."
    )
    seed: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _noise_only(self) -> Self:
        if self.input.source is Source.IMAGES:
            raise ValueError("advice is given for noise inputs; leave out input.source and input.images")
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

    layer: str = Field(description="Path in the spec (* is every pass of a repeat), or ONNX node.")
    field: str
    before: str
    after: str


class Change(Frozen):
    """One way to the wanted size."""

    kind: ChangeKind
    text: str
    edits: list[Edit]
    erf_analytic: float
    erf_measured: Number = Field(None, description="By gradient; null where this change was not verified.")
    stderr: Number = None
    trf_size: list[int]
    lattice: Number = Field(None, description="Gridding of the expected map, 0 to 1: holes that a dilation leaves.")
    reaches: bool = Field(description="By the measured size where there is one (within two standard errors).")
    layer_shape: list[int] = Field(description="Of the layer after the change, without the batch.")
    added_macs: int = Field(description="Multiply-accumulates up to the layer, per input; negative where they fall.")
    added_parameters: int
    architecture: Architecture | None = Field(None, description="The changed spec; null for an ONNX model.")


class Advice(Frozen):
    """What is, what adds nothing, and the smallest changes that reach what is wanted, cheapest first."""

    schema_version: int = 1
    layer: str
    want: float
    input_shape: list[int] = Field(description="At which all sizes are given: large enough for the wanted one.")
    layer_shape: list[int]
    trf_size: list[int]
    erf_analytic: float
    erf_measured: Number = None
    stderr: Number = None
    reaches: bool = Field(description="Nothing needs to change.")
    macs: int = Field(description="Multiply-accumulates up to the layer, per input.")
    parameters: int
    layers: list[AdviceLayer]
    changes: list[Change]
    tried: int = Field(description="Changed networks that were looked at.")
    notes: list[str] = Field(default_factory=list)
    engine: str
    torch: str


class AdviceLinks(Frozen):
    """Where the parts of an advice are."""

    self: str


class AdviceJob(Work):
    """A question on its way to its answer."""

    request: AdviceRequest
    result: Advice | None = None
    links: AdviceLinks
