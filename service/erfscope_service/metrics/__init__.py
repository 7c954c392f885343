"""/metrics: the ledger and this process, for Prometheus."""
