"""What ledger, queue and jail add to a job, and what a cached answer costs: `python -m benchmarks.overhead`.

Rounds are interleaved, so that a noisy machine is noisy for each of them alike; medians are compared. On a machine that
is busy with other things the clock says little; the CPU time says what is ours.

- engine: the runner of the worker's children, called in this process, warm;
- jailed: the same job submitted to the ledger, run by a worker in its jail, until its end is known;
- cached: POST /erf of a question that has been answered, over HTTP;
- noop: a Celery task that does nothing and a wait for its result, on the same store.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import torch
from rich.console import Console
from rich.table import Table
from tests.chaos.town import Town, wait_until

from erfscope_jobs.digest import canonical
from erfscope_jobs.queue import Doorbell, broker_url
from erfscope_jobs.records import Kind, Submission
from erfscope_worker.runner import run
from erfscope_worker.task import Task

MOST_OVERHEAD, ROUND_TRIPS = 0.150, 3
ON_CPU = ("engine", "jailed", "overhead")  # whose CPU time is all in processes that are looked at
LAYERS = [{"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": 1}, {"type": "relu"}] * 3
Way = Callable[[], Any]


def request(seed: int) -> dict[str, Any]:
    """A plain network of three convolutions on 32 × 32, 8 samples."""
    network = {"name": "plain-3", "input": {"channels": 3, "size": [32, 32]}, "layers": LAYERS}
    return {"model": {"architecture": network}, "average": {"inputs": 8, "seed": seed}}


class Ways:
    """The ways to have an answer, each one call."""

    def __init__(self, town: Town, http: httpx2.Client, app: Any) -> None:
        self._town = town
        self._http = http
        self._app = app
        self._doorbell = Doorbell(town.settings)
        self._seed = 0

    def engine(self) -> None:
        """In this process."""
        self._seed += 1
        run(Task(Kind.ERF, {"request": request(self._seed)}, {}, "cpu", lambda stage, share: None))

    def jailed(self) -> None:
        """Through ledger, queue and jail."""
        self._seed += 1
        payload = canonical({"request": request(self._seed), "model": None, "images": None, "name": "plain-3"})
        job = Submission(Kind.ERF, "public", payload.decode(), question=os.urandom(16).hex())
        self._town.ledger.submit(job)
        self._doorbell.ring(job.id, job.kind)
        after, status = "0-0", "queued"
        while status in ("queued", "running"):
            for event in self._town.ledger.events(job.id, after, wait=10):
                after, status = event.id, event.data["status"]
        assert status == "succeeded", status

    def cached(self) -> None:
        """Over HTTP, of a question that was answered before."""
        told = self._http.post("/erf", json=request(0)).json()
        assert told["cached"], told

    def noop(self) -> None:
        """A Celery round trip."""
        self._app.tasks["noop"].delay().get(timeout=60)

    def close(self) -> None:
        """Give connections back."""
        self._doorbell.close()


@contextmanager
def noop_worker(town: Town) -> Iterator[Any]:
    """A Celery worker for tasks that do nothing, with its default pool."""
    os.environ["NOOP_REDIS"] = broker_url(town.settings)
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.noop", "worker", "-c", "1", "-Q", "noop"]
    flags = ["--without-gossip", "--without-mingle", "-l", "error"]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}  # it warns of root and of pickle; its messages are numbers
    process = subprocess.Popen([*command, *flags], stdout=subprocess.DEVNULL, env=quiet)
    try:
        from benchmarks.noop import app

        app.tasks["noop"].delay().get(timeout=60)
        yield app
    finally:
        process.terminate()
        process.wait(30)


@dataclass
class Spent:
    """Seconds of one way, round by round: by the clock, and of CPU in this process and the worker's."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def measure(rounds: int, folder: Path) -> dict[str, Spent]:
    """What each way took."""
    torch.set_num_threads(1)
    with (
        Town(folder, replicas=1, workers=1, fsync="always") as town,  # as `erfscope up` has it
        httpx2.Client(base_url=town.urls[0], trust_env=False, timeout=60) as http,
        noop_worker(town) as app,
    ):
        ways = Ways(town, http, app)
        answer_once(http)
        table: dict[str, Way] = {
            "engine": ways.engine,
            "jailed": ways.jailed,
            "cached": ways.cached,
            "noop": ways.noop,
        }
        for way in table.values():  # warm each of them
            way()
        spent = {name: Spent() for name in table}
        for _ in range(rounds):
            for name, way in table.items():
                wall, cpu = time.perf_counter(), cpu_now(town)
                way()
                spent[name].wall.append(time.perf_counter() - wall)
                time.sleep(0.05)  # a child's time counts once it has been waited for
                spent[name].cpu.append(cpu_now(town) - cpu)
        ways.close()
    return spent


def cpu_now(town: Town) -> float:
    """CPU seconds of this process and of the worker with its children."""
    return time.process_time() + town.cpu_seconds(town.workers[0])


def answer_once(http: httpx2.Client) -> None:
    """Have the question that `cached` asks answered."""
    id = http.post("/erf", json=request(0)).json()["id"]
    wait_until("the first answer", lambda: http.get(f"/erf/{id}").json()["status"] == "succeeded")


def figures(seconds: dict[str, float]) -> dict[str, float]:
    """The ways, and what follows from them."""
    return {**seconds, "overhead": seconds["jailed"] - seconds["engine"], "round trips": ROUND_TRIPS * seconds["noop"]}


def show(wall: dict[str, float], cpu: dict[str, float], rounds: int, console: Console) -> None:
    """One row for each figure."""
    words = {
        "engine": "engine, in this process",
        "jailed": "ledger, queue, jail, engine",
        "overhead": f"their difference (at most {MOST_OVERHEAD * 1000:.0f})",
        "cached": "cached POST /erf",
        "noop": "one no-op Celery round trip",
        "round trips": f"{ROUND_TRIPS} of them (more than a cached POST)",
    }
    table = Table("what", "ms, median", "CPU ms, mean", title=f"{rounds} interleaved rounds", title_justify="left")
    for name, text in words.items():
        table.add_row(text, f"{wall[name] * 1000:.1f}", f"{cpu[name] * 1000:.1f}" if name in ON_CPU else "")
    console.print(table)


def main() -> int:
    """Measure, print, and 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the figures there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="overhead-", ignore_cleanup_errors=True) as folder:
        spent = measure(asked.rounds, Path(folder))
    wall = figures({name: statistics.median(one.wall) for name, one in spent.items()})
    cpu = figures({name: statistics.fmean(one.cpu) for name, one in spent.items()})
    show(wall, cpu, asked.rounds, Console(width=100))
    if asked.json:
        asked.json.write_text(json.dumps({"wall": wall, "cpu": cpu}, indent=2))
    return 1 if wall["overhead"] > MOST_OVERHEAD or wall["cached"] >= wall["round trips"] else 0


if __name__ == "__main__":
    sys.exit(main())
