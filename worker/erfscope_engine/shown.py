"""A measurement as people look at it: by the SDK's result, which another package offers (group `erfscope.results`).

So the engine imports no client, no pictures and no reports, and its measurements are as rich as those of a service.
"""

from importlib.metadata import entry_points
from typing import Any

from erfscope_contract.problem import ProblemError

GROUP = "erfscope.results"


def shown(measurement: Any) -> Any:
    """The SDK's result of a measurement; raises ProblemError where no package offers one."""
    for offered in entry_points(group=GROUP):
        return offered.load()(measurement)
    raise ProblemError(
        "unsupported-feature",
        "reports, pictures and comparisons of measurements come with the SDK, whose entry point "
        f"{GROUP!r} is not installed; install it anew with:  pip install 'erfscope[local]'",
    )
