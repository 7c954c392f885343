"""Numbers as people read them: as many digits as their error is worth, no powers of ten where digits do."""

import math
from decimal import Decimal

from erfscope_contract.result import Number

MOST_DIGITS = 6  # behind the point
MISSING = "–"
NO_ERROR = "No ±: the number is the same in all parts of the samples, or one sample has no standard error."
SAME = "± 0"  # behind a number whose error is exactly 0


def plain(value: Number, missing: str = MISSING) -> str:
    """Four significant digits; whole numbers in full up to ten million."""
    if value is None or math.isnan(value):
        return missing
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    digits = max(3 - math.floor(math.log10(abs(value))), 0) if value else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def digits(value: float, most: int = 6) -> str:
    """In at most so many significant digits, and never as a power of ten: `16000`, `0.0000625`; whole ones in full."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return str(int(value))
    text = f"{Decimal(f'{value:.{most}g}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_error(value: Number, error: Number) -> str:
    """`43.32 ± 0.33`: two digits of the error, and the value to the same place."""
    if value is None or error is None or not error or not math.isfinite(error) or not math.isfinite(value):
        return plain(value)
    digits = min(max(1 - math.floor(math.log10(error)), 0), MOST_DIGITS)
    if round(error, digits) == 0:
        return f"{plain(value)} ± {error:.1e}"
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def at_least(value: float) -> str:
    """A lower bound as `plain` writes a number, but never rounded up: 127.998 is at least 127.9."""
    places = 10.0 ** max(3 - math.floor(math.log10(abs(value))), 0) if value else 1.0
    return plain(min(math.floor(value * places * (1 + 1e-12)) / places, value))
