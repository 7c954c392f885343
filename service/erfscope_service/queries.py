"""Query parameters that a route does not have, or has once, are refused.

`?purg=1` must not cancel a job, and `?unti=3,4` not answer for another unit.
"""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from erfscope_contract.problem import FieldError, ProblemError

MOST_NAMED = 10


def refuse_unknown(request: Request) -> None:
    """Raise `invalid-request` that names the parameters there are."""
    if not request.query_params:
        return
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = _taken(route.dependant)
    unknown = sorted(set(request.query_params) - known)
    repeated = sorted(name for name in known if len(request.query_params.getlist(name)) > 1)
    if repeated:
        field = FieldError(pointer=f"/query/{repeated[0]}", detail="give it once")
        raise ProblemError("invalid-request", f"{repeated[0]!r} is given more than once; give it once.", errors=[field])
    if unknown:
        words = f"there is no such parameter; there is {', '.join(sorted(known)) or 'none'}"
        errors = [FieldError(pointer=f"/query/{name[:100]}", detail=words) for name in unknown[:MOST_NAMED]]
        raise ProblemError("invalid-request", f"{unknown[0][:100]!r}: {words}.", errors=errors)


def _taken(dependant: Dependant) -> set[str]:
    """The query parameters of a route and of all it depends on."""
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*(_taken(needed) for needed in dependant.dependencies))
