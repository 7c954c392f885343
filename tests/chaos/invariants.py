"""The invariants, each a check of a run's evidence that returns what breaks it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.evidence import Evidence, Verdict, bytes_of, moment
from tests.chaos.history import TERMINAL

EMPTY_SECONDS = 60.0
FLOOD, QUIET = "flood", "quiet"  # tenants
Check = Callable[[Evidence], Iterator[str]]


@dataclass(frozen=True)
class Invariant:
    """A promise and its check."""

    name: str
    promise: str
    check: Check


def seen_while_running(name: str) -> Check:
    """What the clients or the watchers wrote down during the run."""
    return lambda evidence: iter(evidence.history.violations.get(name, []))


def one_end(evidence: Evidence) -> Iterator[str]:
    """I1: every 202 id reaches exactly one terminal state, by one write."""
    for verdict in evidence.verdicts:
        writes = 0 if verdict.was_known else 1
        if verdict.status not in TERMINAL or len(verdict.ends) != writes:
            yield f"{verdict.job.id}: {verdict.status}, terminal writes {[e.data['status'] for e in verdict.ends]}"
    ended = sum(evidence.tally.get(status, 0) for status in TERMINAL)
    if ended != evidence.tally.get("submitted", 0):
        yield f"the ledger counts {evidence.tally.get('submitted')} submissions and {ended} ends"


def as_expected(evidence: Evidence) -> Iterator[str]:
    """I1: it is the state that the input deserves."""
    for verdict in evidence.verdicts:
        if not deserved(verdict, evidence):
            kind = verdict.record.problem if verdict.record else None
            yield f"{verdict.job.id} ({verdict.job.question}): {verdict.status} {kind}, expected {verdict.job.expects}"


def deserved(verdict: Verdict, evidence: Evidence) -> bool:
    """Whether a job ended as its input and the faults allow."""
    record = verdict.record
    if record is None:
        return False
    problem = record.problem.kind if record.problem else ""
    if problem == "worker-crash":
        return at_a_cap(verdict, evidence)
    endings = {"succeeded": {"succeeded"}, "canceled": {"canceled", "succeeded"}}
    if verdict.job.expects in endings:
        return verdict.status in endings[verdict.job.expects]
    return (verdict.status, problem) == ("failed", verdict.job.expects)


def at_a_cap(verdict: Verdict, evidence: Evidence) -> bool:
    """Whether the faults hit this job as often as the ledger tolerates."""
    settings, record = evidence.town.settings, verdict.record
    assert record is not None
    return record.crashes >= settings.max_crashes or record.lapses >= settings.max_lapses


def always_known(evidence: Evidence) -> Iterator[str]:
    """I2: an accepted id is found."""
    yield from evidence.history.violations.get("I2", [])
    for verdict in evidence.verdicts:
        if verdict.response.status_code != 200 or verdict.record is None:
            yield f"{verdict.job.id}: {verdict.response.status_code}"


def never_changes(evidence: Evidence) -> Iterator[str]:
    """I3: every terminal state that was ever seen is the one that stands now."""
    for verdict in evidence.verdicts:
        now = (verdict.status, verdict.response.headers.get("etag", ""))
        if others := verdict.job.seen - {now}:
            yield f"{verdict.job.id}: {sorted(others)} was seen, {now} stands"


def has_its_result(evidence: Evidence) -> Iterator[str]:
    """I4: succeeded means a result whose bytes have the record's sha256, and arrays with theirs."""
    for verdict in evidence.verdicts:
        record = verdict.record
        if record is None or verdict.status != "succeeded":
            continue
        if record.result is None or hashlib.sha256(record.result).hexdigest() != record.result_sha256:
            yield f"{verdict.job.id}: the result is not what the record says"
        if verdict.map_sha256 != record.arrays.get("map"):
            yield f"{verdict.job.id}: map.npy has {verdict.map_sha256}, the record {record.arrays}"


def same_bytes(evidence: Evidence) -> Iterator[str]:
    """I5: a key has one job, and every answer has the bytes of the calm run."""
    for key, ids in evidence.history.keys.items():
        if len(ids) > 1:
            yield f"{key}: {sorted(ids)}"
    for verdict in evidence.verdicts:
        record = verdict.record
        if record is None or verdict.status != "succeeded":
            continue
        if bytes_of(record) != evidence.calm[verdict.job.question]:
            yield f"{verdict.job.id} ({verdict.job.question}): other bytes than in calm"


def attempts_capped(evidence: Evidence) -> Iterator[str]:
    """I6: attempts are one more than the faults that were met, and those stay under their caps."""
    settings = evidence.town.settings
    for verdict in evidence.verdicts:
        record = verdict.record
        if record is None:
            continue
        over = record.crashes > settings.max_crashes or record.lapses > settings.max_lapses
        if over or record.attempt > record.crashes + record.lapses + record.outages + 1:
            yield f"{record.id}: {record.attempt} attempts, {record.crashes} crashes, {record.lapses} lapses"


def fenced(evidence: Evidence) -> Iterator[str]:
    """I7: of a job whose worker was stopped past its lease, nothing was written twice or afterwards."""
    struck = {id for strike in evidence.history.struck("stop") for id, _ in strike.victims}
    for id in struck & set(evidence.history.accepted):
        verdict = evidence.of(id)
        if len(verdict.ends) != 1 or verdict.events[-1] is not verdict.ends[0]:
            yield f"{id}: {[event.data for event in verdict.events]}"


def settles(evidence: Evidence) -> Iterator[str]:
    """I8: nothing is open a minute after the faults stopped, and the time that this machine needs for what waited."""
    most = EMPTY_SECONDS + evidence.backlog * evidence.pace
    if evidence.empty_after > most:
        yield f"`open` was empty after {evidence.empty_after:.0f} s, allowed for {evidence.backlog} jobs are {most:.0f}"


def keeps_apart(evidence: Evidence) -> Iterator[str]:
    """I9: another tenant finds none of the ids."""
    yield from evidence.history.violations.get("I9", [])
    yield from (f"{id} is visible to another tenant" for id in evidence.foreign)


def leaves_nothing(evidence: Evidence) -> Iterator[str]:
    """I11: no key without a TTL, and no unfinished file but of a writer that was killed (swept after an hour)."""
    yield from (f"{key} has no TTL" for key in evidence.eternal)
    killed = len(evidence.history.struck("api", "worker", "zygote", "child", "disk"))
    if evidence.unfinished > killed:
        yield f"{evidence.unfinished} unfinished files after {killed} kills"


def good_after_bad(evidence: Evidence) -> Iterator[str]:
    """I14: the good job after each bad input succeeded."""
    for verdict in evidence.verdicts:
        if verdict.job.after_bad and verdict.status != "succeeded" and not deserved(verdict, evidence):
            yield f"{verdict.job.id}: {verdict.status}"


def follows_all(evidence: Evidence) -> Iterator[str]:
    """I17: who follows a job is told every event after the first one, in order, once, and the end that stands."""
    yield from evidence.history.violations.get("I17", [])
    for followed in evidence.history.followed.values():
        if not followed.is_over:
            continue  # the run was over first
        verdict = evidence.of(followed.job)
        told = [order(id) for id in followed.ids]
        if len(told) == 2 and told[0] == told[1]:  # it had ended before: the snapshot and the end are the same event
            told = told[:1]
        missed = [event.id for event in verdict.events if told[0] < order(event.id) and order(event.id) not in told]
        if followed.status != verdict.status or told != sorted(set(told)) or missed:
            yield f"{followed.job}: told {followed.ids} {followed.status}, is {verdict.status}, missed {missed}"


def order(id: str) -> tuple[int, ...]:
    """What events are ordered by."""
    return tuple(map(int, id.split("-")))


def takes_turns(evidence: Evidence) -> Iterator[str]:
    """I19: between a quiet tenant's question and its start, the flood starts no more jobs than what runs and one turn.

    A strike may take a turn from its tenant.
    """
    workers = len(evidence.town.workers)
    flood = sorted(start for verdict in evidence.verdicts if verdict.job.tenant == FLOOD for start in starts(verdict))
    strikes = [strike.at for strike in evidence.history.strikes]
    for verdict in evidence.verdicts:
        if verdict.job.tenant == QUIET and (begun := starts(verdict)):
            asked = moment(verdict.events[0])
            between = [start for start in flood if asked < start < begun[0]]
            struck = [at for at in strikes if asked - 1 < at < begun[0]]
            if len(between) > 2 * workers + len(struck):
                yield f"{verdict.job.id}: {len(between)} jobs of the flood began before it, {len(struck)} strikes"


def starts(verdict: Verdict) -> list[float]:
    """When each attempt of a job began."""
    begun: dict[int, float] = {}
    for event in verdict.events:
        if event.data["status"] == "running":
            begun.setdefault(event.data["attempt"], moment(event))
    return sorted(begun.values())


def recovers(evidence: Evidence) -> Iterator[str]:
    """I20: lost jobs go on within lease + 2 s, for 95 of 100; what this machine was behind is not counted."""
    most = evidence.town.settings.lease_seconds + 2
    recoveries = evidence.recoveries()
    if recoveries and (slow := recoveries[min(len(recoveries) - 1, int(0.95 * len(recoveries)))]) > most:
        yield f"recovery p95 is {slow:.1f} s, promised are {most:g} s"
        yield from (f"{seconds:.1f} s: {what}" for seconds, what in sorted(evidence.recovered()) if seconds > most)


INVARIANTS = [
    Invariant("I1", "each accepted job ends, once", one_end),
    Invariant("I1b", "and as its input deserves", as_expected),
    Invariant("I2", "no accepted id is unknown", always_known),
    Invariant("I3", "a terminal state never changes", never_changes),
    Invariant("I4", "succeeded has its bytes", has_its_result),
    Invariant("I5", "same key, same job; bytes as in calm", same_bytes),
    Invariant("I6", "attempts stay under the caps", attempts_capped),
    Invariant("I7", "a late writer changes nothing", fenced),
    Invariant("I8", "nothing open 60 s after the faults", settles),
    Invariant("I9", "no id is another tenant's", keeps_apart),
    Invariant("I10", "no 5xx but 503 with Retry-After; problem+json", seen_while_running("I10")),
    Invariant("I11", "every key has a TTL, no file is left", leaves_nothing),
    Invariant("I12", "no orphan after a worker's death", seen_while_running("I12")),
    Invariant("I14", "a good job succeeds after a bad one", good_after_bad),
    Invariant("I15", "a restart of the store loses no record", seen_while_running("I15")),
    Invariant("I16", "a sweep takes no file that is stored", seen_while_running("I16")),
    Invariant("I17", "who follows a job misses nothing", follows_all),
    Invariant("I18", "a series ends as its points deserve", seen_while_running("I18")),
    Invariant("I19", "a flood delays others by a turn", takes_turns),
    Invariant("I20", "lost jobs go on within lease + 2 s", recovers),
    Invariant("harness", "the harness itself did not stumble", seen_while_running("harness")),
]
