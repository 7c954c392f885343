"""The trend of a metric over a series: the power law through its points, and its change from the first to the last."""

import math
from collections.abc import Sequence

from erfscope_contract.power_law import fit_power
from erfscope_contract.series import PowerLaw, SeriesPoint, Trend, TrendChange


def trend_of(points: Sequence[SeriesPoint], metric: str) -> Trend:
    """Of one metric, over the points that have it; empty for fewer than two."""
    has = [point for point in points if _value(point, metric) is not None]
    if len(has) < 2:
        return Trend()
    return Trend(power=_power(has, metric), change=_change(has[0], has[-1], metric))


def _value(point: SeriesPoint, metric: str) -> float | None:
    value = point.metrics.get(metric)
    return value if value is not None and math.isfinite(value) else None


def _power(points: Sequence[SeriesPoint], metric: str) -> PowerLaw | None:
    x = [point.x for point in points]
    y = [_value(point, metric) or 0.0 for point in points]
    if min(x) <= 0 or min(y) <= 0 or len(set(x)) < 2:
        return None
    fitted = fit_power(x, y, _errors(points, metric))
    known = math.isfinite(fitted.slope_error)
    return PowerLaw(slope=fitted.slope, slope_error=fitted.slope_error if known else None, intercept=fitted.intercept)


def _errors(points: Sequence[SeriesPoint], metric: str) -> list[float] | None:
    errors = [error for point in points if (error := point.stderr.get(metric)) is not None]
    return errors if len(errors) == len(points) else None


def _change(first: SeriesPoint, last: SeriesPoint, metric: str) -> TrendChange:
    before, after = _value(first, metric) or 0.0, _value(last, metric) or 0.0
    errors = _errors((first, last), metric)
    return TrendChange(
        difference=after - before,
        difference_error=math.hypot(*errors) if errors else None,
        ratio=after / before if before else None,
    )
