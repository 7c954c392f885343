"""When a difference counts: where it is more than two standard errors explain."""

from math import hypot

DECIDES = 2.0  # (combined) standard errors
ROUNDING = frozenset({"verify_difference"})
"""Metrics that are rounding errors: a bound on them means something, a change of them does not."""


def reach(*errors: float | None) -> float:
    """How far chance takes the difference of independent numbers; what has no error is taken as exact."""
    return DECIDES * hypot(*(error or 0.0 for error in errors))
