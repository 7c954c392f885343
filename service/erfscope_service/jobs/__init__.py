"""Jobs of every kind in one list."""
