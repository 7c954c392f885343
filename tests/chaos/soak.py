"""A thousand jobs, and what they leave behind: `python -m tests.chaos.soak --jobs 1000` (I11).

Before and after, at rest and with every result past its time to live: anonymous memory and descriptors of each
process, memory and keys of the store, temporary files.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.table import Table
from tests.chaos.processes import descriptors, resident_bytes
from tests.chaos.questions import spec
from tests.chaos.town import Town, wait_until

TTL = 6.0  # seconds that a result lives here: long enough to fetch it, and what it leaves is seen soon
MOST_OPEN = 8
TOLERANCE = 1.10
ROOM = {"memory": 1 << 20, "descriptors": 2, "keys": 2, "files": 0}  # below this a share says nothing


def soak(folder: Path, jobs: int, warm_up: int) -> Iterator[dict[str, float]]:
    """The readings after the warm-up and after the jobs."""
    with Town(folder, replicas=1, workers=1, result_ttl=TTL) as town:
        for name, number in (("warm-up", warm_up), ("jobs", jobs)):
            work(town, name, number)
            yield at_rest(town)


def work(town: Town, name: str, number: int) -> None:
    """So many different jobs, each until it has succeeded and its result was fetched."""
    waiting: list[str] = []
    with httpx2.Client(base_url=town.urls[0], timeout=60, trust_env=False) as http:
        for i in range(number):
            response = http.post("/erf", **spec(f"{name}-{i}", depth=1, seed=0, inputs=2))
            assert response.status_code == 202, response.text
            waiting.append(response.json()["id"])
            while len(waiting) > MOST_OPEN:
                finish(http, waiting.pop(0))
        for id in waiting:
            finish(http, id)


def finish(http: httpx2.Client, id: str) -> None:
    """Wait for a job and fetch all that it has."""
    job = wait_until(f"job {id}", lambda: ended(http.get(f"/erf/{id}", headers={"Prefer": "wait=10"}).json()))
    assert job["status"] == "succeeded", job
    for part in ("heatmap.png", "map.npy"):
        assert http.get(f"/erf/{id}/{part}").status_code == 200


def ended(job: dict[str, Any]) -> dict[str, Any] | None:
    """The job, once it is over."""
    return None if job["status"] in ("queued", "running") else job


def at_rest(town: Town) -> dict[str, float]:
    """What everything holds once the last result has expired."""
    wait_until("an empty `open`", lambda: not town.redis.zcard(town.key("open")))
    answers = town.key("answer", "*")
    wait_until("results to expire", lambda: not list(town.redis.scan_iter(answers, count=1000)))
    time.sleep(1.0)  # connections that were in use go back, the child's folder goes
    return readings(town)


def readings(town: Town) -> dict[str, float]:
    """By name: memory (bytes), descriptors, keys, files."""
    zygote = town.zygote(town.workers[0])
    assert zygote is not None
    processes = {"api": town.replicas[0].pid, "worker": town.workers[0].pid, "zygote": zygote}
    held: dict[str, float] = {}
    for name, pid in processes.items():
        held[f"{name} memory"], held[f"{name} descriptors"] = resident_bytes(pid), descriptors(pid)
    held["store memory"] = town.redis.info("memory")["used_memory"]
    held["store keys"] = town.redis.dbsize()
    held["temporary files"] = sum(1 for _ in (town.settings.blobs / "tmp").iterdir())
    held["scratch files"] = sum(1 for _ in (town.folder / "scratch").rglob("*"))
    return held


def grown(before: Mapping[str, float], after: Mapping[str, float], tolerance: float = TOLERANCE) -> list[str]:
    """What is more than the tolerance above what it was."""
    return [name for name in before if after[name] > before[name] * tolerance + ROOM[name.rpartition(" ")[2]]]


def show(before: Mapping[str, float], after: Mapping[str, float], console: Console) -> None:
    """One row for each reading."""
    table = Table("what", "before", "after", "ratio")
    for name, value in before.items():
        ratio = f"{after[name] / value:.3f}" if value else "-"
        table.add_row(name, f"{value:,.0f}", f"{after[name]:,.0f}", ratio)
    console.print(table)


def main() -> int:
    """Run, print, and 1 when something has grown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the readings there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        before, after = soak(Path(folder), asked.jobs, asked.warm_up)
    console = Console(width=120)
    show(before, after, console)
    if asked.json:
        asked.json.write_text(json.dumps({"jobs": asked.jobs, "before": before, "after": after}, indent=2))
    if more := grown(before, after):
        console.print(f"grown by more than {TOLERANCE - 1:.0%}: {', '.join(more)}")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
