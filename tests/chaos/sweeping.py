"""A sweeper without pause, to be killed: `python -m tests.chaos.sweeping` with ERFSCOPE_* as services have them."""

import contextlib
import logging
import time

from erfscope_contract.problem import ProblemError
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.reaper import sweep_once
from erfscope_jobs.remote import open_store
from erfscope_jobs.settings import Settings

YOUNG = 30.0  # seconds; the service's own sweeper waits an hour
PAUSE = 0.01  # seconds, in which an empty store does not keep this machine busy


def main() -> None:
    """Sweep for ever, and say how many files went."""
    logging.basicConfig(level=logging.WARNING)
    settings = Settings()
    store, gone = open_store(settings), 0
    with Ledger(settings) as ledger:
        while True:
            with contextlib.suppress(ProblemError):  # the ledger or the disk is away
                if went := sweep_once(ledger, store, YOUNG):
                    gone += went
                    print(f"swept {went}, {gone} in all", flush=True)
            time.sleep(PAUSE)


if __name__ == "__main__":
    main()
