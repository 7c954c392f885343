"""The reaper: each second, in each API replica, it looks after overdue jobs; now and then it sweeps files."""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice

from erfscope_contract.problem import ProblemError
from erfscope_jobs import folder, key_log
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.log import about
from erfscope_jobs.queue import Doorbell
from erfscope_jobs.records import Lost
from erfscope_jobs.remote import open_store
from erfscope_jobs.settings import Settings

REAP_SECONDS = 1.0
SWEEP_SECONDS = 600.0
STOP_SECONDS = 10.0  # both are threads of a process that ends; neither leaves anything half done
YOUNG_SECONDS = 3600.0  # a file of this age may belong to a submission that is still on its way
MOST = 500  # jobs per script, files per question: keeps Redis' one thread free for others
log = logging.getLogger(__name__)
audit = logging.getLogger("erfscope_jobs.audit")


def reap_once(ledger: Ledger, doorbell: Doorbell, stop: Callable[[], bool] = lambda: False) -> int:
    """One look at all that is overdue; how many messages were sent.

    In passes, each of which begins with lost leases: however much waits, they are noticed within a pass. A partition
    of the ledger that is away keeps no other one waiting.
    """
    sent, full = 0, True
    while full and not stop():
        overdue = ledger.reap(MOST, _missing(ledger, doorbell))
        for lost in overdue.lost:
            tell(lost)
        sent += sum(doorbell.ring(id, kind) for id, kind in overdue.ring)
        full = overdue.full
        if overdue.away:
            log.warning("the reaper waits for %d partitions of the ledger", overdue.away)
    return sent


def tell(lost: Lost) -> None:
    """A line about a job whose worker died or was cut off."""
    with about(job=lost.job, attempt=lost.attempt):
        log.warning("the worker %s was lost; the job is now %s", lost.worker, lost.status)


def audit_once(ledger: Ledger) -> None:
    """A line for each key that was created or revoked; of several services one writes it."""
    for note in ledger.run(key_log.take(ledger.settings.namespace)):
        audit.info("key %s", note.event, extra={"facts": note.facts})


def _missing(ledger: Ledger, doorbell: Doorbell) -> Mapping[str, int]:
    """`Doorbell.missing`; nothing while a partition is away: messages of its jobs would be taken for needless ones."""
    try:
        return doorbell.missing(ledger.waiting())
    except ProblemError:
        return {}


def sweep_once(
    ledger: Ledger, store: BlobStore, young: float = YOUNG_SECONDS, stop: Callable[[], bool] = lambda: False
) -> int:
    """Remove files that nothing alive needs, and what interrupted writers left; how many blobs went until `stop`."""
    if restored := store.restore():
        log.warning("a sweep ended before its time; %d files that it had set aside are back", restored)
    store.sweep_temporary(young)
    gone, old = 0, store.older_than(young)
    while not stop() and (names := list(islice(old, MOST))):
        for name, needed in zip(names, ledger.kept_blobs(names), strict=True):
            if not needed and not stop():
                gone += store.discard(name, partial(_is_needed, ledger, name), young)
    return gone


def _is_needed(ledger: Ledger, name: str) -> bool:
    """Asked again, for each: the last of many is reached minutes after the question for all of them."""
    return ledger.kept_blobs([name])[0]


class Reaper:
    """Runs both until stopped, in a thread each: a sweep of a far store takes minutes, which overdue jobs have not."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        duties = {"reaper": self._reap, "sweeper": self._sweep}
        self._threads = [
            threading.Thread(target=duty, name=f"erfscope-{name}", daemon=True) for name, duty in duties.items()
        ]

    def start(self) -> None:
        """Begin."""
        settings = self._settings
        log.info("jobs are in %s, files in %s", settings.redis_shown, settings.blob_url or settings.blobs.absolute())
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and wait for it; a list of files that a far store does not finish is left behind."""
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def _reap(self) -> None:
        doorbell = Doorbell(self._settings)
        with Ledger(self._settings) as ledger:

            def look() -> None:
                reap_once(ledger, doorbell, self._stop.is_set)
                audit_once(ledger)

            self._again(REAP_SECONDS, look)
        doorbell.close()

    def _sweep(self) -> None:
        store = open_store(self._settings)
        with Ledger(self._settings) as ledger:
            self._once(lambda: self._announce(ledger))
            self._once(ledger.swept)  # from here on its age is that of this sweeper's last work

            def sweep() -> None:
                self._announce(ledger)
                sweep_once(ledger, store, stop=self._stop.is_set)
                ledger.swept()

            self._again(SWEEP_SECONDS, sweep)

    def _announce(self, ledger: Ledger) -> None:
        """Say which file store this replica has: workers with another one do not start."""
        mine, space = folder.file_store(self._settings), self._settings.namespace
        before = ledger.run(folder.announced(space))
        ledger.run(folder.announce(space, mine))
        if before is not None and before.id != mine.id:
            log.warning("files are in %s; a service of this Redis had them in %s", mine.where, before.where)

    def _again(self, pause: float, duty: Callable[[], object]) -> None:
        """Do it after every pause; an outage is waited out."""
        while not self._stop.wait(pause):
            self._once(duty)

    def _once(self, duty: Callable[[], object]) -> None:
        try:
            duty()
        except ProblemError as error:
            log.warning("the reaper waits: %s (%s)", error.problem.detail, error.problem.context.get("reason"))
        except Exception:
            log.exception("the reaper stumbled and goes on")
