"""Fixtures: one real `erfscope up` for all tests of the house, and a small ONNX model."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.orphans import tied

PATIENCE = 120.0  # seconds after which a test gives up on a machine under load
ROOT = Path(__file__).parents[2]


def wait_until(what: str, ready: Callable[[], Any], pause: float = 0.02, patience: float = PATIENCE) -> Any:
    """What `ready` answers, once that is something."""
    end = time.monotonic() + patience
    while not (found := ready()):
        assert time.monotonic() < end, f"waited too long for: {what}"
        time.sleep(pause)
    return found


def environment() -> dict[str, str]:
    """Ours, without settings of erfscope, and with the installed commands on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERFSCOPE_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "COLUMNS": "160", "ERFSCOPE_THREADS": "1"}


def processes() -> dict[int, int]:
    """Process → parent, of all that live."""
    found: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


class House:
    """`erfscope up` on a free port, with a data folder of its own and further variables of the environment."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir, self._variables = data_dir, variables
        self.start()

    def start(self) -> None:
        """Start it and wait for its address."""
        self.rests = False  # stopped on purpose, until a test wants it again
        command = [sys.executable, "-m", "erfscope", "up", "--port", "0", "--data-dir", str(self.data_dir)]
        self.process = subprocess.Popen(
            command,
            env=environment() | self._variables,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=tied(),  # noqa: PLW1509
        )
        assert self.process.stdout is not None
        address = re.search(r"ready at (http://\S+)", self.process.stdout.readline())
        assert address, f"`erfscope up` ended with {self.process.wait()}; its words are on stderr"
        self.url = address[1]

    def stop(self) -> int:
        """As Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    @property
    def redis_url(self) -> str:
        """Where its ledger is."""
        run_dir = json.loads((self.data_dir / "up.lock").read_text())["run_dir"]
        return f"unix://{run_dir}/valkey.sock?db=0"

    def family(self) -> set[int]:
        """It and all of its descendants."""
        tree, family = processes(), {self.process.pid}
        while grown := {pid for pid, parent in tree.items() if parent in family} - family:
            family |= grown
        return family

    def children(self) -> set[int]:
        """The processes that run a job now: what the zygote has forked."""
        tree = processes()
        alike = {pid for pid in self.family() if b"erfscope_worker.zygote" in command_of(pid)}  # a fork's is the same
        return {pid for pid, parent in tree.items() if parent in alike}


def command_of(pid: int) -> bytes:
    """The command line of a process; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def convolution(rng: np.random.Generator, name: str, channels: tuple[int, int], stride: int) -> tuple[Any, Any]:
    """A 3×3 convolution node and its weights."""
    weights = rng.standard_normal((channels[1], channels[0], 3, 3)).astype(np.float32) / 3
    options: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [stride] * 2}
    inputs = [{"first": "image", "second": "active"}[name], f"{name}.weight"]
    node = helper.make_node("Conv", inputs, [name], name=name, **options)
    return node, numpy_helper.from_array(weights, f"{name}.weight")


@pytest.fixture(scope="session")
def onnx_model() -> bytes:
    """conv 3×3 stride 2, ReLU, conv 3×3: TRF 3 + 2·2 = 7, on an input of 40 × 48."""
    rng = np.random.default_rng(5)
    first, first_weights = convolution(rng, "first", (3, 8), 2)
    second, second_weights = convolution(rng, "second", (8, 4), 1)
    graph = helper.make_graph(
        [first, helper.make_node("Relu", ["first"], ["active"], name="relu"), second],
        "two-convolutions",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 40, 48])],
        [helper.make_tensor_value_info("second", TensorProto.FLOAT, [1, 4, 20, 24])],
        [first_weights, second_weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
