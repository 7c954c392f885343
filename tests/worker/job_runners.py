"""Programmable runners for fault tests: a job's payload says what its child does. Imported by zygotes."""

import ctypes
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from erfscope_contract.problem import ProblemError
from erfscope_worker import frames
from erfscope_worker.child import CHANNEL
from erfscope_worker.task import Outputs, Task, data_roles

RESULT: dict[str, Any] = {
    "name": "test",
    "inputs": [],
    "input": "x",
    "input_shape": [1, 4, 4],
    "outputs": [],
    "operators": {},
    "layers": [],
}


def outputs(**more: object) -> Outputs:
    """A valid answer (to an inspection) with what the test wants to know in its notes."""
    result = RESULT | {"notes": [json.dumps(more)]}
    return Outputs(json.dumps(result).encode(), b"\x89PNG test", {"map": np.arange(16.0).reshape(4, 4)})


def succeed(task: Task) -> Outputs:
    return outputs(pid=os.getpid(), folder=os.getcwd(), environment=dict(os.environ))


def read_file(task: Task) -> Outputs:
    return outputs(text=task.files["model"].read_text())


def read_parts(task: Task) -> Outputs:
    """What the child finds of a model with files beside it, and what of other files in the same store."""
    roles = data_roles(task.payload)
    found = {name: task.files[role].read_text() for name, role in roles.items()}
    seen = [str(place) for place in task.files.values()]
    opened = []
    for name, act in {
        "another blob": lambda: Path(task.payload["other"]).read_text(),
        "the store": lambda: os.listdir(Path(task.payload["other"]).parents[1]),
        "a folder of it": lambda: os.listdir(Path(task.payload["other"]).parent),
    }.items():
        try:
            act()
            opened.append(name)
        except OSError:
            continue
    return outputs(model=task.files["model"].read_text(), data=found, places=seen, opened=opened)


def sleep(task: Task) -> Outputs:
    """Tell who we are through the stage, then wait."""
    task.report(f"pid:{os.getpid()}", 0.25)
    time.sleep(float(task.payload.get("seconds", 3600)))
    return outputs()


def slow_progress(task: Task) -> Outputs:
    for step in range(10):
        task.report("load" if step < 5 else "measure", step / 10)
        time.sleep(0.15)
    return outputs()


def crash(task: Task) -> Outputs:
    ctypes.string_at(0)
    raise AssertionError("not reached")


def problem(task: Task) -> Outputs:
    raise ProblemError("invalid-target", "There is no layer 'x'.", layer="x")


def stumble(task: Task) -> Outputs:
    raise KeyError("a fault of ours\r\nwith a second line")


def eat_memory(task: Task) -> Outputs:
    hoard = [np.ones(1 << 20) for _ in range(4096)]
    return outputs(size=len(hoard))


def burn(task: Task) -> Outputs:
    while True:
        pass


def babble(task: Task) -> Outputs:
    os.write(CHANNEL, b"\xff" * 64)
    time.sleep(3600)
    raise AssertionError("not reached")


def flood(task: Task) -> Outputs:
    for _ in range(64):
        frames.send(CHANNEL, {"type": "part", "name": "result"}, bytes(frames.MOST_BODY))
    raise AssertionError("not reached")


def invent(task: Task) -> Outputs:
    """A problem that is no row of the table: it would be an answer's status, and a counter of its own."""
    problem = {"type": "/problems/invented", "title": "?", "status": 200, "detail": "?"}
    frames.send(CHANNEL, {"type": "problem", "problem": problem})
    time.sleep(3600)
    raise AssertionError("not reached")


def wrong_shape(task: Task) -> Outputs:
    return Outputs(b'{"nonsense": 1}')


def large(task: Task) -> Outputs:
    array = np.arange(3_000_000, dtype=np.float32).reshape(3, 1000, 1000)
    return Outputs(json.dumps(RESULT).encode(), b"", {"map": array, "layer.1": array[0]})


def too_much(task: Task) -> Outputs:
    return Outputs(json.dumps(RESULT).encode(), b"", {"map": np.zeros(3 << 20)})  # 24 MiB


RING = ctypes.create_string_buffer(256)  # io_uring_setup writes its parameters here


def try_doors(task: Task) -> Outputs:
    """Everything that a jail forbids; the names of the doors that were open."""
    canary, port = task.payload["canary"], int(task.payload["port"])
    doors: dict[str, Callable[[], object]] = {
        "read": lambda: Path(canary).read_text(),
        "list": lambda: os.listdir(Path(canary).parent),
        "write": lambda: Path(canary).with_suffix(".new").write_text("x"),
        "write code": lambda: written(Path(__file__).with_suffix(".new")),
        "passwd": lambda: Path("/etc/passwd").read_text(),
        "parent's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=1),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "exec": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": lambda: os.fork() or os._exit(0),
        "kill": lambda: os.kill(os.getppid(), 0),
        "new session": os.setsid,
        "raise limits": raise_limits,
        "canary by /proc": lambda: Path(f"/proc/self/root{canary}").read_text(),
        "canary by a symbolic link": lambda: linked(canary, os.symlink),
        "canary by a hard link": lambda: linked(canary, os.link),
        "listen": lambda: socket.create_server(("127.0.0.1", 0)),
        "datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
        "parent's memory": lambda: os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY),
        "read another's memory": lambda: checked("process_vm_readv", os.getppid(), 0, 0, 0, 0, 0),
        "program from memory": lambda: os.execve(os.memfd_create("program"), ["program"], {}),
        "io_uring": lambda: checked("syscall", 425, 8, ctypes.addressof(RING)),
        "mount": lambda: checked("mount", 0, 0, 0, 0, 0),
        "ptrace": lambda: checked("ptrace", 0x4206, os.getppid(), 0, 0),  # SEIZE: does not stop it
        "unshare": lambda: checked("unshare", 0x10000000),
        "chroot": lambda: os.chroot("."),  # last: without a jail nothing is found afterwards
    }
    opened = []
    for name, door in doors.items():
        try:
            door()
        except (OSError, ValueError):
            continue
        opened.append(name)
    Path("scratch").write_text("the child's own folder may be written")
    return outputs(opened=opened, own=Path("scratch").read_text())


def written(place: Path) -> None:
    """Write where nothing may stay."""
    place.write_text("x")
    place.unlink()


def linked(canary: str, link: Callable[[str, str], None]) -> str:
    """Read a file through a name of our own."""
    link(canary, "way-in")
    try:
        return Path("way-in").read_text()
    finally:
        os.unlink("way-in")


def raise_limits() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))


def checked(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*(ctypes.c_long(argument) for argument in arguments)) < 0:
        raise OSError(ctypes.get_errno(), name)


def abort(task: Task) -> Outputs:
    os.abort()


ACTS: dict[str, Callable[[Task], Outputs]] = {
    act.__name__: act
    for act in (
        succeed,
        read_file,
        read_parts,
        sleep,
        slow_progress,
        crash,
        problem,
        stumble,
        eat_memory,
        burn,
        babble,
        flood,
        invent,
        wrong_shape,
        large,
        too_much,
        try_doors,
        abort,
    )
}


def run(task: Task) -> Outputs:
    """The runner of these tests."""
    return ACTS[task.payload["do"]](task)
