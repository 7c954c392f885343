"""Every metric of an ERF map, as pure functions of numpy arrays of 1 to 3 spatial axes."""

from erfscope_engine.metrics.geometry import Geometry
from erfscope_engine.metrics.jackknife import errors_by, standard_errors
from erfscope_engine.metrics.measure import MapMetrics, brief_metrics, flat_scalars, measure_map
from erfscope_engine.metrics.replknet import area_ratio, score_map, smooth_ratio

__all__ = [
    "Geometry",
    "MapMetrics",
    "area_ratio",
    "brief_metrics",
    "errors_by",
    "flat_scalars",
    "measure_map",
    "score_map",
    "smooth_ratio",
    "standard_errors",
]
