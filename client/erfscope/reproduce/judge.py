"""From a quantity and an expectation to a verdict; 2 standard errors decide."""

import math

from erfscope.reproduce.finding import Quantity, Verdict

DECIDES = 2.0  # standard errors


def above(quantity: Quantity, bound: float) -> Verdict:
    """Confirmed where the quantity is above the bound by more than its error explains."""
    margin = DECIDES * (quantity.error or 0.0)
    if quantity.value - margin > bound:
        return Verdict.CONFIRMED
    return Verdict.REFUTED if quantity.value + margin <= bound else Verdict.UNDECIDED


def below(quantity: Quantity, bound: float) -> Verdict:
    """Confirmed where the quantity is below the bound by more than its error explains."""
    return above(Quantity(-quantity.value, quantity.error), -bound)


def within(quantity: Quantity, expected: float, tolerance: float) -> Verdict:
    """Confirmed where the quantity is within a tolerance of the expected one; the error may decide neither way."""
    distance, margin = abs(quantity.value - expected), DECIDES * (quantity.error or 0.0)
    if distance <= tolerance:
        return Verdict.CONFIRMED
    return Verdict.REFUTED if distance - margin > tolerance else Verdict.UNDECIDED


def agrees(quantity: Quantity, published: float, rounding: float) -> Verdict:
    """Confirmed where a published figure lies within 2 standard errors, its own rounding (half a digit) added."""
    reach = DECIDES * (quantity.error or 0.0) + rounding
    return Verdict.CONFIRMED if abs(quantity.value - published) <= reach else Verdict.REFUTED


def exact(error: float, bound: float) -> Verdict:
    """Confirmed where a computed number misses the closed form by no more than the bound."""
    return Verdict.CONFIRMED if math.isfinite(error) and error <= bound else Verdict.REFUTED
