"""The Celery side: listens to the queues and tells the supervisor that a job of some kind waits."""

import logging
import os
import threading
import warnings
from typing import Any

import celery
import celery.apps.worker
from celery import bootsteps
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_ready, worker_shutting_down

from erfscope_contract.problem import ProblemError
from erfscope_jobs.folder import difference
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.queue import LOOK, bells, broker_options, broker_url
from erfscope_jobs.records import Kind
from erfscope_jobs.settings import Settings
from erfscope_worker import jail, readable
from erfscope_worker.cgroup import Groups
from erfscope_worker.doors.outside import Attempt, NoAnswerError, try_doors
from erfscope_worker.launcher import Launcher
from erfscope_worker.supervisor import Supervisor
from erfscope_worker.workspace import workspace

TICK_SECONDS = 0.02
MOST_NAMED = 5  # open doors in one line of the log
TRIALS = 3  # of the doors, when the child that tries them is killed
log = logging.getLogger(__name__)


def build(settings: Settings, supervisor: Supervisor) -> celery.Celery:
    """The app with its one task. Early ack: a message that is lost or doubled does no harm."""
    app = celery.Celery("erfscope", broker=broker_url(settings), set_as_current=False)
    app.conf.update(
        broker_transport_options=broker_options(settings),
        broker_connection_timeout=settings.redis_timeout,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: a worker outlives any outage of Redis
        broker_channel_error_retry=True,
        task_queues=bells(settings),
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # a waiting message belongs to whoever is idle first
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )

    app.steps["worker"].add(Tick)

    @app.task(name=LOOK, ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]  # Celery has no types
    def look(kind: str) -> None:
        try:
            supervisor.look(Kind(kind))
        except ProblemError as error:  # Redis is away: the reaper rings again
            log.warning("cannot look for jobs (%s): %s", kind, error)
        except Exception:
            log.exception("the supervisor stumbled over a job (%s); its lease lapses and it runs again", kind)

    return app


class Tick(bootsteps.StartStopStep):  # type: ignore[misc, unused-ignore]  # Celery has no types
    """Wakes Celery's loop often: with prefetch disabled it asks for the next message only when it wakes.

    Nothing wakes it when a thread ends its task; without this the next job waits up to a second.
    """

    requires = ("celery.worker.components:Hub",)

    def start(self, worker: Any) -> None:
        """On the worker's timer, which outlives connections to Redis."""
        worker.timer.call_repeatedly(TICK_SECONDS, lambda: None)


class Presence:
    """Tells the registry that this worker lives, from the moment it listens."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="erfscope-presence", daemon=True)

    def begin(self, **_: Any) -> None:
        """On Celery's worker_ready."""
        about = self._supervisor.about()
        kind = about.fingerprint
        told = {"worker": about.name, "device": kind.device, "threads": kind.threads, "at_a_time": about.concurrency}
        log.info("takes jobs", extra={"facts": told})
        self._thread.start()

    def end(self) -> None:
        """Leave the registry, if it can be reached."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        try:
            self._supervisor.ledger.retire(self._supervisor.name)
        except ProblemError as error:
            log.warning("cannot leave the registry: %s", error)

    def _run(self) -> None:
        interval = self._supervisor.settings.lease_seconds / 3
        while True:
            try:
                self._supervisor.ledger.advertise(self._supervisor.about())
            except ProblemError as error:
                log.warning("cannot report to the registry: %s", error)
            except Exception:  # a thread that ends would take a worker that works out of the registry
                log.exception("cannot report to the registry")
            if self._stop.wait(interval):
                return


def sandboxed(settings: Settings) -> bool:
    """Whether children are jailed; refuses to go without unless told to."""
    lacking = jail.missing()
    if not lacking:
        return True
    reason = f"This machine has no {' and no '.join(lacking)}, so a hostile model could do harm."
    if not settings.allow_unsandboxed:
        raise SystemExit(f"{reason} For models of your own: ERFSCOPE_ALLOW_UNSANDBOXED=1")
    log.warning("%s Running without a jail, as told.", reason)
    return False


def verify(launcher: Launcher, settings: Settings) -> None:
    """End the process, unless told otherwise, when a child could reach what it must not.

    That is a library folder with files of people, or a door of the jail that is open.
    """
    readable.check(launcher.libraries, settings)
    attempts = _tried(launcher, settings)
    opened = [one.name for one in attempts if one.opened]
    if not opened:
        log.info("the jail is shut: %d doors tried, Landlock level %d", len(attempts), jail.level())
        return
    more = f" and {len(opened) - MOST_NAMED} more" if len(opened) > MOST_NAMED else ""
    reason = (
        f"The jail of jobs has open doors on this machine: {'; '.join(opened[:MOST_NAMED])}{more}. "
        "`python -m erfscope_worker.doors` shows all of them."
    )
    if not settings.allow_unsandboxed:
        raise SystemExit(
            f"{reason} A newer kernel, or a container without added privileges, may shut them; for models of your "
            "own: ERFSCOPE_ALLOW_UNSANDBOXED=1"
        )
    log.warning("%s Running nevertheless, as told.", reason)


def _tried(launcher: Launcher, settings: Settings) -> list[Attempt]:
    """All doors; again where the child was killed on the way (for memory, say). Ends the process in the end."""
    for left in reversed(range(TRIALS)):
        try:
            return try_doors(launcher, settings, sandbox=True)
        except NoAnswerError as error:
            if not left:
                raise SystemExit(f"{error} The worker does not serve with a jail that could not be tried.") from error
            log.warning("%s It is tried again.", error)
    raise AssertionError("TRIALS is at least 1")


def warn_of_root() -> None:
    """Who is root owns all files, and the kernel does not hold root to a number of threads."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        log.warning(
            "The worker runs as root. Jobs are jailed and have no capabilities, but RLIMIT_NPROC does not bind "
            "root; start it as a user of its own, as the container images do."
        )


def start_children(settings: Settings) -> tuple[Launcher, bool]:
    """A fork server whose children are jailed, checked; or, when told, one without a jail."""
    sandbox = sandboxed(settings)
    warn_of_root()
    jail.hide()
    launcher = Launcher(settings)
    launcher.start()
    try:
        if sandbox:
            verify(launcher, settings)
    except BaseException:
        launcher.close()
        raise
    return launcher, sandbox


def same_files(settings: Settings) -> None:
    """End the process when the service keeps files elsewhere; while Redis is away nothing is known of that."""
    try:
        with Ledger(settings) as ledger:
            if why := difference(settings, ledger.run):
                raise SystemExit(why)
    except ProblemError as error:
        reason = error.problem.context.get("reason")
        log.warning("the file store could not be compared with the service's: %s (%s)", error.problem.detail, reason)


def serve(settings: Settings) -> int:
    """Run a worker until SIGTERM or Ctrl-C; its exit code."""
    log.info("jobs are in %s, files in %s", settings.redis_shown, settings.blob_url or settings.blobs.absolute())
    same_files(settings)
    groups = Groups.delegated()  # before the fork server starts, which belongs to the worker's part
    launcher, sandbox = start_children(settings)
    with workspace() as space:
        supervisor = Supervisor(settings, launcher, space, sandbox, groups)
        presence = Presence(supervisor)
        shutting_down = lambda **_: supervisor.stop()  # noqa: E731  Celery keeps weak references: it needs a name
        worker_ready.connect(presence.begin)
        worker_shutting_down.connect(shutting_down)
        setup_logging.connect(leave_logging_alone)
        try:
            return listen(build(settings, supervisor), settings, supervisor.name)
        finally:
            presence.end()
            launcher.close()
            supervisor.close()


def leave_logging_alone(**_: Any) -> None:
    """That somebody listens to this signal keeps Celery from setting levels and handlers of the root logger."""
    logging.getLogger("celery").setLevel(logging.WARNING)  # two lines of its own per message otherwise


def say(message: str, *_: object) -> None:
    """In place of Celery's `safe_say`, which writes plain text between lines of the log; the supervisor has its own."""
    log.debug("%s", message)


def listen(app: celery.Celery, settings: Settings, name: str) -> int:
    """Celery's own loop. Threads are enough: each only waits for its child."""
    # Celery warns root because of pickled messages; ours are the kind of a job in JSON, and models run jailed.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    celery.apps.worker.safe_say = say
    worker = app.Worker(
        hostname=name,
        pool="threads",
        concurrency=settings.concurrency,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="WARNING",
    )
    worker.start()
    code: int = worker.exitcode or 0
    return code
