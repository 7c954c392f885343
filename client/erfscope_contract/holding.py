"""When a level holds an object: one rule, for advice, for fit, and for what both say. Pure."""

from collections.abc import Sequence
from math import ceil, inf

HOLD = 1.5
"""ERF over the size of the object that a unit decides about: measured, docs/science/object-size.md."""

UNITS_ACROSS = 2.0
"""So many units an object must be wide: a grid that is coarser than half of the object may step over it."""

CONFIDENT = 2.0
"""Standard errors on either side of a bound within which a measured size decides nothing."""

ROOM = 2
"""An ERF is measured on an input at least so many times as large: sizes near the input's are clipped."""

EXTENT = 32  # of inputs that are proposed: their extents are multiples, which most strides divide

MOST_SAMPLES = 1000
"""The most that a measurement of advice or fit takes."""

ROUNDING = 6  # digits behind the point of a count of samples, below which it is rounding

RULE = (
    f"A level holds an object if its ERF is at least {HOLD:g} times the object's size, and the object is at least "
    f"{UNITS_ACROSS:g} units wide."
)


def erf_for(size: float) -> float:
    """The ERF size, in pixels, that a unit needs to decide about objects of `size` pixels."""
    return HOLD * size


def roomy(extents: Sequence[int], erf: float) -> list[int]:
    """Extents of an input with room for an ERF of this size: the same ones where they have it."""
    return [n if n >= ROOM * erf else EXTENT * ceil(ROOM * erf / EXTENT) for n in extents]


def samples_to_decide(size: float, error: float, bound: float, samples: int) -> int | None:
    """How many samples leave open no more whether `size` reaches `bound`; None for more than MOST_SAMPLES.

    If the size stays as it is: its standard error, which was found with `samples`, falls with their square root.
    Rounded up to two digits.
    """
    apart = abs(size - bound)
    count = round(samples * (CONFIDENT * error / apart) ** 2, ROUNDING) if apart else inf
    if count > MOST_SAMPLES:
        return None
    digit = 10 if count > 100 else 1
    return max(ceil(count / digit) * digit, samples + 1)


def samples_in_words(size: float, error: float | None, bound: float, samples: int | None) -> str:
    """What to do where it is open whether `size` reaches `bound`: how many samples decide, where that is known."""
    if samples is None or error is None:
        return "Take more samples (samples, --inputs)."
    count = samples_to_decide(size, error, bound, samples)
    if count is None:
        return (
            f"Even {MOST_SAMPLES:,} samples, the most that can be taken, would hardly decide it: the two are the same "
            "for all that is known."
        )
    return f"About {count} samples would decide it (samples, --inputs {count}); there were {samples}."
