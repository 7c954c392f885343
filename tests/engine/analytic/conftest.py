"""Small specs and their expected squared maps, for the tests of the analytic method."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from erfscope_contract.request import ErfRequest
from erfscope_contract.result import ErfResult
from erfscope_intake.answer import Sources, answer

Squares = Callable[..., tuple[NDArray[np.float64], ErfResult]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def squares() -> Squares:
    """(layers, input spec, fields of a request) → the map of mean squares at its own scale, and the result."""

    def measured(layers: list[Any], size: list[int], channels: int = 1, **fields: Any) -> Any:
        init = fields.pop("init", "kaiming_normal")
        spec = {"input": {"channels": channels, "size": size}, "init": init, "layers": layers}
        asked = {"method": "analytic", "dtype": "float64", "model": {"architecture": spec}, **fields}
        asked["average"] = {"statistic": "rms", **fields.get("average", {})}
        found = answer(ErfRequest.model_validate(asked), Sources(), device="cpu")
        raw = found.map.astype(np.float64) * 2.0**found.result.scale_log2
        return raw**2, found.result

    return measured
