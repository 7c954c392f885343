"""The worker: takes a job, runs it in a jailed child, reports progress and writes the answer."""
