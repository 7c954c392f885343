"""The documentation, and the programs that generate and build it."""
