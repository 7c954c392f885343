"""Routes of /problems, where the `type` of every problem leads: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from erfscope_contract.problem import KINDS, ProblemError, ProblemKind, explained
from erfscope_service.problems import documented

router = APIRouter(prefix="/problems", tags=["problems"])

CACHED = "public, max-age=3600"  # another version may have other words


@router.get(
    "",
    operation_id="list_problems",
    summary="List the types of problems",
    response_description="All of them.",
    responses=documented(),
)
async def every(response: Response) -> list[ProblemKind]:
    """Every row of the table: title, status, whose fault, what to do."""
    response.headers["Cache-Control"] = CACHED
    return [explained(kind) for kind in KINDS]


@router.get(
    "/{kind}",
    operation_id="get_problem",
    summary="What a type of problem means",
    response_description="Its row.",
    responses=documented("not-found"),
)
async def look(
    kind: Annotated[str, Path(description="The last part of a problem's `type`.", examples=["invalid-target"])],
    response: Response,
) -> ProblemKind:
    """A problem's `type` is the path of this resource."""
    if kind not in KINDS:
        raise ProblemError("not-found", f"There is no type of problem {kind[:64]!r}; GET /problems lists them.")
    response.headers["Cache-Control"] = CACHED
    return explained(kind)
