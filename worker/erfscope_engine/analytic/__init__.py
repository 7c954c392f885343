"""The analytic method: the expected squared gradient of a unit in one backward pass, by squared or variance weights."""

from erfscope_engine.analytic.measure import expected_size, measure_analytically

__all__ = ["expected_size", "measure_analytically"]
