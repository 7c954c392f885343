"""The job ledger: records, transitions, results and blobs. The only package that talks to Redis."""
