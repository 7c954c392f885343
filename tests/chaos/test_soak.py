"""The soak in small: what forty jobs leave behind is nothing; `python -m tests.chaos.soak` does a thousand."""

import sys
import tempfile
from pathlib import Path

import pytest
from tests.chaos.soak import grown, soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_jobs_leave_nothing_behind() -> None:
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        before, after = soak(Path(folder), jobs=30, warm_up=12)
    counted = {name for name in before if not name.endswith("memory")}
    assert [name for name in grown(before, after) if name in counted] == []
    # allocators settle over some hundred jobs: here only a leak that would soon hurt
    assert grown(before, after, tolerance=1.3) == []


def test_a_leak_would_be_seen() -> None:
    before = {"api memory": 50e6, "worker descriptors": 20.0, "store keys": 10.0, "temporary files": 0.0}
    assert grown(before, before) == []
    assert grown(before, {name: value * 1.2 + 3 for name, value in before.items()}) == list(before)
