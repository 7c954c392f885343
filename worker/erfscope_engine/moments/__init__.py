"""Moments: what the analytic method carries through a network instead of numbers."""
