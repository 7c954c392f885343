"""`erfscope up`: the whole stack from one command, used by the SDK and the command line, and gone afterwards."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.orphans import tied

from erfscope import AsyncClient, Client, Status, errors
from erfscope.cli import up_folder
from erfscope_worker.embedded import installation
from erfscope_worker.embedded.part import Part
from erfscope_worker.embedded.stack import Stack

# A runner that imports no torch, for a stack whose worker has nothing to measure: it starts at half the cost.
RUNNERS = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
STOPPING = "stopping; a job that runs has 5 s to end, a second signal ends it at once\n"
IDLE = {"ERFSCOPE_RUNNER": "job_runners:run", "PYTHONPATH": RUNNERS}
PATIENCE = 300.0  # seconds after which a test gives up on a machine under load
LONG: dict[str, Any] = {
    "name": "long",
    "input": {"channels": 3, "size": [128, 128]},
    "layers": [{"type": "repeat", "times": 20, "layers": [{"type": "conv", "out_channels": 32, "kernel_size": 3}]}],
}
SPEC: dict[str, Any] = {
    "name": "tiny",
    "input": {"channels": 1, "size": [24, 24]},
    "layers": [{"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": "same"}, {"type": "relu"}],
}


def until(what: str, ready: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := ready()):
        assert time.monotonic() < end, f"waited too long for: {what}"
        time.sleep(0.05)
    return found


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERFSCOPE_")}
    return {**kept, "COLUMNS": "200", "ERFSCOPE_THREADS": "1", **more}


def erfscope(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "erfscope", *words]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, **options)


def parents() -> dict[int, int]:
    """Process → parent, of all living processes."""
    found: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                found[int(folder.name)] = int(parent)
    return found


def descendants(root: int) -> set[int]:
    tree = parents()
    family = {root}
    while grown := {pid for pid, parent in tree.items() if parent in family} - family:
        family |= grown
    return family - {root}


class Up:
    """A running `erfscope up`."""

    def __init__(self, data_dir: Path, *words: str, **settings: str) -> None:
        self.data_dir = data_dir
        command = [sys.executable, "-m", "erfscope", "up", "--port", "0", "--data-dir", str(data_dir), *words]
        # A session of its own, as a terminal gives it: killpg is then the terminal's Ctrl-C.
        self.process = subprocess.Popen(
            command,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=tied(),  # noqa: PLW1509
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        address = re.search(r"ready at (http://\S+)", line)
        assert address, line + str(self.process.communicate())
        self.url = address[1]
        self.family = descendants(self.process.pid)

    def part(self, word: str) -> int:
        """The process whose command line has this word."""
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in self.family}
        (pid,) = (pid for pid, command in commands.items() if word.encode() in command)
        return pid

    def end(self) -> tuple[int, str]:
        """Exit status and stderr."""
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said

    def nothing_left(self) -> bool:
        return not (self.family & parents().keys())


@contextmanager
def up(data_dir: Path, *words: str, **settings: str) -> Iterator[Up]:
    running = Up(data_dir, *words, **settings)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            running.end()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One stack for the tests that do not break it, in a folder too deep for a socket."""
    with up(tmp_path_factory.mktemp("up") / ("deep" * 20) / ("folder" * 10)) as running:
        yield running
        os.killpg(running.process.pid, signal.SIGINT)  # Ctrl-C at its terminal
        assert running.end() == (0, STOPPING)
        assert running.nothing_left()


def test_a_job_from_submit_to_files(stack: Up, tmp_path: Path) -> None:
    with Client(stack.url) as client:
        assert client.health().workers == 1
        job = client.submit(SPEC, inputs=4, layer="relu_1")
        seen = [now.status for now in job.events()]
        assert seen[-1] is Status.SUCCEEDED
        result = job.result()
        assert result.data.trf.size == [3, 3]
        assert result.array().shape == (24, 24)
        assert result.array().max() == 1
        assert result.save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
        assert job.heatmap(scale="log", colormap="magma") != result.png()
        again = client.submit(SPEC, inputs=4, layer="relu_1")
        assert again.status is Status.SUCCEEDED
        assert again.job.cached
        assert {handle.id for handle in client.jobs(page_size=1)} >= {job.id, again.id}
        again.purge()
        with pytest.raises(errors.APIError, match="job") as caught:
            client.job(again.id)
        assert type(caught.value) is errors.NotFound


def test_the_same_from_async(stack: Up) -> None:
    async def go() -> tuple[np.ndarray[Any, Any], list[str]]:
        stages: list[str] = []
        async with AsyncClient(stack.url) as client:
            result = await client.run(SPEC, inputs=5, progress=lambda stage, share: stages.append(stage))
            return await result.array(), stages

    array, stages = asyncio.run(go())
    assert array.shape == (24, 24)
    assert stages


def test_a_torch_module_and_its_layers(stack: Up) -> None:
    import torch

    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3, stride=2))
    with Client(stack.url) as client:
        inspection = client.models.inspect(module, input_shape=(3, 32, 32), timeout=PATIENCE)
        assert [row.trf_size for row in inspection.layers] == [[3, 3], [3, 3], [5, 5]]
        result = client.run(module, input_shape=(3, 32, 32), layer=inspection.layers[0].name, inputs=2)
        assert result.data.trf.size == [3, 3]


def test_errors_of_the_real_service(stack: Up) -> None:
    with Client(stack.url) as client:
        with pytest.raises(errors.JobFailed) as failed:
            client.run(SPEC, layer="nope")
        assert failed.value.kind == "invalid-target"
        with pytest.raises(errors.JobFailed) as broken:
            client.run(b"this is not ONNX")
        assert broken.value.kind == "invalid-model"
        key = "one-key-for-two-questions"
        client.submit(SPEC, inputs=2, idempotency_key=key)
        with pytest.raises(errors.APIError) as mismatch:
            client.submit(SPEC, inputs=3, idempotency_key=key)
        assert type(mismatch.value) is errors.IdempotencyMismatch


def test_the_command_line_says_the_same_here_and_there(stack: Up, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    words = ("measure", "spec.json", "--json", "--inputs", "6")
    here = json.loads(erfscope(*words, cwd=tmp_path).stdout)
    there = json.loads(erfscope(*words, "--url", stack.url, cwd=tmp_path).stdout)
    for section in ("layer", "unit", "trf", "input_shape", "samples"):
        assert here[section] == there[section]
    assert here["erf"]["size"] == pytest.approx(there["erf"]["size"], rel=1e-5)
    listed = erfscope("jobs", "--url", stack.url)
    assert "tiny" in listed.stdout


def test_a_second_up_on_the_same_folder(stack: Up) -> None:
    done = erfscope("up", "--port", "0", "--data-dir", str(stack.data_dir))
    assert (done.returncode, done.stdout) == (3, "")
    assert f"already up at {stack.url}" in done.stderr


def test_a_busy_port(stack: Up, tmp_path: Path) -> None:
    port = stack.url.rpartition(":")[2]
    done = erfscope("up", "--port", port, "--data-dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert f"port {port}" in done.stderr


def test_serve_and_worker_join_a_redis(stack: Up) -> None:
    run_dir = json.loads((stack.data_dir / up_folder.LOCK).read_text())["run_dir"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = {"serve": ["--port", str(port)], "worker": []}
    env = {
        **environment(**IDLE),
        "ERFSCOPE_REDIS_URL": f"unix://{run_dir}/{up_folder.SOCKET}",
        "ERFSCOPE_DATA_DIR": str(stack.data_dir),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "erfscope", name, *more],
            env=env,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for name, more in words.items()
    ]
    try:
        with Client(f"http://127.0.0.1:{port}", retries=20) as client:
            until("a second worker", lambda: client.health().workers == 2)
    finally:
        for process in started:
            process.terminate()
    # uvicorn ends in order and then raises the signal again, so that its parent sees why.
    assert {process.wait(PATIENCE) for process in started} <= {0, -signal.SIGTERM}


def test_a_stopped_and_a_killed_up_leave_nothing_but_the_jobs(tmp_path: Path) -> None:
    def run_dir() -> Path:
        return Path(json.loads((tmp_path / up_folder.LOCK).read_text())["run_dir"])

    with up(tmp_path) as first, Client(first.url) as client:
        job = client.submit(SPEC, inputs=7)
        job.result()
        first.process.send_signal(signal.SIGTERM)
        assert first.end() == (0, STOPPING)
        assert first.nothing_left()
        assert not run_dir().exists()
    ended = [(tmp_path / "logs" / f"{name}.log").stat().st_mtime_ns for name in ("worker", "service")]
    assert ended == sorted(ended), "the service answers until the worker has ended"
    with up(tmp_path, **IDLE) as second, Client(second.url) as client:
        assert client.job(job.id).status is Status.SUCCEEDED
        second.process.kill()
        second.end()
        until("the parts to die", second.nothing_left)
    left = run_dir()
    with installation.occupy(tmp_path, "127.0.0.1", 0) as again:
        assert again.data_dir == tmp_path.resolve()
        assert not left.exists()


def test_a_store_that_dies_ends_it_all(tmp_path: Path) -> None:
    with up(tmp_path, **IDLE) as running:
        os.kill(running.part("valkey-server"), signal.SIGKILL)
        code, said = running.end()
        assert code == 3
        assert "the store ended with status -9" in said
        assert "Traceback" not in said
        until("the parts to die", running.nothing_left)


def test_a_killed_worker_and_a_killed_service_start_again_and_the_job_ends_well(tmp_path: Path) -> None:
    """`kill -9` needs no hand: `up` ends the dead worker's lease, which is endless here, and the new worker runs it."""
    with (
        up(tmp_path, ERFSCOPE_LEASE_SECONDS="3600") as running,
        Client(running.url, retries=20, timeout=PATIENCE) as client,
    ):
        job = client.submit(LONG, inputs=100_000, until={"relative_error": 1e-9, "at_most": 100_000})
        until("the job to be running", lambda: client.job(job.id).status is Status.RUNNING)
        first = running.part("-m\0erfscope_worker\0")
        os.kill(first, signal.SIGKILL)
        os.kill(running.part("-m\0erfscope_service\0"), signal.SIGKILL)
        until("the job to be running again", lambda: client.job(job.id).job.attempt == 2)
        quick = client.submit(SPEC, inputs=3)
        job.cancel()
        assert quick.result().data.trf.size == [3, 3]
        assert client.job(job.id).status is Status.CANCELED
        running.family = descendants(running.process.pid)
        assert first not in running.family
        running.process.send_signal(signal.SIGTERM)
        code, said = running.end()
    assert code == 0
    for part in ("worker", "service"):
        assert f"warning: the {part} ended with status -9 and is started again in 0.5 s" in said
    assert f"it had the job {job.id}, which runs again" in said
    assert running.nothing_left()


def test_ctrl_c_before_it_is_ready(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "erfscope", "up", "--port", "0", "--data-dir", str(tmp_path)]
    log = tmp_path / "logs" / "worker.log"
    with subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=tied(),  # noqa: PLW1509
    ) as process:
        until("the worker to be started", log.exists)
        family = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE)[0] == ""
    assert process.returncode == 130
    assert not (family & parents().keys())


@pytest.mark.parametrize(("host", "goes_on"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_no_jail_is_for_ones_own_models_only(tmp_path: Path, host: str, goes_on: bool) -> None:
    with installation.occupy(tmp_path, host, 0) as occupied:
        without, jailed = Stack(occupied, ["Landlock"]), Stack(occupied)
    assert ("ERFSCOPE_ALLOW_UNSANDBOXED" in without.environment(), without.unjailed) == (goes_on, goes_on)
    assert "ERFSCOPE_ALLOW_UNSANDBOXED" not in jailed.environment()


def test_a_part_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "valkey" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    done = erfscope("up", "--port", "0", "--data-dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "the store ended" in done.stderr
    assert "manifest" in done.stderr


def test_the_socket_path_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with installation.occupy(tmp_path / "data", "127.0.0.1", 0) as occupied:
        assert len(os.fsencode(occupied.socket)) <= installation.SOCKET_PATH_LIMIT
        assert occupied.socket.parent.stat().st_mode & 0o777 == 0o700
    assert list(deep.iterdir()) == []


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:")])
def test_the_address_is_one_to_click(tmp_path: Path, host: str, url: str) -> None:
    with installation.occupy(tmp_path, host, 0) as occupied:
        assert occupied.url == f"{url}{occupied.port}"
        assert occupied.port > 0


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    with pytest.raises(errors.APIError, match=r"192\.0\.2\.1"), installation.occupy(tmp_path, "192.0.2.1", 0):
        pass


def test_a_stubborn_part_and_its_child_are_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 1000 & echo ready; while :; do sleep 0.05; done"
    log = tmp_path / "part.log"
    part = Part.start("stubborn", ["sh", "-c", script], log=log, grace=0.2, orphaned=signal.SIGKILL)
    until("the part", lambda: "ready" in log.read_text())
    family = descendants(part.process.pid)
    part.stop()
    assert part.ended == -signal.SIGKILL
    until("its children to die", lambda: not (family & parents().keys()))


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    """While the part writes on: what comes next begins a short file."""
    log, next_line = tmp_path / "part.log", tmp_path / "next"
    script = f"echo one two three; while ! [ -e {next_line} ]; do sleep 0.05; done; echo four; echo five"
    part = Part.start("echo", ["sh", "-c", script], log=log, grace=5, orphaned=signal.SIGKILL)
    until("the first line", log.read_text)
    part.keep_log_short(10)
    assert log.read_bytes() == b""
    next_line.touch()
    part.process.wait()
    part.keep_log_short(10)
    part.stop()
    assert (log.read_bytes(), (tmp_path / "part.log.1").read_text()) == (b"four\nfive\n", "one two three\n")
