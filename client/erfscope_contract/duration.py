"""Seconds as people say them."""

MINUTE, HOUR = 60.0, 3600.0


def lasting(seconds: float) -> str:
    """`0.5 s`, `90 s`, `15 min`, `24 h`: three digits, in the largest unit that has two of it or comes out even."""
    for unit, name in ((HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit or (seconds and seconds % unit == 0):
            return f"{_short(seconds / unit)} {name}"
    return f"{_short(seconds)} s"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
