"""From a quantity and an expectation to a verdict; 2 standard errors decide."""

import math

from erfscope_contract.significance import reach
from erfscope_reproduce.finding import Quantity, Verdict


def above(quantity: Quantity, bound: float) -> Verdict:
    """Confirmed where the quantity is above the bound by more than its error explains."""
    margin = reach(quantity.error)
    if quantity.value - margin > bound:
        return Verdict.CONFIRMED
    return Verdict.REFUTED if quantity.value + margin <= bound else Verdict.UNDECIDED


def below(quantity: Quantity, bound: float) -> Verdict:
    """Confirmed where the quantity is below the bound by more than its error explains."""
    return above(Quantity(-quantity.value, quantity.error), -bound)


def within(quantity: Quantity, expected: float, tolerance: float) -> Verdict:
    """Confirmed where the quantity, with what its error explains, is within a tolerance of the expected one."""
    distance, margin = abs(quantity.value - expected), reach(quantity.error)
    if distance + margin <= tolerance:
        return Verdict.CONFIRMED
    return Verdict.REFUTED if distance - margin > tolerance else Verdict.UNDECIDED


def agrees(quantity: Quantity, published: float, rounding: float) -> Verdict:
    """Confirmed where a published figure lies within 2 standard errors, its own rounding (half a digit) added.

    An error that could not tell the figure from none at all decides nothing.
    """
    margin = reach(quantity.error)
    if abs(quantity.value - published) > margin + rounding:
        return Verdict.REFUTED
    return Verdict.CONFIRMED if margin < abs(published) else Verdict.UNDECIDED


def exact(error: float, bound: float) -> Verdict:
    """Confirmed where a computed number misses the closed form by no more than the bound."""
    return Verdict.CONFIRMED if math.isfinite(error) and error <= bound else Verdict.REFUTED
