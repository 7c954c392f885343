"""What one core does in an hour, and what a job leaves in the stores: `python -m benchmarks.capacity`.

Each row: so many different jobs of one kind, one after another through service, queue and jail, with one thread each.
Seconds are CPU time of the worker with all of its processes, per job, so that they hold on a busy machine too; bytes
are what the stores have more afterwards, per job.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.table import Table
from tests.chaos.town import Town, wait_until

from erfscope_contract.presets import preset


@dataclass(frozen=True)
class Work:
    """A kind of job: a preset, the input's shape, and how many samples."""

    name: str
    preset: str
    shape: list[int]
    samples: int
    jobs: int


WORKS = [
    Work("plain-5-relu, 31 × 31, 32 samples", "plain-5-relu", [3, 31, 31], 32, 20),
    Work("ResNet-50, 224 × 224, 1 sample", "resnet50", [3, 224, 224], 1, 3),
    Work("ResNet-50, 224 × 224, 32 samples", "resnet50", [3, 224, 224], 32, 3),
    Work("ResNet-50, 512 × 512, 32 samples", "resnet50", [3, 512, 512], 32, 2),
]


@dataclass(frozen=True)
class Capacity:
    """What was found of one kind of job."""

    name: str
    seconds: float
    store_bytes: float
    blob_bytes: float

    @property
    def per_hour(self) -> float:
        """Jobs of one core that does nothing else."""
        return 3600 / self.seconds


def measure(town: Town, http: httpx2.Client, work: Work) -> Capacity:
    """Do the jobs of one kind, after one that warms everything."""
    finish(http, work, 0)
    store, blobs, spent = store_bytes(town), blob_bytes(town), town.cpu_seconds(town.workers[0])
    for seed in range(1, work.jobs + 1):
        finish(http, work, seed)
    return Capacity(
        work.name,
        (town.cpu_seconds(town.workers[0]) - spent) / work.jobs,
        (store_bytes(town) - store) / work.jobs,
        (blob_bytes(town) - blobs) / work.jobs,
    )


def finish(http: httpx2.Client, work: Work, seed: int) -> None:
    """Submit one job and wait for its end."""
    network = preset(work.preset).model_dump(mode="json")
    asked = {
        "model": {"architecture": network},
        "input": {"shape": work.shape},
        "average": {"inputs": work.samples, "seed": seed},
    }
    accepted = http.post("/erf", json=asked)
    assert accepted.status_code == 202, accepted.text
    place = accepted.headers["Location"]
    job = wait_until(work.name, lambda: ended(http.get(place, headers={"Prefer": "wait=30"}).json()), 900)
    assert job["status"] == "succeeded", job["error"]


def ended(job: dict[str, Any]) -> dict[str, Any] | None:
    """The job, once it is over."""
    return None if job["status"] in ("queued", "running") else job


def store_bytes(town: Town) -> int:
    """Memory of the store's data set."""
    found: int = town.redis.info("memory")["used_memory_dataset"]
    return found


def blob_bytes(town: Town) -> int:
    """Bytes of the files that jobs have left."""
    return sum(place.stat().st_size for place in town.settings.blobs.rglob("*") if place.is_file())


def capacities(folder: Path) -> Iterator[Capacity]:
    """One row after another."""
    with (
        Town(folder, replicas=1, workers=1, job_seconds=3600.0) as town,
        httpx2.Client(base_url=town.urls[0], timeout=120, trust_env=False) as http,
    ):
        for work in WORKS:
            yield measure(town, http, work)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there")
    asked = parser.parse_args()
    table = Table("job", "CPU s", "jobs per hour and core", "kB in Redis", "kB of files")
    found = []
    with tempfile.TemporaryDirectory(prefix="capacity-", ignore_cleanup_errors=True) as folder:
        for one in capacities(Path(folder)):
            found.append(asdict(one))
            kilobytes = (f"{one.store_bytes / 1000:.1f}", f"{one.blob_bytes / 1000:.1f}")
            table.add_row(one.name, f"{one.seconds:.2f}", f"{one.per_hour:,.0f}", *kilobytes)
    Console(width=110).print(table)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
