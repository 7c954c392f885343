"""Execution: forward and backward on the positions that a unit needs, for numbers and for moments alike."""
