"""The heap of a measurement: pages that one micro-batch touched are there for the next, and go back at the end."""

import json
import os
import subprocess
import sys

import pytest
from torch import nn

from erfscope_engine import heap, measure

pytestmark = pytest.mark.skipif(heap._glibc() is None, reason="the C library is not glibc")

# In a process of its own: what other tests have left on the heap is not in the way.
WATCH = """
import json, resource
import numpy as np
from erfscope_engine.heap import kept_heap

LARGE = 64 << 20  # bytes, above what glibc keeps by itself

def touch():
    np.empty(LARGE, np.uint8).fill(1)

def faults():
    touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        touch()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    line = next(one for one in open("/proc/self/status") if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / LARGE

found = {"usual": faults(), "before": resident()}
with kept_heap():
    found["kept"] = faults()
    with kept_heap():
        touch()
    found["inside"] = resident()
found |= {"after": resident(), "again": faults()}
print(json.dumps(found))
"""


def watched(**variables: str) -> dict[str, float]:
    kept = {name: value for name, value in os.environ.items() if name not in heap.OWN_WISHES}
    done = subprocess.run(
        [sys.executable, "-c", WATCH], env={**kept, **variables}, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_freed_blocks_wait_for_the_next_and_go_back_at_the_end() -> None:
    found = watched()
    assert found["kept"] * 10 < found["usual"]
    assert found["inside"] > found["before"] + 0.5
    assert found["after"] < found["before"] + 0.5
    assert found["again"] > found["kept"] * 10


def test_the_environment_has_the_last_word() -> None:
    found = watched(MALLOC_TRIM_THRESHOLD_="131072")
    assert found["kept"] * 2 > found["usual"]


def test_a_measurement_keeps_it() -> None:
    seen: list[int] = []
    measure(nn.Conv2d(1, 1, 3), input_shape=(1, 9, 9), progress=lambda stage, share: seen.append(len(heap._inside)))
    assert set(seen) == {1}
    assert not heap._inside


ROOM = """
import resource
import numpy as np, torch
from erfscope_engine.heap import kept_heap
from erfscope_engine.room import memory_limit

GIB, CPU = 1 << 30, torch.device("cpu")
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData:"))
resource.setrlimit(resource.RLIMIT_DATA, (used + 2 * GIB, resource.RLIM_INFINITY))
with kept_heap():
    first = memory_limit(CPU)
    np.empty(GIB, np.uint8).fill(1)
    print(abs(first - 2 * GIB) < GIB // 8, memory_limit(CPU) == first)
"""


def test_what_a_measurement_has_freed_is_room_for_its_next_run() -> None:
    done = subprocess.run([sys.executable, "-c", ROOM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True True"
