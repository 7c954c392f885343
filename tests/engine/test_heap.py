"""The heap of a measurement: pages that one micro-batch touched are there for the next, and go back at the end."""

import resource
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from erfscope_engine import heap, measure
from erfscope_engine.heap import kept_heap

LARGE = 64 << 20  # bytes, above what glibc keeps by itself
RUNS = 4

pytestmark = pytest.mark.skipif(heap._glibc() is None, reason="the C library is not glibc")


def touch() -> None:
    """Take a large block, write to each page, free it."""
    np.empty(LARGE, np.uint8).fill(1)


def faults_of_large_blocks() -> int:
    """Pages that the kernel had to give while large blocks came and went."""
    touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(RUNS):
        touch()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    line = next(one for one in Path("/proc/self/status").read_text("ascii").splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@pytest.fixture(autouse=True)
def no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in heap.OWN_WISHES:
        monkeypatch.delenv(name, raising=False)


def test_freed_blocks_wait_for_the_next() -> None:
    usual = faults_of_large_blocks()
    with kept_heap():
        kept = faults_of_large_blocks()
    assert kept * 10 < usual
    assert faults_of_large_blocks() > kept * 10


def test_memory_goes_back_when_the_last_is_through() -> None:
    before = resident()
    with kept_heap():
        with kept_heap():
            touch()
        assert resident() > before + LARGE // 2
    assert resident() < before + LARGE // 2


def test_the_environment_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = faults_of_large_blocks()
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    with kept_heap():
        assert faults_of_large_blocks() * 2 > usual


def test_a_measurement_keeps_it() -> None:
    seen: list[int] = []
    measure(nn.Conv2d(1, 1, 3), input_shape=(1, 9, 9), progress=lambda stage, share: seen.append(len(heap._inside)))
    assert set(seen) == {1}
    assert not heap._inside
