"""Cone execution: forward and backward only on what a unit needs."""
