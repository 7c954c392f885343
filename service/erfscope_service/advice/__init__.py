"""Slice: advice on networks."""
