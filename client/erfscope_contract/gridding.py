"""From which score on a map is gridded: one bound, for measurements, for advice and for its table."""

GRIDDED = 0.1
"""Score (`lattice`) from which a map has plain holes."""
