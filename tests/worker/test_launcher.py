"""The zygote alone, without Redis: children begin, speak, end and are killed, forked or as fresh interpreters."""

import contextlib
import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from erfscope_jobs.records import Kind
from erfscope_jobs.settings import Settings
from erfscope_worker import frames, jail
from erfscope_worker.frames import Frame, Reader
from erfscope_worker.launcher import Child, Launcher
from erfscope_worker.task import FORK, SPAWN, Orders

HERE = Path(__file__).parent


@pytest.fixture(scope="module", params=[FORK, SPAWN])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """A zygote of either kind; the test runners stand in for torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE))
        patch.setenv("ERFSCOPE_REDIS_URL", "redis://:secret@host")
        launcher = Launcher(Settings(runner="job_runners:run", device="cpu", threads=1))
        launcher.mode = request.param
        launcher.start()
        yield launcher
        launcher.close()


@pytest.fixture
def launch(launcher: Launcher) -> Iterator[Callable[[], Child]]:
    """Launches children and closes them at the end."""
    with contextlib.ExitStack() as stack:

        def launch() -> Child:
            child = launcher.launch()
            stack.callback(child.close)
            return child

        yield launch


def orders(folder: Path, do: str, **payload: object) -> Orders:
    return Orders(
        kind=Kind.INSPECT,
        payload={"do": do, **payload},
        files={},
        folder=str(folder),
        runner="job_runners:run",
        device="cpu",
        threads=1,
        seconds=30,
        memory_bytes=1 << 29,
        file_bytes=1 << 20,
        sandbox=not jail.missing(),
    )


def said(child: Child) -> list[Frame]:
    """All that a child says until it ends."""
    reader, said = Reader(), []
    while data := child.channel.recv(1 << 16):
        said += list(reader.feed(data))
    return said


def told(child: Child) -> Frame:
    """The next word of the zygote."""
    frame = frames.receive(child.watch.fileno())
    assert frame is not None
    return frame


def test_child_answers_and_its_end_is_told(launch: Callable[[], Child], tmp_path: Path) -> None:
    child = launch()
    child.order(orders(tmp_path, "succeed"))
    parts: dict[str, bytes] = {}
    for frame in said(child):
        name = frame.header.get("name", frame.type)
        parts[name] = parts.get(name, b"") + frame.body
    note: Any = json.loads(json.loads(parts["result"])["notes"][0])
    assert told(child).header == {"type": "exited", "code": 0}
    assert note["pid"] == child.pid
    assert note["folder"] == str(tmp_path)
    assert not any("secret" in value for value in note["environment"].values())
    assert parts["array:map"].startswith(b"\x93NUMPY")


def test_child_leads_its_own_session(launch: Callable[[], Child]) -> None:
    child = launch()
    pid = child.pid
    while os.getsid(pid) != pid:
        assert Path(f"/proc/{pid}").exists()
    child.kill()
    assert told(child).header["code"] == -signal.SIGKILL


def test_unwatched_child_is_killed(launch: Callable[[], Child]) -> None:
    child = launch()
    pid = child.pid
    pidfd = os.pidfd_open(pid)
    child.close()
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


def test_several_children_at_once_end_each_for_itself(launch: Callable[[], Child], tmp_path: Path) -> None:
    children = [launch() for _ in range(3)]
    pids = [child.pid for child in children]
    children[1].kill()
    assert told(children[1]).header["code"] == -signal.SIGKILL
    for child in (children[0], children[2]):
        child.order(orders(tmp_path, "succeed"))
        assert said(child)[-1].type == "done"
        assert told(child).header["code"] == 0
    assert len(set(pids)) == 3


def test_dead_zygote_is_replaced(launcher: Launcher, launch: Callable[[], Child], tmp_path: Path) -> None:
    launcher.replace()
    child = launch()
    child.order(orders(tmp_path, "succeed"))
    assert said(child)[-1].type == "done"


def test_memory_limit_is_a_problem_that_names_it(launch: Callable[[], Child], tmp_path: Path) -> None:
    child = launch()
    child.order(orders(tmp_path, "eat_memory"))
    problem = said(child)[-1].header["problem"]
    assert problem["type"] == "/problems/resource-limit"
    assert "512 MiB" in problem["detail"]


def test_fingerprint_names_torch_device_and_threads(launcher: Launcher) -> None:
    fingerprint = launcher.fingerprint
    assert fingerprint.torch[0].isdigit()
    assert fingerprint.device.startswith("cpu-")
    assert fingerprint.threads == 1
