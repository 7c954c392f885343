"""Work in forked children: imports are paid once, and a crash or a hang of one piece of work is an outcome of it."""

import contextlib
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MEMORY = 12 << 30


@dataclass(frozen=True)
class Ending:
    """How a child ended: with a `value`, or with why there is none."""

    value: Any = None
    failure: str = ""  # CRASH, HANG or empty
    words: str = ""
    seconds: float = 0.0


def in_child(function: Callable[..., Any], *arguments: Any, limit: float, memory: int = MEMORY) -> Ending:
    """`function(*arguments)`, which must be good for JSON, in a child of `memory` bytes, killed after `limit` seconds.

    The caller may have imported torch but must not have run an operator of it: forked threads would hang.
    """
    start = time.monotonic()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _work(function, arguments, theirs, memory)
    os.close(theirs)
    data = _read(ours, start + limit)
    if data is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    seconds = round(time.monotonic() - start, 2)
    if data is None:
        return Ending(None, "HANG", f"over {limit:.0f} s", seconds)
    told = json.loads(data) if data else {"words": f"ended by {status}"}
    if "value" in told:
        return Ending(told["value"], seconds=seconds)
    return Ending(None, "CRASH", told["words"], seconds)


def _work(function: Callable[..., Any], arguments: tuple[Any, ...], out: int, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    try:
        told = {"value": function(*arguments)}
    except BaseException as error:  # the child has nobody else to tell
        told = {"words": " ".join(traceback.format_exception_only(error))[-400:]}
    with contextlib.suppress(BrokenPipeError), os.fdopen(out, "w") as pipe:
        json.dump(told, pipe)
    os._exit(0)


def _read(pipe: int, end: float) -> bytes | None:
    """All that comes until the other end closes; None where time runs out first."""
    with os.fdopen(pipe, "rb", buffering=0) as stream:
        data = b""
        while (left := end - time.monotonic()) > 0:
            if select.select([stream], [], [], left)[0]:
                piece = stream.read(1 << 16)
                if not piece:
                    return data
                data += piece
    return None
