"""The parts of `erfscope up`: a data folder held by one process, child processes, and their order."""
