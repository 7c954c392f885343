"""The runner that tries every door, in a child that was started as those of real jobs are."""

import json
from typing import Any

from erfscope_worker.doors import files, kernel, memory, network, processes
from erfscope_worker.doors.door import Place, attempt
from erfscope_worker.task import Outputs, Task

DOORS = [*files.DOORS, *memory.DOORS, *processes.DOORS, *network.DOORS, *kernel.DOORS]

# What the CUDA driver needs, so it is open in a child with a GPU; docs/reliability.md lists it.
OPEN_FOR_CUDA = {
    "shared memory over the limit",
    "a file in memory (memfd)",
    "pipes as buffers",
    "scheduler of the fork server",
}


def place_of(payload: dict[str, Any]) -> Place:
    """Where to try, as it came with the orders."""
    return Place(**{**payload, "canaries": tuple(payload["canaries"])})


def run(task: Task) -> Outputs:
    """A result of rows: group, name, and how the door was open (empty when it was shut)."""
    place = place_of(dict(task.payload))
    needed = OPEN_FOR_CUDA if task.device.startswith("cuda") else set[str]()
    rows = [(door.group, door.name, attempt(door, place)) for door in DOORS if door.name not in needed]
    return Outputs(json.dumps(rows).encode())
