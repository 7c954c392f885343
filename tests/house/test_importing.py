"""What a large import leaves of the collector of garbage: in our own processes, and in those of users."""

import subprocess
import sys

import pytest

LOADED = """
import gc, sys
from erfscope_contract.importing import claim_process, uncollected
if sys.argv[1] == "ours":
    claim_process()
before = gc.get_freeze_count()
with uncollected():
    assert not gc.isenabled()
    import numpy
print(gc.isenabled(), gc.get_freeze_count() > before)
"""


@pytest.mark.parametrize(("whose", "told"), [("ours", "True True"), ("a user's", "True False")])
def test_what_is_imported_is_set_aside_in_our_own_processes_alone(whose: str, told: str) -> None:
    ended = subprocess.run([sys.executable, "-c", LOADED, whose], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == told


def test_a_collector_that_is_off_stays_off() -> None:
    code = "import gc; gc.disable()\nfrom erfscope_contract.importing import uncollected\nwith uncollected(): pass\n"
    ended = subprocess.run(
        [sys.executable, "-c", code + "print(gc.isenabled())"], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "False"
