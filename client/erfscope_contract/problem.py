"""Every error a user can meet, in one table: type → HTTP status and title.

A problem travels as RFC 9457 `application/problem+json` from the service, as `Job.error` of a failed job,
and as an exception (`ProblemError`) inside the engine, the SDK and the command line. To add one, add a row.
"""

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Kind(NamedTuple):
    """One row of the table."""

    status: int
    title: str


KINDS: dict[str, Kind] = {
    # the request
    "bad-request": Kind(400, "The request cannot be read"),
    "unauthorized": Kind(401, "An API key is needed"),
    "not-found": Kind(404, "No such resource"),
    "method-not-allowed": Kind(405, "This resource does not take that method"),
    "too-slow": Kind(408, "The request came in too slowly"),
    "conflict": Kind(409, "The resource is not in a state for that"),
    "too-large": Kind(413, "The body is over the limit"),
    "unsupported-media-type": Kind(415, "This media type is not understood here"),
    "invalid-request": Kind(422, "The request is not valid"),
    "invalid-architecture": Kind(422, "The architecture spec is not valid"),
    "idempotency-mismatch": Kind(422, "The Idempotency-Key was used with another body"),
    "quota-exceeded": Kind(403, "A quota is used up"),
    "unreadable-result": Kind(410, "The stored result cannot be read any more"),
    "too-many-requests": Kind(429, "Too many requests"),
    # the model
    "invalid-model": Kind(422, "The file is not a valid ONNX model"),
    "external-data": Kind(422, "The model refers to files outside itself"),
    "unsupported-model": Kind(422, "The model uses a feature that cannot be measured"),
    "unsupported-op": Kind(422, "The model has an operator that cannot be converted"),
    "model-too-complex": Kind(422, "The model is over the complexity limits"),
    "data-dependent": Kind(422, "The network's control flow depends on the input's values"),
    # the measurement
    "invalid-target": Kind(422, "There is no such layer or unit"),
    "no-spatial-layer": Kind(422, "The network has no spatial feature map"),
    "shape-mismatch": Kind(422, "The input shape does not fit the network"),
    "no-gradient": Kind(422, "No gradient reaches the input"),
    "non-finite-output": Kind(422, "The network's output or gradient is not finite"),
    "invalid-image": Kind(422, "The images cannot be read"),
    "image-too-large": Kind(422, "An image is over the size limit"),
    "unsupported-feature": Kind(422, "This combination of options cannot be computed"),
    # the machine
    "resource-limit": Kind(422, "The job needs more memory than it may have"),
    "timeout": Kind(422, "The job ran longer than it may"),
    "deadline": Kind(422, "The job was not finished before its deadline"),
    "worker-crash": Kind(500, "The process that ran the job died again and again"),
    "internal": Kind(500, "An error inside erfscope"),
    "unavailable": Kind(503, "The service cannot take this now"),
    # the client
    "connection": Kind(503, "The service cannot be reached"),
}


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
