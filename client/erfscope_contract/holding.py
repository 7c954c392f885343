"""When a level holds an object: one rule, for advice, for fit, and for what both say. Pure."""

HOLD = 1.5
"""ERF over the size of the object that a unit decides about: measured, docs/science/object-size.md."""

UNITS_ACROSS = 2.0
"""So many units an object must be wide: a grid that is coarser than half of the object may step over it."""

CONFIDENT = 2.0
"""Standard errors on either side of a bound within which a measured size decides nothing."""

RULE = (
    f"A level holds an object if its ERF is at least {HOLD:g} times the object's size, and the object is at least "
    f"{UNITS_ACROSS:g} units wide."
)


def erf_for(size: float) -> float:
    """The ERF size, in pixels, that a unit needs to decide about objects of `size` pixels."""
    return HOLD * size
