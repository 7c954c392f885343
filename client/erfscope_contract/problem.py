"""Every error a user can meet, in one table: its HTTP status and title, whose fault it is, and what to do.

A problem travels as RFC 9457 `application/problem+json` from the service, as `Job.error` of a failed job,
and as an exception (`ProblemError`) inside the engine, the SDK and the command line. To add one, add a row.
"""

from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Fault(StrEnum):
    """Whose fault a problem is; it decides the exit code of the command line."""

    REQUEST = "request"
    MODEL = "model"
    SERVICE = "service"

    @property
    def exit_code(self) -> int:
        """2 for what the caller can change, 3 for the service."""
        return 3 if self is Fault.SERVICE else 2


class Kind(NamedTuple):
    """One row of the table."""

    status: int
    title: str
    fault: Fault
    hint: str  # what to do
    is_told: bool = True  # the detail of every problem of this kind says what to do already
    of_job: bool = False  # whether a job that was taken may end with it, by the word of its child process
    retry_after: int | None = None  # seconds after which the same request may be taken


REQUEST, MODEL, SERVICE = Fault.REQUEST, Fault.MODEL, Fault.SERVICE
ASK_LESS = "Ask for less: a smaller input shape, fewer samples, or an earlier layer."
LAYERS = "`erfscope layers MODEL` lists the layers by name."
SUPPORT = "docs/operators.md lists what is supported; export the model another way, or report the operator."

KINDS: dict[str, Kind] = {
    # the request
    "bad-request": Kind(400, "The request cannot be read", REQUEST, "Correct what the detail names.", of_job=True),
    "unauthorized": Kind(
        401,
        "An API key is needed",
        SERVICE,
        "Put a key into ERFSCOPE_API_KEY; the service's operator makes one with `erfscope keys create`.",
        is_told=False,
    ),
    "forbidden": Kind(
        403,
        "The API key is for something else",
        SERVICE,
        "Use a key of the kind that the detail names; the service's operator makes one with `erfscope keys create`.",
        is_told=False,
    ),
    "quota-exceeded": Kind(
        403, "A quota is used up", SERVICE, "Delete models or jobs, or wait until they expire; GET /usage shows both."
    ),
    "not-found": Kind(
        404, "No such resource", REQUEST, "Check the id or the path; what was not used for long expires.", of_job=True
    ),
    "method-not-allowed": Kind(
        405, "This resource does not take that method", REQUEST, "The header Allow names the methods that it takes."
    ),
    "too-slow": Kind(408, "The request came in too slowly", SERVICE, "Send it again, over a faster connection."),
    "conflict": Kind(
        409,
        "The resource is not in a state for that",
        REQUEST,
        "Look at the resource, and wait until its job has ended.",
    ),
    "unreadable-result": Kind(
        410,
        "The stored result cannot be read any more",
        SERVICE,
        "Remove the job (DELETE with purge=true) and submit the request again.",
    ),
    "too-large": Kind(
        413, "The body is over the limit", REQUEST, "Send less; the operator sets the limit.", of_job=True
    ),
    "unsupported-media-type": Kind(
        415,
        "This media type is not understood here",
        REQUEST,
        "Send one of the media types that the detail names.",
        of_job=True,
    ),
    "invalid-request": Kind(
        422, "The request is not valid", REQUEST, "Correct the fields that `errors` names.", of_job=True
    ),
    "invalid-architecture": Kind(
        422, "The architecture spec is not valid", REQUEST, "Correct the layers that `errors` names.", of_job=True
    ),
    "idempotency-mismatch": Kind(
        422, "The Idempotency-Key was used with another body", REQUEST, "Use a new Idempotency-Key for another request."
    ),
    "too-many-requests": Kind(
        429, "Too many requests", SERVICE, "Wait as long as Retry-After says, then go on.", retry_after=5
    ),
    # the model
    "invalid-model": Kind(
        422,
        "The file is not a valid ONNX model",
        MODEL,
        "Check the file with onnx.checker; export it again.",
        of_job=True,
    ),
    "external-data": Kind(
        422,
        "The model refers to files outside itself",
        MODEL,
        "Send the files beside the model with it (part `data`), or save the model with its weights inside.",
        of_job=True,
    ),
    "unsupported-model": Kind(422, "The model uses a feature that is not supported here", MODEL, SUPPORT, of_job=True),
    "unsupported-op": Kind(422, "The model has an operator that cannot be converted", MODEL, SUPPORT, of_job=True),
    "model-too-complex": Kind(
        422, "The model is over the complexity limits", MODEL, "Export a smaller part of it.", of_job=True
    ),
    "data-dependent": Kind(
        422,
        "The network's control flow depends on the input's values",
        MODEL,
        "Measure a layer in front of that branch.",
        of_job=True,
    ),
    "no-gradient": Kind(
        422,
        "No gradient reaches the input",
        MODEL,
        "Measure another layer or unit, or channels that the input decides.",
        of_job=True,
    ),
    "non-finite-output": Kind(
        422,
        "The network's output or gradient is not finite",
        MODEL,
        "Measure in dtype float64, with inputs of the scale that the model was trained on.",
        of_job=True,
    ),
    # the measurement
    "invalid-target": Kind(422, "There is no such layer or unit", REQUEST, LAYERS, of_job=True, is_told=False),
    "no-spatial-layer": Kind(
        422, "The network has no spatial feature map", REQUEST, LAYERS, of_job=True, is_told=False
    ),
    "shape-mismatch": Kind(
        422,
        "The input shape does not fit the network",
        REQUEST,
        "Correct the input shape, or leave it out to take the model's own.",
        of_job=True,
        is_told=False,
    ),
    "invalid-image": Kind(
        422,
        "The images cannot be read",
        REQUEST,
        "Send PNG, JPEG or WebP images, a zip of them, or an npy array.",
        of_job=True,
    ),
    "image-too-large": Kind(422, "An image is over the size limit", REQUEST, "Send a smaller image.", of_job=True),
    "unsupported-feature": Kind(
        422,
        "This combination of options cannot be computed",
        REQUEST,
        "Leave out the option that the detail names.",
        of_job=True,
    ),
    # the machine
    "resource-limit": Kind(
        422, "The job needs more memory than it may have", SERVICE, ASK_LESS, of_job=True, is_told=False
    ),
    "timeout": Kind(504, "The job ran longer than it may", SERVICE, ASK_LESS),
    "deadline": Kind(
        504, "The job was not finished before its deadline", SERVICE, "Submit it again when the service has less to do."
    ),
    "worker-crash": Kind(500, "The process that ran the job died again and again", SERVICE, ASK_LESS),
    "internal": Kind(
        500,
        "An error inside erfscope",
        SERVICE,
        "Please report this; ERFSCOPE_DEBUG=1 shows where it happened.",
        of_job=True,
        is_told=False,
    ),
    "unavailable": Kind(
        503,
        "The service cannot take this now",
        SERVICE,
        "Wait as long as Retry-After says, then try again.",
        retry_after=2,
    ),
    # the client
    "connection": Kind(
        503,
        "The service cannot be reached",
        SERVICE,
        "Start the service (`erfscope up`), or correct --url / ERFSCOPE_URL.",
    ),
}

# Errors of frameworks and proxies, which have a status and no kind.
_GENERIC = {422: "invalid-request", 500: "internal", 502: "unavailable", 503: "unavailable", 504: "unavailable"}


def kind_of_status(status: int) -> str:
    """The kind of an error of which only the HTTP status is known."""
    if status in _GENERIC:
        return _GENERIC[status]
    other = "bad-request" if status < 500 else "internal"
    return next((kind for kind, row in KINDS.items() if row.status == status), other)


class ProblemKind(BaseModel):
    """What a type of problem means."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="The `type` that every problem of this kind carries: /problems/<kind>.")
    title: str
    status: int = Field(description="The HTTP status; of a failed job the one that its `error` carries.")
    fault: Fault = Field(description="Whose it is: of the request, of the model, or of the service and its limits.")
    exit_code: int = Field(description="With which the command line ends.")
    hint: str = Field(description="What to do.")
    retry_after: int | None = Field(description="Seconds after which the same request may be taken; null for never.")


def explained(kind: str) -> ProblemKind:
    """The row of a kind; KeyError where there is none."""
    row = KINDS[kind]
    return ProblemKind(
        type=f"/problems/{kind}",
        title=row.title,
        status=row.status,
        fault=row.fault,
        exit_code=row.fault.exit_code,
        hint=row.hint,
        retry_after=row.retry_after,
    )


class FieldError(BaseModel):
    """One field of the request that is wrong."""

    model_config = ConfigDict(frozen=True)

    pointer: str = Field(description="JSON pointer into the request, e.g. /target/unit.")
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details; `type` is stable and relative to the service."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str = Field(description="/problems/<kind>", examples=["/problems/invalid-target"])
    title: str
    status: int
    detail: str = Field(description="What happened, what was expected, what to do.")
    errors: list[FieldError] = Field(default_factory=list)
    context: dict[str, Any] = Field(default_factory=dict, description="Layer, operator, limit … by name.")

    @property
    def kind(self) -> str:
        """The row of the table, e.g. `invalid-target`."""
        return self.type.rsplit("/", 1)[-1]


class ProblemError(Exception):
    """A problem on its way to the user; `raise ProblemError("invalid-target", "…")`."""

    def __init__(self, kind: str, detail: str, *, errors: list[FieldError] | None = None, **context: Any) -> None:
        row = KINDS[kind]
        self.problem = Problem(
            type=f"/problems/{kind}",
            title=row.title,
            status=row.status,
            detail=detail,
            errors=errors or [],
            context=context,
        )
        super().__init__(detail)

    @property
    def kind(self) -> str:
        """The row of the table, e.g. `invalid-target`."""
        return self.problem.kind

    def __str__(self) -> str:
        return f"{self.problem.title}: {self.problem.detail}"
