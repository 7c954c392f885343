"""`python -m erfscope_worker`: one worker, configured by ERFSCOPE_* variables."""

import sys

from erfscope_worker.safe_path import restart_safely


def main() -> int:
    """Log to stderr, and serve."""
    # Imported here: before `restart_safely` the start folder is on sys.path, and its files are not ours.
    from erfscope_contract.problem import ProblemError
    from erfscope_jobs import log
    from erfscope_jobs.blobs import BlobStore
    from erfscope_jobs.environment import read_or_exit
    from erfscope_jobs.settings import Settings
    from erfscope_worker.app import serve

    settings = read_or_exit(Settings)
    log.configure(settings.log)
    try:
        BlobStore(settings.blobs)  # now rather than after the seconds that torch takes
        return serve(settings)
    except ProblemError as error:  # a disk that cannot be written
        raise SystemExit(f"the worker cannot start: {error.problem.detail}") from None


if __name__ == "__main__":
    restart_safely("erfscope_worker")
    sys.exit(main())
