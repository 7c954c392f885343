"""Every metric of an ERF map, as pure functions of numpy arrays of 1 to 3 spatial axes."""

from erfscope_engine.metrics.geometry import Geometry
from erfscope_engine.metrics.jackknife import standard_errors
from erfscope_engine.metrics.measure import MapMetrics, brief_metrics, flat_scalars, measure_map
from erfscope_engine.metrics.replknet import area_ratio, score_map

__all__ = [
    "Geometry",
    "MapMetrics",
    "area_ratio",
    "brief_metrics",
    "flat_scalars",
    "measure_map",
    "score_map",
    "standard_errors",
]
