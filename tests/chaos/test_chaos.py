"""A minute of chaos: real processes are killed and stopped under load, and every invariant holds."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.evidence import Evidence
from tests.chaos.faults import FAULTS
from tests.chaos.invariants import INVARIANTS, Invariant
from tests.chaos.run import Options, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Nothing is timed against a clock but what an invariant itself says; orphans get longer, for a busy machine.
OPTIONS = Options(seconds=45, seed=1, lease=3.0, workers=2, orphan_seconds=30.0)


@pytest.fixture(scope="module")
def evidence() -> Iterator[Evidence]:
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        yield run(OPTIONS, Path(folder))[0]


def test_load_and_faults_were_real(evidence: Evidence) -> None:
    struck = {fault.name: len(evidence.history.struck(fault.name)) for fault in FAULTS}
    assert all(struck.values()), struck
    assert struck["child"] >= 5
    assert len(evidence.history.accepted) >= 20
    assert evidence.recoveries()


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.name)
def test_invariant_holds(evidence: Evidence, invariant: Invariant) -> None:
    assert list(invariant.check(evidence)) == []
