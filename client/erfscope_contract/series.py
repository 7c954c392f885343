"""Several measurements as one: checkpoints of a training, or a spec swept over a parameter."""

import copy
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from erfscope_contract.job import Status
from erfscope_contract.meanings import meaning_of
from erfscope_contract.problem import Problem
from erfscope_contract.request import ErfRequest, ModelRef, Strict
from erfscope_contract.result import Frozen, Number

MOST_DIGITS = 9  # of an index in a list: Python makes no number of thousands of digits
MOST_POINTS = 64
FARTHEST = 1e15  # of a place on the axis; beyond it neighbours cannot be told apart
DEFAULT_METRICS = ("erf_size", "erf_ratio", "trf_size", "mass_50_side")


def known_metric(name: str) -> str:
    """The name; ValueError for one that no result has."""
    try:
        meaning_of(name)
    except KeyError:
        some = ", ".join((*DEFAULT_METRICS, "sigma_1", "r90"))
        raise ValueError(f"there is no {name!r}; there are {some} and the other flat names of a result") from None
    return name


Metric = Annotated[
    str,
    Field(pattern=r"^[a-z0-9_]{1,64}$", description="Flat name of a scalar: erf_size, sigma_1 …"),
    AfterValidator(known_metric),
]


class Member(Strict):
    """One model of a series."""

    model: ModelRef
    x: float | None = Field(
        None,
        ge=-FARTHEST,
        le=FARTHEST,
        description="Where it stands: an epoch, a depth. All models have one, or none.",
    )
    label: str | None = Field(None, min_length=1, max_length=200, description="What people call it.")


class Sweep(Strict):
    """One architecture, written once for each value of a parameter."""

    architecture: dict[str, JsonValue] = Field(description="The spec; see /schemas/architecture.")
    parameters: list[Annotated[str, Field(pattern=r"^(/[^/]{1,200})+$", max_length=1000)]] = Field(
        min_length=1,
        max_length=64,
        description="JSON pointers into the spec; all get the value. In a list of layers a name works as well "
        "as an index: /layers/stem/dilation.",
        examples=[["/layers/0/times"]],
    )
    values: list[JsonValue] = Field(min_length=2, max_length=MOST_POINTS, examples=[[5, 10, 20, 40]])


class SeriesRequest(Strict):
    """Models or a sweep, and the measurement that each of them gets."""

    models: list[Member] | None = Field(None, min_length=2, max_length=MOST_POINTS)
    sweep: Sweep | None = None
    x_label: str = Field("", max_length=100, description="Name of the horizontal axis, with its unit.")
    metrics: list[Metric] = Field(list(DEFAULT_METRICS), min_length=1, max_length=32)
    request: ErfRequest = Field(ErfRequest(), description="Without a model: each point brings its own.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.models is None) == (self.sweep is None):
            raise ValueError("give exactly one of models and sweep")
        if self.request.model is not None:
            raise ValueError("leave request.model out; the models of a series stand in models or sweep")
        placed = [member.x is not None for member in self.models or ()]
        if any(placed) and not all(placed):
            raise ValueError("give x for every model, or for none")
        return self


class SeriesPoint(Frozen):
    """One measurement of a series."""

    label: str
    x: float
    job: str = Field(description="Id of the job; GET /erf/{job} has everything.")
    status: Status
    error: Problem | None = None
    metrics: dict[str, Number] = Field(default_factory=dict)
    stderr: dict[str, Number] = Field(default_factory=dict)


class PowerLaw(Frozen):
    """metric = exp(intercept) · x**slope, by weighted least squares on double logarithmic axes."""

    slope: float
    slope_error: Number = Field(description="Standard error; null for two points without errors.")
    intercept: float


class TrendChange(Frozen):
    """From the first point to the last."""

    difference: float
    difference_error: Number = Field(description="Standard error; null where a point has none.")
    ratio: Number


class Trend(Frozen):
    """How a metric goes along the series."""

    power: PowerLaw | None = Field(None, description="Where every x and value is positive.")
    change: TrendChange | None = None


class SeriesLinks(Frozen):
    """Where the parts of a series are."""

    self: str
    chart: str


class ListedSeries(Frozen):
    """A series in a list; GET /series/{id} has its state, its points and its trends."""

    id: str
    created_at: datetime
    x_label: str
    metrics: list[str]
    points: int = Field(description="How many.")
    links: SeriesLinks


class SeriesPage(Frozen):
    """One page of series, newest first."""

    series: list[ListedSeries]
    next_page_token: str | None = None


class Series(Frozen):
    """A series on its way; `succeeded` when every point has."""

    schema_version: int = 1
    id: str
    status: Status
    progress: Annotated[float, Field(ge=0, le=1)]
    created_at: datetime
    x_label: str
    metrics: list[str]
    points: list[SeriesPoint]
    trends: dict[str, Trend] = Field(default_factory=dict, description="By metric, over the points that succeeded.")
    links: SeriesLinks


def are_places(values: Sequence[object]) -> bool:
    """Whether the values of a sweep can stand on an axis; the points are numbered otherwise."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= FARTHEST for v in values)


def label_of(value: JsonValue) -> str:
    """The value of a sweep as its request wrote it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def swept(sweep: Sweep) -> list[dict[str, Any]]:
    """The architecture for each value, in order; ValueError names the parameter that leads nowhere."""
    specs = []
    for value in sweep.values:
        spec = copy.deepcopy(sweep.architecture)
        for parameter in sweep.parameters:
            _put(spec, parameter, copy.deepcopy(value))
        specs.append(spec)
    return specs


def _put(spec: Any, parameter: str, value: JsonValue) -> None:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in parameter.split("/")[1:]]
    here = spec
    for part in way:
        here = here[_key(here, part, parameter)]
    if isinstance(here, dict):
        here[last] = value  # a field that the spec leaves out has a default
    else:
        here[_key(here, last, parameter)] = value


def _key(here: Any, part: str, parameter: str) -> Any:
    """Where `part` leads in a list (by index or by a layer's name) or an object."""
    if isinstance(here, dict) and part in here:
        return part
    if isinstance(here, list):
        names = [item.get("name") if isinstance(item, dict) else None for item in here]
        if part in names:
            return names.index(part)
        if part.isascii() and part.isdigit() and len(part) <= MOST_DIGITS and int(part) < len(here):
            return int(part)
    raise ValueError(f"parameter {parameter!r} leads nowhere in the architecture: there is no {part!r}")
