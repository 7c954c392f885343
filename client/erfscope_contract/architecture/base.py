"""What all layers of the spec language share: the strict base, per-axis numbers, names and initialisation."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema

from erfscope_contract.architecture.numbers import without_bools

MAX_CHANNELS = 65_536
MAX_NAME = 64

Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Size = Annotated[int, Field(ge=1, le=65_536)]
Margin = Annotated[int, Field(ge=0, le=65_536)]
Eps = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
LayerName = Annotated[str, Field(pattern=rf"^[A-Za-z_][A-Za-z0-9_-]{{0,{MAX_NAME - 1}}}$")]
Reference = Annotated[str, Field(min_length=1, max_length=1024)]

RESERVED = frozenset({"previous", "input", "auto"})


def _form(value: object) -> str:
    """Which member of a one-or-many union a value means, so that an error speaks of that member alone."""
    if isinstance(value, list | tuple):
        return "list"
    return "word" if isinstance(value, str) else "number"


def _number_or_list(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "number"


Sizes = Annotated[
    Annotated[Size, Tag("number")] | Annotated[list[Size], Field(min_length=1, max_length=3), Tag("list")],
    Discriminator(_number_or_list),
]
Margins = Annotated[
    Annotated[Margin, Tag("number")] | Annotated[list[Margin], Field(min_length=1, max_length=3), Tag("list")],
    Discriminator(_number_or_list),
]
Sides = Annotated[
    Annotated[Margin, Tag("number")] | Annotated[list[Margin], Field(min_length=2, max_length=6), Tag("list")],
    Discriminator(_number_or_list),
]
Padding = Annotated[
    Annotated[Margin, Tag("number")]
    | Annotated[list[Margin], Field(min_length=1, max_length=3), Tag("list")]
    | Annotated[Literal["same", "valid"], Tag("word")],
    Discriminator(_form),
]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


class Strict(BaseModel):
    """Base of everything in a spec: immutable, and an unknown field is an error, not a typo lost."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return without_bools(handler(source), cls)


class Init(StrEnum):
    """Schemes that draw weights. Biases are 0, but for `default`; norms start as the identity."""

    DEFAULT = "default"
    ONES = "ones"
    KAIMING_NORMAL = "kaiming_normal"
    KAIMING_UNIFORM = "kaiming_uniform"
    XAVIER_NORMAL = "xavier_normal"
    XAVIER_UNIFORM = "xavier_uniform"
    ORTHOGONAL = "orthogonal"
    NORMAL = "normal"
    UNIFORM = "uniform"
    LOW_CENTER = "low_center"
    TAPS = "taps"


NEEDS_TAPS = 'the scheme taps needs the kernel: {"scheme": "taps", "taps": [1, 2, 1]}'
_KAIMING = frozenset({"gain", "mode"})
PARAMETERS: dict[Init, frozenset[str]] = {
    Init.DEFAULT: frozenset(),
    Init.ONES: frozenset(),
    Init.KAIMING_NORMAL: _KAIMING,
    Init.KAIMING_UNIFORM: _KAIMING,
    Init.XAVIER_NORMAL: frozenset({"gain"}),
    Init.XAVIER_UNIFORM: frozenset({"gain"}),
    Init.ORTHOGONAL: frozenset({"gain"}),
    Init.NORMAL: frozenset({"mean", "std"}),
    Init.UNIFORM: frozenset({"low", "high"}),
    Init.LOW_CENTER: _KAIMING | {"center"},
    Init.TAPS: frozenset({"taps"}),
}


class InitOptions(Strict):
    """A scheme with its parameters; what a scheme does not read may not be given."""

    scheme: Init = Field(description="The scheme.")
    gain: Annotated[float, Field(gt=0, le=1e3)] | None = Field(
        None,
        description="Factor on the standard deviation; null is √2 for kaiming and low_center, 1 otherwise.",
    )
    mode: Literal["fan_in", "fan_out"] | None = Field(
        None, description="Which fan kaiming and low_center divide by; null is fan_in."
    )
    mean: Finite | None = Field(None, description="Of normal; null is 0.")
    std: Annotated[float, Field(ge=0, le=1e6)] | None = Field(
        None, description="Of normal; null is 1/√fan_in, which keeps the variance of a linear network."
    )
    low: Finite | None = Field(None, description="Lower bound of uniform; null is −√(3/fan_in).")
    high: Finite | None = Field(None, description="Upper bound of uniform; null is √(3/fan_in).")
    center: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="low_center: scale of the kernel's middle relative to its rim; null is 0.1."
    )
    taps: Annotated[list[Finite], Field(min_length=1, max_length=4096)] | None = Field(
        None, description="taps: the kernel itself, row by row; every pair of channels gets it. Nothing is drawn."
    )

    @model_validator(mode="after")
    def _only_what_the_scheme_reads(self) -> Self:
        reads = PARAMETERS[self.scheme]
        extra = sorted(self.model_dump(exclude_none=True).keys() - reads - {"scheme"})
        if extra:
            raise ValueError(f"{self.scheme} does not read {', '.join(extra)}; it reads {sorted(reads) or 'nothing'}")
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high go together")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        if self.scheme is Init.TAPS and self.taps is None:
            raise ValueError(NEEDS_TAPS)
        return self


def _scheme_or_options(value: object) -> str:
    return "options" if isinstance(value, dict | InitOptions) else "scheme"


def _stands_alone(scheme: Init) -> Init:
    """A scheme named without options."""
    if scheme is Init.TAPS:
        raise ValueError(NEEDS_TAPS)
    return scheme


InitSpec = Annotated[
    Annotated[Init, AfterValidator(_stands_alone), Tag("scheme")] | Annotated[InitOptions, Tag("options")],
    Discriminator(_scheme_or_options),
]


def _describe_type(schema: JsonDict) -> None:
    """`type` has a default for Python's sake; in JSON it is required, and means the same everywhere."""
    properties, required = schema["properties"], schema.setdefault("required", [])
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    kind = properties["type"]
    assert isinstance(kind, dict)
    kind["description"] = "Which layer this is."
    kind.pop("default", None)
    if "type" not in required:
        required.insert(0, "type")


class Layer(Strict):
    """Base of all layers; `name` and `inputs` make the list a graph, whose default is a chain."""

    model_config = ConfigDict(json_schema_extra=_describe_type)

    type: str
    name: LayerName | None = Field(
        None,
        description="By which other layers' `inputs` and a request's target.layer find this layer's output. "
        f"At most {MAX_NAME} letters (A to Z, a to z), digits, _ and -, the first a letter or _; not previous, input "
        "or auto.",
    )
    inputs: list[Reference] | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="The layer it takes instead of the one before it: a name, a path, `previous` or `input`.",
    )

    @model_serializer(mode="wrap")
    def _always_with_type(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]  # see below
        """A dump without defaults must keep `type`, or it could not be read again.

        A return annotation would take the place of the fields in the JSON Schema of what is dumped.
        """
        return {"type": self.type, **handler(self)}

    @model_validator(mode="after")
    def _name_is_free(self) -> Self:
        if self.name in RESERVED:
            raise ValueError(f"the name {self.name!r} is reserved; choose another one")
        return self


class Weighted(Layer):
    """Base of layers whose weights are drawn."""

    init: InitSpec | None = Field(None, description="How its weights are drawn; null is the network's `init`.")
