"""Engine tests import their small networks by name, and the benchmark's; their weights are the same in every run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[2]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Of other weights a ReLU may be dead in all of the few samples, one time in a hundred."""
    import torch

    torch.manual_seed(0)
