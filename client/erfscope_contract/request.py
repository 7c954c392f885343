"""What a user may ask: the body of POST /erf."""

from collections.abc import Mapping
from enum import StrEnum
from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    model_validator,
)
from pydantic_core import CoreSchema

from erfscope_contract.architecture import Architecture
from erfscope_contract.architecture.numbers import without_bools
from erfscope_contract.presets import preset
from erfscope_contract.problem import ProblemError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Lower-case hexadecimal sha256.")]
MOST_UNITS = 1024  # of a grid: their numbers fit the largest result (4 MiB)
Extent = Annotated[int, Field(ge=1, le=65_536)]


class Strict(BaseModel):
    """Base of everything a user writes: immutable, and an unknown field is an error, not a typo lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return without_bools(handler(source), cls)


class Source(StrEnum):
    """Distribution of the input samples."""

    NORMAL = "normal"
    UNIFORM = "uniform"
    ZEROS = "zeros"
    ONES = "ones"
    IMAGES = "images"


class Statistic(StrEnum):
    """How gradients of many samples become one map (reduced over input channels as well)."""

    ABS = "abs"
    RMS = "rms"
    RELU = "relu"
    SIGNED = "signed"


class Weights(StrEnum):
    """Where the weights come from: the model's own, or a scheme that draws every one anew."""

    GIVEN = "given"
    KAIMING_NORMAL = "kaiming_normal"
    KAIMING_UNIFORM = "kaiming_uniform"
    XAVIER_NORMAL = "xavier_normal"
    XAVIER_UNIFORM = "xavier_uniform"
    ORTHOGONAL = "orthogonal"
    NORMAL = "normal"
    UNIFORM = "uniform"
    ONES = "ones"
    DEFAULT = "default"
    LOW_CENTER = "low_center"


# Words of papers; they mean the same on the command line, in the SDK and in the engine.
WEIGHT_WORDS: Mapping[str, Weights] = {"random": Weights.KAIMING_NORMAL, "trained": Weights.GIVEN}


class Dtype(StrEnum):
    """Arithmetic of the network; sums over samples are float64 always. tf32 is float32 with shorter products (GPU)."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    TF32 = "tf32"


def _known_preset(name: str) -> str:
    try:
        preset(name)
    except ProblemError as error:
        raise ValueError(error.problem.detail) from None
    return name


class ModelRef(Strict):
    """The network to look at: a stored ONNX file by its sha256, an architecture spec, or a spec's well-known name."""

    sha256: Sha256 | None = Field(None, description="An ONNX model that was uploaded before.")
    architecture: Architecture | None = Field(None, description="A network described layer by layer.")
    preset: Annotated[str, AfterValidator(_known_preset)] | None = Field(
        None,
        exclude_if=lambda name: name is None,  # as it always is once it has been resolved
        max_length=100,
        examples=["resnet50"],
        description="The name of a spec that ships with erfscope; it is the same question as its architecture.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [self.sha256, self.architecture, self.preset].count(None) != 2:
            raise ValueError("give exactly one of sha256, architecture and preset")
        if self.preset is not None:
            vars(self).update(architecture=preset(self.preset), preset=None)  # frozen for everybody else
            self.model_fields_set.add("architecture")
        return self


class InputOptions(Strict):
    """Which input is looked at, its shape, and what is fed to it."""

    name: str | None = Field(None, max_length=1024, description="The input's name, when there are several.")
    shape: list[Extent] | None = Field(
        None,
        min_length=1,
        max_length=4,
        description="[C, H, W] (or [C, L], [L], [C, D, H, W]) without the batch; null takes the model's own, "
        "with 16,000 (1-D), 224 (2-D) or 32 (3-D) for dynamic axes.",
    )
    source: Source = Field(Source.NORMAL, description="Distribution of the samples.")
    images: Sha256 | None = Field(None, description="An uploaded zip, PNG, JPEG or npy, for source=images.")
    mean: list[float] | None = Field(None, max_length=4096, description="Per channel, subtracted from images.")
    std: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, max_length=4096, description="Per channel, images are divided by it."
    )

    @model_validator(mode="after")
    def _images_go_together(self) -> Self:
        if (self.source is Source.IMAGES) != (self.images is not None):
            raise ValueError("source=images and images=<sha256> go together")
        if self.source is not Source.IMAGES and not (self.mean is None and self.std is None):
            raise ValueError("mean and std normalise images; leave them out or give source=images")
        return self


class GridUnits(Strict):
    """A grid of evenly spread units."""

    grid: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        min_length=1, max_length=3, examples=[[3, 3]], description=f"Units per axis; at most {MOST_UNITS} in all."
    )

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        if (units := prod(self.grid)) > MOST_UNITS:
            raise ValueError(f"the grid has {units} units; a result holds at most {MOST_UNITS}")
        return self


class IndexUnit(Strict):
    """One element of the layer's tensor, by its full index: also where its axes do not follow the input."""

    index: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1,
        max_length=8,
        examples=[[3, 7, 7]],
        description="One index per axis of the layer's tensor, without the batch; counted from 0.",
    )


_UNIT_TAGS = {"index": "IndexUnit", "grid": "GridUnits"}  # a tag must not be a key: it is part of an error's location


def _form_of_unit(value: Any) -> str | None:
    """Which of the two objects is meant, so that an error is about that one alone."""
    if isinstance(value, GridUnits | IndexUnit):
        return type(value).__name__
    return next((tag for key, tag in _UNIT_TAGS.items() if key in value), None) if isinstance(value, dict) else None


UnitObject = Annotated[
    Annotated[GridUnits, Tag("GridUnits")] | Annotated[IndexUnit, Tag("IndexUnit")],
    Discriminator(
        _form_of_unit,
        custom_error_type="unit_object",
        custom_error_message='must be an object such as {"grid": [3, 3]} or {"index": [3, 7, 7]}',
    ),
]
UnitIndex = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=3)]
ChannelList = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=65_536)]


LayerChoice = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=4096)]], Field(min_length=1, max_length=1024)
]


class TargetOptions(Strict):
    """The unit whose receptive field is measured."""

    layer: str = Field(
        "auto",
        min_length=1,
        max_length=4096,
        description="ONNX tensor or node name, or a spec's layer name; auto is the tensor nearest to the output "
        "that has axes in the input's space and a gradient. The result says which, and what was passed over.",
    )
    unit: Literal["center"] | UnitIndex | UnitObject = Field(
        "center",
        description="center (shape // 2 on each axis), an index per spatial axis, a grid, or one element by its "
        "full index.",
    )
    channels: Literal["auto", "sum", "random"] | ChannelList = Field(
        "auto",
        description="Output channels: their sum, random signs per sample, or a list; auto is the sum, "
        "or random where the sum's gradient vanishes.",
    )

    @model_validator(mode="after")
    def _an_index_names_its_channel(self) -> Self:
        if isinstance(self.unit, IndexUnit) and self.channels not in ("auto", "sum"):
            raise ValueError(
                "unit.index already names one element with its channel, so channels must be 'auto'; "
                "leave channels out, or give unit without a channel, such as [7, 7]"
            )
        return self


class Until(Strict):
    """Adaptive stop: draw samples until the ERF size and the 50 % mass area are this precise."""

    relative_error: float = Field(0.02, gt=0, lt=1)
    at_most: int = Field(4096, ge=2, le=1_000_000)


def until_of(value: Any) -> Any:
    """`until` as the wire has it: a bare share is the relative error."""
    return {"relative_error": value} if isinstance(value, float) else value


def choice_of(value: Any) -> Any:
    """`layers` as the wire has it: one name or pattern is a list of it."""
    return [value] if isinstance(value, str) and value not in ("target", "all") else value


class AverageOptions(Strict):
    """How many samples, from which seed, reduced how."""

    inputs: int = Field(32, ge=1, le=100_000, description="Input samples per draw of the weights.")
    weights: int = Field(1, ge=1, le=10_000, description="Draws of the weights; above 1 each run re-draws them.")
    seed: int = Field(0, ge=0, lt=2**63)
    statistic: Statistic = Statistic.ABS
    until: Until | None = None

    @model_validator(mode="after")
    def _one_way_to_stop(self) -> Self:
        if self.until is not None and self.weights > 1:
            raise ValueError("until goes with one set of weights; give average.weights > 1 a fixed number of inputs")
        return self


class ErfRequest(Strict):
    """One measurement: which network, which unit, averaged over what."""

    model: ModelRef | None = Field(None, description="Absent when a file part carries the model.")
    input: InputOptions = InputOptions()
    target: TargetOptions = TargetOptions()
    average: AverageOptions = AverageOptions()
    weights: Weights = Weights.GIVEN
    dtype: Dtype = Dtype.FLOAT32
    method: Literal["gradient", "analytic"] = "gradient"
    protocol: Literal["erfscope", "replknet", "both"] = Field(
        "erfscope",
        description="replknet measures as RepLKNet's script does, for its area ratio r; both adds that r to the "
        "numbers of erfscope, from the same samples, which takes about twice the time.",
    )
    layers: Literal["target", "all"] | LayerChoice = Field(
        "target",
        description="all adds the profile along depth. A list adds the profile of some layers: names, patterns such as "
        "layer*.relu, or every:4 for each fourth layer, counted back from the last.",
    )
    verify: bool = Field(
        False,
        strict=True,
        description="Also compute one sample by plain autograd on the whole network; its relative difference is in "
        "the result. It costs the time and memory of one full run.",
    )

    @model_validator(mode="after")
    def _redraws_need_a_scheme(self) -> Self:
        is_onnx = self.model is not None and self.model.sha256 is not None
        if is_onnx and self.average.weights > 1 and self.weights is Weights.GIVEN:
            raise ValueError(
                "asks for several draws of the weights (average.weights, draws), and the weights that an ONNX file "
                "gives are not drawn; name a scheme, for example weights='kaiming_normal', or ask for more inputs"
            )
        return self

    @model_validator(mode="after")
    def _both_protocols_are_of_one_unit(self) -> Self:
        if self.protocol == "both" and isinstance(self.target.unit, GridUnits):
            raise ValueError("protocol='both' measures one unit; give the grid with protocol erfscope or replknet")
        return self

    @model_validator(mode="after")
    def _verify_needs_samples(self) -> Self:
        if self.verify and self.method == "analytic":
            raise ValueError(
                "verify compares one sample with autograd, and method='analytic' draws no samples; "
                "leave verify out, or give method='gradient'"
            )
        return self
