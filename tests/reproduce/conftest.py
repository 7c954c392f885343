"""A bench that measures for real, in few repeats."""

import pytest

from erfscope_reproduce.bench import Bench


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench(quick=True)
