"""What every test shares."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    """Bits depend on the number of threads; one keeps tests alike on every machine."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
