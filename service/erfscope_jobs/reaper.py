"""The reaper: each second, in each API replica, it looks after overdue jobs; now and then it sweeps files."""

import logging
import threading
import time
from itertools import islice

from erfscope.contract.problem import ProblemError
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.queue import Doorbell, queues
from erfscope_jobs.remote import open_store
from erfscope_jobs.settings import Settings

REAP_SECONDS = 1.0
SWEEP_SECONDS = 600.0
YOUNG_SECONDS = 3600.0  # a file of this age may belong to a submission that is still on its way
MOST = 500  # jobs per script, files per question: keeps Redis' one thread free for others
log = logging.getLogger(__name__)


def reap_once(ledger: Ledger, doorbell: Doorbell) -> int:
    """One look at what is overdue; how many bells were rung."""
    overdue = ledger.reap(MOST, queues(ledger.settings))
    return sum(doorbell.ring(id, kind) for id, kind in overdue)


def sweep_once(ledger: Ledger, store: BlobStore, young: float = YOUNG_SECONDS) -> int:
    """Remove files that nothing alive needs, and what interrupted writers left; how many blobs went."""
    store.sweep_temporary(young)
    gone, old = 0, store.older_than(young)
    while names := list(islice(old, MOST)):
        kept = ledger.kept_blobs(names)
        gone += sum(store.delete(name) for name, needed in zip(names, kept, strict=True) if not needed)
    return gone


class Reaper:
    """Runs both in a thread until stopped; an outage of Redis is waited out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="erfscope-reaper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        doorbell, store = Doorbell(self._settings), open_store(self._settings)
        sweep_at = time.monotonic() + SWEEP_SECONDS
        with Ledger(self._settings) as ledger:
            while not self._stop.wait(REAP_SECONDS):
                try:
                    reap_once(ledger, doorbell)
                    if time.monotonic() >= sweep_at:
                        sweep_at = time.monotonic() + SWEEP_SECONDS
                        sweep_once(ledger, store)
                except ProblemError as error:
                    log.warning("the reaper waits: %s", error)
                except Exception:
                    log.exception("the reaper stumbled and goes on")
        doorbell.close()
