"""The default runner as children run it: a spec in, a measured result, a picture and a map out."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import erfscope_engine
import erfscope_intake
import erfscope_worker
from erfscope_contract.problem import ProblemError
from erfscope_contract.result import ErfResult
from erfscope_jobs import stages
from erfscope_jobs.records import Kind
from erfscope_worker.runner import run
from erfscope_worker.task import Task

SPEC = {
    "name": "one",
    "input": {"channels": 2, "size": [9, 9]},
    "layers": [{"type": "conv", "name": "only", "out_channels": 2, "kernel_size": 3, "padding": "same"}],
}


def task(told: list[str], dtype: str = "float32", **request: object) -> Task:
    payload = {
        "request": {"model": {"architecture": SPEC}, "average": {"inputs": 2}, "dtype": dtype, **request},
        "model": None,
        "images": None,
        "name": "one",
    }
    return Task(Kind.ERF, payload, dict[str, Path](), "cpu", lambda stage, share: told.append(stage))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_measures_draws_and_keeps_the_map(dtype: str) -> None:
    told: list[str] = []
    outputs = run(task(told, dtype))
    result = ErfResult.model_validate_json(outputs.result)
    assert result.trf.size == [3, 3]
    assert (outputs.arrays["map"].dtype, outputs.arrays["map"].shape) == (np.dtype(dtype), (9, 9))
    assert outputs.arrays["map"].max() == 1.0
    assert Image.open(io.BytesIO(outputs.figure)).format == "PNG"
    assert told[0] == "load"
    assert told[-1] == "render"


def test_same_request_gives_the_same_bytes() -> None:
    first, second = run(task([])), run(task([]))
    assert (first.result, first.figure) == (second.result, second.figure)
    np.testing.assert_array_equal(first.arrays["map"], second.arrays["map"])


def test_what_is_wrong_with_the_request_is_a_problem() -> None:
    with pytest.raises(ProblemError) as caught:
        run(task([], target={"layer": "nowhere"}))
    assert caught.value.kind == "invalid-target"
    assert "nowhere" in json.dumps(caught.value.problem.model_dump())


def test_every_stage_that_is_reported_is_counted() -> None:
    """Only stages in the table have a histogram: a new one is a row there."""
    rooms = (Path(str(room.__file__)).parent for room in (erfscope_engine, erfscope_intake, erfscope_worker))
    source = "".join(file.read_text(encoding="utf-8") for room in rooms for file in room.rglob("*.py"))
    calls = re.findall(r'(?:progress|report)(?:\(f?"([a-z]+)[" ]|, "([a-z]+)"[,)])', source)
    reported = {first or second for first, second in calls}
    assert {"load", "measure", "search"} < reported
    assert reported <= set(stages.NAMES)


SHARDS = """
import resource
from pathlib import Path
from erfscope_worker.runner import sampling
from erfscope_worker.task import Sharding, Task

roles = [f"{n}.{name}" for n in range(8) for name in ("sums", "counts", "plan")]
task = Task("erf", {}, {role: Path(role) for role in roles}, "cpu", print, Sharding(merge=8))
resource.setrlimit(resource.RLIMIT_DATA, (128 << 20,) * 2)
print(sampling(task)[0])
"""


def test_what_shards_found_may_be_larger_than_the_memory_of_a_job(tmp_path: Path) -> None:
    for n in range(8):
        for name, dtype, size in (("sums", np.float64, 8 << 20), ("counts", np.int64, 9), ("plan", np.int64, 9)):
            np.lib.format.open_memmap(tmp_path / f"{n}.{name}", "w+", dtype, (size,)).flush()  # holes: no disk is used
    done = subprocess.run([sys.executable, "-c", SHARDS], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Merge" in done.stdout, done.stderr
