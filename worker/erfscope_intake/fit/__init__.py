"""Fit: which heads and levels of a network hold objects of which sizes."""

from erfscope_intake.fit.fit import fit

__all__ = ["fit"]
