"""From an architecture spec to a runnable network: layer table, weights, execution plan."""

from erfscope_intake.spec.build import build_network

__all__ = ["build_network"]
