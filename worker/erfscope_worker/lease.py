"""Keeps a job's lease while nobody watches its child: files come from a far store, or go there."""

import contextvars
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from erfscope_contract.problem import ProblemError
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Record
from erfscope_worker.harvest import Harvest

log = logging.getLogger(__name__)


@contextmanager
def leased(ledger: Ledger, record: Record, harvest: Harvest) -> Iterator[None]:
    """In this block a thread keeps the job ours, but no longer than a job may run: what hangs must not hold it."""
    over, settings = threading.Event(), ledger.settings
    until = time.monotonic() + settings.job_seconds

    def beat() -> None:
        while not over.wait(settings.lease_seconds / 3) and time.monotonic() < until:
            try:
                ledger.beat(record.id, record.attempt, harvest.stage, harvest.share)
            except ProblemError as error:  # Redis is away: the ledger decides when it is back
                log.warning("cannot report: %s", error)

    facts = contextvars.copy_context()  # its log lines are about the same job
    thread = threading.Thread(target=facts.run, args=(beat,), name="erfscope-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
