"""The jail from inside: what a hostile model's code would find."""

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from erfscope_worker import bpf, calls, environment, jail, seccomp

linux_only = pytest.mark.skipif(bool(jail.missing()), reason="this kernel offers no jail")


@pytest.fixture
def port() -> Iterator[int]:
    """A listening port that a child must not reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that a child must not see."""
    path = tmp_path / "canary.txt"
    path.write_text("secret")
    return path


@linux_only
def test_every_door_is_shut(shop: Any, worker: Any, canary: Path, port: int) -> None:
    note = shop.note(shop.submit("try_doors", canary=str(canary), port=port))
    assert note["opened"] == []
    assert note["own"]
    assert not canary.with_suffix(".new").exists()


@linux_only
def test_the_doors_are_real(shop: Any, start_worker: Any, canary: Path, port: int) -> None:
    """Without the jail the same child goes through them: the test above can fail."""
    settings = shop.settings.model_copy(
        update={"namespace": "unjailed", "runner": "unjailed:run", "allow_unsandboxed": True}
    )
    other = type(shop)(settings)
    start_worker(namespace="unjailed", runner="unjailed:run", allow_unsandboxed=True)
    note = other.note(other.submit("try_doors", canary=str(canary), port=port))
    assert {"read", "list", "connect", "exec", "fork", "kill", "listen", "datagram"} <= set(note["opened"])
    assert {"canary by /proc", "canary by a symbolic link", "canary by a hard link"} <= set(note["opened"])
    other.close()


def in_child(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that it may ruin."""
    return subprocess.run(
        [sys.executable, "-c", code], env=environment.clean(1), capture_output=True, text=True, check=False, timeout=60
    )


def test_limits_hold_and_count_from_what_is_there() -> None:
    done = in_child(
        "import resource; from erfscope_worker import jail; jail.limit(64 << 20, 7, 1000)\n"
        "held = bytearray(32 << 20)\n"
        "print([resource.getrlimit(what) for what in "
        "(resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)])\n"
        "try: bytearray(128 << 20)\nexcept MemoryError: print('full')"
    )
    assert done.stdout.splitlines() == ["[(8, 9), (1000, 1000), (0, 0)]", "full"], done.stderr


@linux_only
def test_threads_may_start_but_processes_may_not(tmp_path: Path) -> None:
    done = in_child(
        "import os, threading; from pathlib import Path; from erfscope_worker import jail\n"
        f"jail.enter(Path({str(tmp_path)!r}), [], 'cpu')\n"
        "thread = threading.Thread(target=print, args=('thread',)); thread.start(); thread.join()\n"
        "try: os.fork()\nexcept PermissionError: print('no fork')"
    )
    assert done.stdout.splitlines() == ["thread", "no fork"], done.stderr


@linux_only
def test_torch_computes_in_jail_with_several_threads(tmp_path: Path) -> None:
    done = in_child(
        "import torch; from pathlib import Path; from erfscope_worker import jail\n"
        f"jail.enter(Path({str(tmp_path)!r}), [], 'cpu'); torch.set_num_threads(2)\n"
        "net = torch.nn.Conv2d(3, 8, 3); x = torch.ones(2, 3, 64, 64, requires_grad=True)\n"
        "net(x).sum().backward(); print(tuple(x.grad.shape))"
    )
    assert done.stdout.split() == ["(2,", "3,", "64,", "64)"], done.stderr


@linux_only
def test_jail_refuses_to_bind_only_one_of_several_threads(tmp_path: Path) -> None:
    done = in_child(
        "import threading; from pathlib import Path; from erfscope_worker import jail\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        f"jail.enter(Path({str(tmp_path)!r}), [], 'cpu')"
    )
    assert "there are others already" in done.stderr


def test_filter_jumps_stay_inside_for_every_machine() -> None:
    for machine in seccomp.MACHINES.values():
        code = seccomp.program(machine, os.getpid())
        instructions = list(bpf.INSTRUCTION.iter_unpack(code))
        for place, (operation, yes, no, _) in enumerate(instructions):
            if operation not in (bpf.LOAD, bpf.AND, bpf.RETURN):
                assert place + 1 + max(yes, no) < len(instructions)
        assert instructions[-1][0] == bpf.RETURN


def test_no_system_call_is_listed_twice() -> None:
    for column in (0, 1):
        rows = [*calls.ALLOWED.values(), *calls.CHECKED.values(), *calls.UNKNOWN.values()]
        numbers = [row[column] for row in rows if row[column] is not None]
        assert len(numbers) == len(set(numbers))


def test_limits_never_exceed_what_is_allowed_already() -> None:
    done = in_child(
        "import resource; from erfscope_worker import jail\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); jail.limit(1 << 30, 5, 5)\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert done.stdout.strip() == "(100, 100)", done.stderr
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 100
