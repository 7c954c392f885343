"""Tries the doors of the jail from inside: `python -m erfscope_worker.doors`, and each worker at its start."""
