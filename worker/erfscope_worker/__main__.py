"""`python -m erfscope_worker`: one worker, configured by ERFSCOPE_* variables."""

import sys

from erfscope_jobs import log
from erfscope_jobs.settings import Settings
from erfscope_worker.app import serve


def main() -> int:
    """Log to stderr, and serve."""
    settings = Settings()
    log.configure(settings.log)
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
