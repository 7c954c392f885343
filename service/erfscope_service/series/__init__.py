"""Slice: series of measurements."""
