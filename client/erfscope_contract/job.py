"""What the service says about work: jobs, models, files."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from erfscope_contract.metrics import Metric
from erfscope_contract.problem import Problem
from erfscope_contract.request import ErfRequest
from erfscope_contract.result import ErfResult, Frozen, Number


class Status(StrEnum):
    """States of a job; the last four are terminal: written once, never changed."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self not in (Status.QUEUED, Status.RUNNING)


class ModelName(Frozen):
    """The network of a job."""

    sha256: str | None = Field(None, description="Of the ONNX file; null for a spec.")
    name: str


class Links(Frozen):
    """Where the parts of a job are."""

    self: str
    events: str
    heatmap: str
    map: str


class Timing(Frozen):
    """Where the seconds went; belongs to the job, never to the result."""

    seconds: float | None = Field(None, description="From claim to finish.")
    stages: dict[str, float] = Field(default_factory=dict, description="Seconds by stage.")
    worker: str | None = None


class Work(Frozen):
    """What every kind of job says of itself on its way from `queued` to a terminal state."""

    schema_version: int = 1
    id: str
    status: Status
    stage: str = Field(
        "",
        description="load, trace, measure, render; of advice load, profile, measure, search, cost, verify. A count "
        "follows if the stage has parts: `search 17 tried`, `verify 2 of 5`.",
    )
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    attempt: int = 0
    cached: bool = Field(False, description="Answered from the store without computing.")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    model: ModelName
    error: Problem | None = None
    timing: Timing = Timing()
    note: str | None = Field(None, description="Of a queued job: what it waits for beside its turn.")


class Job(Work):
    """A measurement."""

    request: ErfRequest
    result: ErfResult | None = None
    metrics: list[Metric] | None = Field(
        None, description="Every scalar of the result by its flat name, with the words that people read."
    )
    links: Links


class JobPage(Frozen):
    """One page of GET /erf, newest first."""

    jobs: list[Job]
    next_page_token: str | None = None


class JobKind(StrEnum):
    """What a job does."""

    ERF = "erf"
    INSPECT = "inspect"
    ADVICE = "advice"
    TILES = "tiles"
    FIT = "fit"


class JobAddress(Frozen):
    """Where a job of any kind is."""

    self: str


class ListedJob(Work):
    """A job of any kind, without its request and its result."""

    kind: JobKind
    links: JobAddress


class ListedJobs(Frozen):
    """One page of jobs of any kind, newest first."""

    jobs: list[ListedJob]
    next_page_token: str | None = None


class InputInfo(Frozen):
    """One input of a model."""

    name: str
    dtype: str
    shape: list[int | str | None] = Field(description="With the batch axis; a name or null where dynamic.")


LARGEST: list[int] = Field(
    default_factory=list,
    description="The largest TRF over the phases, pixels per input axis: units at other phases than the centre unit "
    "(behind upsampling, a strided decoder) may have a larger one. Empty where trf_size is the largest, and from an "
    "older service.",
)


class LayerRow(Frozen):
    """One spatial tensor of a model."""

    name: str
    operator: str
    shape: list[int]
    trf_size: list[int] = Field(description="Pixels per input axis, of the centre unit.")
    trf_largest: list[int] = LARGEST
    trf_stride: list[Number]
    coverage: float = Field(
        description="Part of the input's area that the centre unit's TRF covers; a result's trf_ratio compares sides."
    )
    is_global: bool = False
    local_box: list[tuple[int, int]] | None = Field(
        None,
        description="Of a TRF that is global through statistics alone (InstanceNorm, squeeze-and-excite), the centre "
        "unit's box without them, half-open ranges per axis.",
    )


class Inspection(Frozen):
    """What is inside a model."""

    name: str
    inputs: list[InputInfo]
    input: str = Field(description="The input that is measured by default.")
    input_shape: list[int] = Field(description="[C, spatial …] used for the layer table.")
    outputs: list[str]
    operators: dict[str, int] = Field(description="How many nodes of each type.")
    unsupported: list[str] = Field(default_factory=list, description="Operators that cannot be converted.")
    default_layer: str | None = Field(None, description="What layer=auto means here.")
    layers: list[LayerRow]
    other_names: list[str] | None = Field(
        None,
        description="Further names that a request can give as its layer: of tensors that are not in `layers`, and of "
        "nodes and modules. Null from an older service.",
    )
    notes: list[str] = Field(default_factory=list)


class StoredModel(Frozen):
    """A stored ONNX model and what inspection found."""

    sha256: str = Field(description="Of the ONNX file; with files beside it, the name of all of them together.")
    size: int = Field(description="Bytes of the ONNX file and its external data files together.")
    name: str
    data: dict[str, str] = Field(default_factory=dict, description="The model's external data files: name to sha256.")
    status: Status | None = Field(description="Of the inspection; null where none was asked for yet.")
    inspection: Inspection | None = None
    error: Problem | None = None


class StoredFile(Frozen):
    """A stored image file."""

    sha256: str
    size: int = Field(description="Bytes.")


class ListedFile(StoredFile):
    """A stored file in a list."""

    name: str
    created_at: datetime


class ListedFiles(Frozen):
    """One page of stored files, newest first."""

    files: list[ListedFile]
    next_page_token: str | None = None


class ListedModel(ListedFile):
    """A stored model in a list; GET /models/{sha256} has what is inside it."""

    data: dict[str, str] = Field(default_factory=dict, description="sha256 of each file beside it, by its name.")


class ListedModels(Frozen):
    """One page of stored models, newest first."""

    models: list[ListedModel]
    next_page_token: str | None = None


class Health(Frozen):
    """Readiness: the parts the service needs, and how many workers there are."""

    status: str
    redis: bool
    blobs: bool
    workers: int
    warning: str | None = Field(None, description="What keeps jobs waiting although they are taken: no worker lives.")
    landlock: int | None = Field(
        None, description="Lowest Landlock level of the jails of live workers; 0 without a jail, null without a worker."
    )
    version: str
