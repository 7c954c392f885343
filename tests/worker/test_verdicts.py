"""An answer is stored only if its arrays are those of its result."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.records import Kind
from erfscope_jobs.settings import Settings
from erfscope_worker import child, verdicts
from erfscope_worker.arrays import compare_part
from erfscope_worker.frames import Frame, FrameError
from erfscope_worker.harvest import Harvest
from erfscope_worker.runner import run
from erfscope_worker.task import Outputs, Task

Arrays = Mapping[str, np.ndarray[Any, Any]]
SPEC = {
    "name": "two",
    "input": {"channels": 2, "size": [9, 11]},
    "layers": [
        {"type": "conv", "name": "first", "out_channels": 2, "kernel_size": 3, "padding": "same"},
        {"type": "conv", "name": "second", "out_channels": 2, "kernel_size": 3, "padding": "same"},
    ],
}


@pytest.fixture(scope="module")
def honest() -> Outputs:
    """A measured answer with maps of all layers."""
    request = {"model": {"architecture": SPEC}, "average": {"inputs": 2}, "layers": "all"}
    payload = {"request": request, "model": None, "images": None, "name": "two"}
    return run(Task(Kind.ERF, payload, dict[str, Path](), "cpu", lambda stage, share: None))


def taken(outputs: Outputs, folder: Path) -> Harvest:
    """What the worker has of an answer, as children send it."""
    harvest = Harvest(Settings(), BlobStore(folder))
    try:
        for header, body in child.parts(outputs):
            harvest.take(Frame(header, bytes(body)))
        harvest.take(Frame({"type": "done", "parts": [], "whole": False}))
    except FrameError:
        harvest.__exit__()
        raise
    return harvest


def test_an_honest_answer_is_taken(honest: Outputs, tmp_path: Path) -> None:
    assert set(honest.arrays) == {"map", "layers"}
    with taken(honest, tmp_path) as harvest:
        verdicts.check_result(Kind.ERF, harvest)
        assert {name: check.shape for name, check in harvest.checks.items()} == {"map": (9, 11), "layers": (2, 9, 11)}


LIES: dict[str, Callable[[Arrays], Arrays]] = {
    "a map of another shape": lambda arrays: {**arrays, "map": arrays["map"].T},
    "a map of whole numbers": lambda arrays: {**arrays, "map": arrays["map"].astype(np.int64)},
    "a layer too many": lambda arrays: {**arrays, "layers": np.concatenate([arrays["layers"]] * 2)},
    "no map": lambda arrays: {"layers": arrays["layers"]},
    "a map that nobody asked for": lambda arrays: {**arrays, "units": arrays["layers"]},
    "an image where none was sent": lambda arrays: {**arrays, "image": np.zeros((9, 11, 3), np.uint8)},
    "a map of bytes": lambda arrays: {**arrays, "map": arrays["map"].astype(np.uint8)},
}


@pytest.mark.parametrize("name", LIES)
def test_arrays_of_another_result_are_refused(honest: Outputs, tmp_path: Path, name: str) -> None:
    with (
        taken(Outputs(honest.result, arrays=LIES[name](honest.arrays)), tmp_path) as harvest,
        pytest.raises(ValueError, match="array"),
    ):
        verdicts.check_result(Kind.ERF, harvest)


def test_a_number_that_is_not_finite_ends_the_stream(honest: Outputs, tmp_path: Path) -> None:
    spoiled = honest.arrays["map"].copy()
    spoiled[-1, -1] = np.inf
    with pytest.raises(FrameError, match="not finite"):
        taken(Outputs(honest.result, arrays={**honest.arrays, "map": spoiled}), tmp_path)


@pytest.mark.parametrize("number", ["Infinity", "NaN", "1e999", "1" + "0" * 400])
def test_a_number_in_the_result_that_is_not_finite_is_refused(honest: Outputs, tmp_path: Path, number: str) -> None:
    fields = json.loads(honest.result)
    fields["scale_log2"] = "HERE"
    text = json.dumps(fields).replace('"HERE"', number).encode()
    with (
        taken(Outputs(text, arrays=honest.arrays), tmp_path) as harvest,
        pytest.raises(ValueError, match=r"number|JSON"),
    ):
        verdicts.check_result(Kind.ERF, harvest)


def test_a_shard_has_its_three_flat_arrays(tmp_path: Path) -> None:
    good: dict[str, np.ndarray[Any, Any]] = {
        "sums": np.zeros(4),
        "counts": np.zeros(3, np.int64),
        "plan": np.zeros(9, np.int64),
    }
    with taken(Outputs(b"", arrays=good), tmp_path) as harvest:
        compare_part(harvest.checks)
    for change in ({"sums": np.zeros(4, np.float32)}, {"plan": np.zeros((3, 3), np.int64)}, {"more": np.zeros(1)}):
        with (
            taken(Outputs(b"", arrays={**good, **change}), tmp_path) as harvest,
            pytest.raises(ValueError, match="shard"),
        ):
            compare_part(harvest.checks)
