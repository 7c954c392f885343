"""Recording: one run of a network on fake tensors becomes a tape of ATen operators."""
