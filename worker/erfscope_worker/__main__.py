"""`python -m erfscope_worker`: one worker, configured by ERFSCOPE_* variables."""

import logging
import sys

from erfscope_jobs.settings import Settings
from erfscope_worker.app import serve


def main() -> int:
    """Log to stderr, and serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return serve(Settings())


if __name__ == "__main__":
    sys.exit(main())
