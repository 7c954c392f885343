"""What is looked at once the faults have stopped: every accepted job through the API and in the ledger."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
from tests.chaos.history import TERMINAL, Accepted, History, Strike
from tests.chaos.lateness import Lateness
from tests.chaos.town import PATIENCE, Town, wait_until

from erfscope_jobs.queue import queues
from erfscope_jobs.records import Event, Record

NO_TTL = -1  # what PTTL answers
CELERYS = ("_kombu", "unacked")  # its tables of queues and of messages on their way: their number is fixed
RECOVERING = ("child", "zygote", "worker", "stop", "cut")  # faults after which a job must run again


@dataclass(frozen=True)
class Verdict:
    """One accepted job, as it ended."""

    job: Accepted
    response: httpx2.Response
    record: Record | None
    events: list[Event]
    map_sha256: str = ""

    @property
    def was_known(self) -> bool:
        """It was answered at once: it has no stream."""
        return self.record is not None and self.record.cached and self.record.attempt == 0

    @property
    def ends(self) -> list[Event]:
        """Terminal writes that the job's stream has."""
        return [event for event in self.events if event.data["status"] in TERMINAL]

    @property
    def status(self) -> str:
        """The job's status now."""
        return str(self.record.status) if self.record else "lost"


@dataclass(frozen=True)
class Evidence:
    """A whole run."""

    town: Town
    history: History
    calm: Mapping[str, tuple[str, str]]  # question → sha256 of result and of map, from before the faults
    verdicts: list[Verdict]
    empty_after: float  # seconds until `open` was empty
    tally: Mapping[str, int]
    foreign: list[str]  # ids that another tenant could see
    eternal: list[str]  # keys of ours without a TTL
    unfinished: int  # files that writers of blobs have left
    late: Lateness  # how far behind this machine was, all through the run
    backlog: int  # jobs that were open when the faults had stopped
    pace: float  # seconds that this machine took for a job before the faults, with all its workers

    def of(self, id: str) -> Verdict:
        """The verdict on one job."""
        return next(verdict for verdict in self.verdicts if verdict.job.id == id)

    def recoveries(self) -> list[float]:
        """Seconds from each strike on a running job to its next step: queued, run again, or ended.

        Without those in which this machine, or the store, kept even a call that asks for nothing waiting.
        """
        return sorted(seconds for seconds, _ in self.recovered())

    def recovered(self) -> list[tuple[float, str]]:
        """The same, each with what was struck, the job, and the seconds that were not counted."""
        found = []
        for strike in self._recovering():
            for id, attempt in strike.victims:
                if (seconds := self._recovery(strike, id, attempt)) is not None:
                    late = self.late.within(strike.at, strike.at + seconds)
                    what = f"{strike.kind} of {strike.target}, {id}, and {late:.1f} s not counted"
                    found.append((max(0.0, seconds - late), what))
        return found

    def _recovering(self) -> list[Strike]:
        return self.history.struck(*RECOVERING)

    def _recovery(self, strike: Strike, id: str, attempt: int) -> float | None:
        if id not in self.history.accepted:
            return None  # accepted, but its 202 was lost with the replica
        for event in self.of(id).events:
            seconds = moment(event) - strike.at
            went_on = event.data["status"] != "running" or event.data["attempt"] > attempt
            if seconds > 0 and went_on:
                return seconds
        return None


def bytes_of(record: Record) -> tuple[str, str]:
    """sha256 of the result, but for the file's own name in it (salted files have others), and of the map."""
    result = record.result or b""
    named = json.loads(result)["provenance"]["model_sha256"] or "-"
    return hashlib.sha256(result.replace(named.encode(), b"")).hexdigest(), record.arrays["map"]


def moment(event: Event) -> float:
    """When the store wrote an event, in seconds of the epoch."""
    return int(event.id.partition("-")[0]) / 1000


def gather(town: Town, history: History, calm: Mapping[str, tuple[str, str]], late: Lateness, pace: float) -> Evidence:
    """Wait until nothing is open, then look at everything."""
    wait_until("the ledger", town.store_answers)
    began, backlog = time.monotonic(), len(town.open_ids())
    wait_until("an empty `open`", lambda: town.store_answers() and not town.open_ids(), PATIENCE)
    ended = time.monotonic()
    empty_after = ended - began - late.within(time.time() - (ended - began), time.time())
    with httpx2.Client(timeout=30, trust_env=False) as http:
        verdicts = [judge(town, http, job) for job in history.accepted.values()]
    foreign = [job.id for job in history.accepted.values() if seen_by_others(town, job)]
    tally = dict(town.ledger.pulse().tally)
    unfinished = sum(1 for _ in (town.settings.blobs / "tmp").iterdir())
    return Evidence(
        town, history, calm, verdicts, empty_after, tally, foreign, eternal_keys(town), unfinished, late, backlog, pace
    )


def seen_by_others(town: Town, job: Accepted) -> bool:
    """Whether the ledger gives a job to a tenant that it does not belong to."""
    others = [tenant for tenant in (*town.tenants, "somebody-else") if tenant != job.tenant]
    return any(town.ledger.get(job.id, tenant) is not None for tenant in others)


def eternal_keys(town: Town) -> list[str]:
    """Keys that would stay for ever, but for Celery's own."""
    meant = {*queues(town.settings).values(), town.key("apikeys")}  # a caller's key holds until it is revoked
    ours = ((client, key) for client, key in town.stores.scan() if not key.startswith(CELERYS))
    return [key for client, key in ours if key not in meant and client.pttl(key) == NO_TTL]


def judge(town: Town, http: httpx2.Client, job: Accepted) -> Verdict:
    """One job, from both sides."""
    url = f"{town.urls[len(job.id) % len(town.urls)]}/erf/{job.id}"
    headers = town.headers(job.tenant)
    response = http.get(url, headers=headers)
    record = town.ledger.get(job.id, job.tenant)
    map_sha256 = ""
    if record is not None and record.status == "succeeded":
        map_sha256 = hashlib.sha256(http.get(f"{url}/map.npy", headers=headers).content).hexdigest()
    return Verdict(job, response, record, events_of(town, job.id), map_sha256)


def events_of(town: Town, id: str) -> list[Event]:
    """The whole stream of a job."""
    found: list[Event] = []
    while more := town.ledger.events(id, found[-1].id if found else "0-0"):
        found += more
    return found
