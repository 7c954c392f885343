"""From a job's id to its terminal state: claim, run in a child, write what came out."""

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from erfscope_contract.problem import Problem, ProblemError
from erfscope_jobs.blobs import ROOM
from erfscope_jobs.folder import difference
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.log import about
from erfscope_jobs.queue import Doorbell
from erfscope_jobs.records import Answer, Failure, Kind, Part, Record, Sharded
from erfscope_jobs.remote import open_store
from erfscope_jobs.settings import Settings
from erfscope_jobs.workers import WorkerInfo, name_of
from erfscope_worker import jail, verdicts
from erfscope_worker.arrays import compare_part
from erfscope_worker.attempt import MEMORY_EVENTS, Attempt, Ending
from erfscope_worker.cgroup import Group, Groups
from erfscope_worker.harvest import Harvest
from erfscope_worker.launcher import Launcher
from erfscope_worker.lease import leased
from erfscope_worker.task import Orders, Sharding, blobs_of
from erfscope_worker.workspace import Workspace

T = TypeVar("T")
PARTS_PER_SLOT = 2
MOST_TURNED_AWAY = 1000
MOST_TRIES = 16  # another worker may claim the job whose turn it is; then the next has its turn
PERSISTENCE_SECONDS = 60.0  # an answer is worth waiting out a restart of Redis
log = logging.getLogger(__name__)


class Supervisor:
    """Looks at jobs until told to stop."""

    def __init__(
        self, settings: Settings, launcher: Launcher, workspace: Workspace, sandbox: bool, groups: Groups | None
    ) -> None:
        self.settings = settings
        self.name = f"{name_of(os.getpid())}{secrets.token_hex(4)}"
        self.ledger = Ledger(settings)
        self._launcher = launcher
        self._doorbell = Doorbell(settings)
        self._store = open_store(settings)
        self._workspace = workspace
        self._sandbox = sandbox
        self._groups = groups
        self._stop_at = float("inf")
        self._busy = 0
        self._turned_away: dict[str, int] = {}  # bytes of answers that the store could not take, by job
        self._lock = threading.Lock()

    def look(self, kind: Kind) -> None:
        """Do the job of that kind whose turn it is, if one waits."""
        record = self._claim(kind)
        if record is None:
            return
        with self._lock:
            self._busy += 1
        with about(job=record.job, attempt=record.attempt, **({"part": record.part} if record.part else {})):
            log.info("begins")
            try:
                self._attempt(record)
            finally:
                with self._lock:
                    self._busy -= 1

    def _claim(self, kind: Kind) -> Record | None:
        """The next job, now ours. What cannot be begun stays queued, and the reaper sends another message for it."""
        skip: list[str] = []
        for _ in range(MOST_TRIES):
            id = self.ledger.next(kind, self._launcher.fingerprint, skip)
            if id is None:
                return None
            if not self._can_store(id):
                if id not in self._turned_away:
                    return None
                skip.append(id)  # it needs more room than others do
            elif record := self.ledger.claim(id, self.name, self._launcher.fingerprint):
                return record
        return None

    def _can_store(self, id: str) -> bool:
        """After an answer could not be stored: no further job is begun, and none spent, until the store is back."""
        if self._turned_away:
            room = self._turned_away.get(id, ROOM)
            try:
                self._store.check(room)
            except ProblemError as error:
                log.warning(
                    "job %s is not begun until %s bytes can be stored: %s", id, f"{room:,}", error.problem.detail
                )
                return False
            self._turned_away.pop(id, None)
        return True

    def _store_fails(self, record: Record, harvest: Harvest) -> None:
        if len(self._turned_away) >= MOST_TURNED_AWAY:
            self._turned_away.clear()
        self._turned_away[record.id] = max(harvest.room, ROOM)  # or a long job would run again and again in vain
        self._again(record, Failure.OUTAGE, ring=False)

    def stop(self) -> None:
        """Take nothing new; what runs may end within the grace, then it is handed back. Again, it changes nothing."""
        grace = self.settings.shutdown_grace
        if self._stop_at == float("inf"):
            self._stop_at = time.monotonic() + grace
            log.info("stops: takes no new job, and gives those that run (%d) %g s", self._busy, grace)

    def about(self) -> WorkerInfo:
        """What the registry shows."""
        return WorkerInfo(
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            concurrency=self.settings.concurrency,
            busy=self._busy,
            fingerprint=self._launcher.fingerprint,
            landlock=jail.level() if self._sandbox else 0,
        )

    def close(self) -> None:
        """Give connections back."""
        self.ledger.close()
        self._doorbell.close()

    def _attempt(self, record: Record) -> None:
        digest = self._launcher.fingerprint.digest(record.question)
        if record.part is None and self.ledger.recall(record.id, record.attempt, digest):
            return  # the same question was answered while this job waited
        with contextlib.ExitStack() as later, Harvest(self.settings, self._store) as harvest:
            try:
                if not self._has_parts(record):
                    return self._rejoin(record)
                ending = self._run(record, harvest, later)
                if ending is Ending.ANSWERED:
                    return self._take(record, harvest)
            except ProblemError as error:
                if error.kind == "unavailable":
                    log.warning("outage: %s", error.problem.detail)
                    return self._store_fails(record, harvest)
                return self._fail(record, harvest, error.problem)
            self._write(record, harvest, ending)

    def _run(self, record: Record, harvest: Harvest, later: contextlib.ExitStack) -> Ending:
        """Watch one child to its end; its folder is discarded `later`, when the verdict is written."""
        folder = self._workspace.new()
        later.callback(self._workspace.discard, folder)
        with leased(self.ledger, record, harvest):
            orders = self._orders(record, str(folder))
            child = self._launcher.launch()
        group = self._group(child.pid)
        try:
            child.order(orders)
            attempt = Attempt(
                self.settings,
                child,
                harvest,
                lambda stage, share: self.ledger.beat(record.id, record.attempt, stage, share),
                lambda: time.monotonic() >= self._stop_at,
                folder,
                group.events if group else MEMORY_EVENTS,
            )
            ending = attempt.run()
        finally:
            child.close()
            if group:
                group.close()
        if attempt.zygote_is_ill:
            self._launcher.replace()
        log.info("ended: %s, %s", ending, attempt.exit)
        return ending

    def _group(self, pid: int) -> Group | None:
        """A control group for a child, where they can be had."""
        if self._groups is None:
            return None
        return self._groups.new(pid, self.settings.job_memory_bytes, self.settings.job_file_bytes)

    def _has_parts(self, record: Record) -> bool:
        """Whether what the shards of a job found, at most a few arrays each, is still stored."""
        return all(self._store.exists(sha256) for part in record.parts for sha256 in part.values())

    def _commit(self, record: Record, harvest: Harvest) -> dict[str, str]:
        with leased(self.ledger, record, harvest):
            return harvest.commit()

    def _orders(self, record: Record, folder: str) -> Orders:
        payload = json.loads(record.payload)
        named = blobs_of(payload)
        for role, sha256 in named.items():
            if not self._store.exists(sha256):
                self._store.check()  # a store that is away has no file at all
                raise self._missing(role.partition(".")[0])
        named |= {f"{n}.{name}": sha256 for n, part in enumerate(record.parts) for name, sha256 in part.items()}
        settings = self.settings
        return Orders(
            kind=record.kind,
            payload=payload,
            files={role: str(self._store.path(sha256).absolute()) for role, sha256 in named.items()},
            folder=folder,
            runner=settings.runner,
            device=self._launcher.device,
            threads=settings.job_threads,
            seconds=settings.job_seconds,
            memory_bytes=settings.job_memory_bytes,
            file_bytes=settings.job_file_bytes,
            sandbox=self._sandbox,
            sharding=Sharding(record.part, len(record.parts), self._most_parts(record), settings.shard_seconds),
        )

    def _missing(self, what: str) -> ProblemError:
        """Why a file is not there: it is gone, or it is in another folder than this worker's."""
        if why := difference(self.settings, self.ledger.run):
            log.error("%s", why)
            return ProblemError(
                "not-found",
                f"The {what} of this job is not in the worker's file store: the service and this worker have different "
                "data folders. Start both with the same ERFSCOPE_DATA_DIR; the worker's log names the two.",
            )
        return ProblemError("not-found", f"The {what} of this job is no longer stored; upload it again.")

    def _most_parts(self, record: Record) -> int:
        """How many shards a job may have: more than could run at once, so that a slow worker holds up little."""
        if not self._may_split(record):
            return 1
        slots = self.ledger.slots(self._launcher.fingerprint)
        return PARTS_PER_SLOT * slots if slots > 1 else 1

    def _may_split(self, record: Record) -> bool:
        return record.kind is Kind.ERF and not (record.whole or record.parts) and self.settings.shard_seconds > 0

    def _take(self, record: Record, harvest: Harvest) -> None:
        """What a child that ended well has to say: an answer, a shard's sums, or how the job is to be run instead."""
        if harvest.whole and (record.part or record.parts):
            self._rejoin(record)
        elif harvest.parts and self._may_split(record):
            self._split(record, harvest.parts)
        elif record.part is not None:
            self._finish_part(record, harvest)
        else:
            self._finish(record, harvest)

    def _split(self, record: Record, parts: Sequence[Part]) -> None:
        fingerprint = self._launcher.fingerprint
        shards = persistently(lambda: self.ledger.split(record.id, record.attempt, parts, fingerprint))
        log.info("split into %d shards", len(shards))
        for shard in shards:
            self._doorbell.ring(shard, Kind.SHARD)

    def _lied(self, record: Record, error: ValueError) -> None:
        """The child sent what it cannot have measured: as if it had died."""
        log.error("the child's answer is refused: %s", str(error)[:200])
        self._again(record, Failure.CRASH)

    def _finish_part(self, record: Record, harvest: Harvest) -> None:
        try:
            compare_part(harvest.checks)
        except ValueError as error:
            return self._lied(record, error)
        arrays = self._commit(record, harvest)
        done = persistently(lambda: self.ledger.finish_part(record.id, record.attempt, arrays))
        log.info("samples %s: %s", record.part, done)
        if done is Sharded.MERGE:
            self._doorbell.ring(record.job, Kind.ERF)

    def _rejoin(self, record: Record) -> None:
        """The parts do not fit together."""
        if persistently(lambda: self.ledger.rejoin(record.id, record.attempt)):
            log.warning("the parts do not fit together; it runs in one piece")
            self._doorbell.ring(record.job, Kind.ERF)

    def _finish(self, record: Record, harvest: Harvest) -> None:
        """FINISH with bytes that are durable before the record says so."""
        try:
            verdicts.check_result(record.kind, harvest)
        except ValueError as error:
            return self._lied(record, error)
        digest = self._launcher.fingerprint.digest(record.question)
        answer = Answer(digest, harvest.result, harvest.figure, self._commit(record, harvest), harvest.room)
        timing = harvest.timing(self.name, record.elapsed)
        written = persistently(lambda: self.ledger.finish(record.id, record.attempt, answer, timing))
        log.info("succeeded" if written else "discarded, another attempt holds it")

    def _write(self, record: Record, harvest: Harvest, ending: Ending) -> None:
        """What an ending without an answer means for the job."""
        steps: dict[Ending, Callable[[], None]] = {
            Ending.PROBLEM: lambda: self._fail(record, harvest, harvest.problem or verdicts.internal()),
            Ending.ERROR: lambda: self._fail_internally(record, harvest),
            Ending.OUT_OF_MEMORY: lambda: self._fail(record, harvest, verdicts.out_of_memory()),
            Ending.TIMEOUT: lambda: self._fail(record, harvest, verdicts.timeout(self.settings)),
            Ending.CRASHED: lambda: self._again(record, Failure.CRASH),
            Ending.STOPPED: lambda: self._again(record, Failure.HANDBACK),
            Ending.ORPHANED: lambda: self._again(record, Failure.HANDBACK),
            Ending.STORE_FAILED: lambda: self._store_fails(record, harvest),
            Ending.TOO_LARGE: lambda: self._fail(record, harvest, verdicts.too_large(self.settings, harvest.excess)),
            Ending.TOO_MANY_FILES: lambda: self._fail(record, harvest, verdicts.too_many_files(self.settings)),
            Ending.TAKEN: lambda: None,
        }
        steps[ending]()

    def _fail(self, record: Record, harvest: Harvest, problem: Problem) -> None:
        timing = harvest.timing(self.name)
        persistently(lambda: self.ledger.fail(record.id, record.attempt, problem, timing))
        log.info("failed: %s", problem.kind)

    def _fail_internally(self, record: Record, harvest: Harvest) -> None:
        log.error("%r", harvest.error)
        self._fail(record, harvest, verdicts.internal())

    def _again(self, record: Record, failure: Failure, *, ring: bool = True) -> None:
        """Back to the queue. Without a ring the reaper rings after a lease: time for an outage to pass."""
        status = persistently(lambda: self.ledger.retry(record.id, record.attempt, failure))
        log.warning("%s, now %s", failure, status)
        if ring and status == "queued":
            self._doorbell.ring(record.id, record.kind)


def persistently(write: Callable[[], T]) -> T:
    """Try until Redis is back, for a while; then the lease lapses and the job runs again."""
    give_up_at = time.monotonic() + PERSISTENCE_SECONDS
    pause = 0.1
    while True:
        try:
            return write()
        except ProblemError as error:
            if error.kind != "unavailable" or time.monotonic() + pause > give_up_at:
                raise
            log.warning("cannot write to the ledger yet: %s", error)
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
