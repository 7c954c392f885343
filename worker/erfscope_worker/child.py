"""One job in one process: into the jail, run, send the answer, exit. Never returns to what started it."""

import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from erfscope_contract.problem import ProblemError
from erfscope_jobs.records import Kind
from erfscope_worker import environment, frames, jail, limits, strict
from erfscope_worker.task import Orders, Outputs, Report, Runner, Sharding, Task

CHANNEL = 3  # descriptor of the socket to the worker
DONE, BROKEN = 0, 70
PROGRESS_SECONDS = 0.1
TRACEBACK_CHARACTERS = 20_000
MEMORY_WORDS = ("allocate memory", "not enough memory", "out of memory", "bad_alloc", "bad allocation")


def main(parent: int) -> NoReturn:
    """The whole life of a child."""
    jail.follow(parent)
    os.setsid()
    silence()
    frame = frames.receive(CHANNEL, frames.MOST_ORDERS)
    if frame is None:
        os._exit(BROKEN)
    orders = understood(frame.header["orders"])
    try:
        for header, body in answer(orders):
            frames.send(CHANNEL, header, body)
    except BrokenPipeError:
        os._exit(BROKEN)
    os._exit(DONE)


def understood(orders: dict[str, Any]) -> Orders:
    """Orders as they came over the channel."""
    sharding = orders.pop("sharding")
    part = tuple(sharding["part"]) if sharding["part"] else None
    return Orders(**orders, sharding=Sharding(**{**sharding, "part": part}))


def silence() -> None:
    """What a model makes a library print is not for our logs."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if null > CHANNEL:
        os.close(null)


Message = tuple[dict[str, Any], bytes | memoryview]


def answer(orders: Orders) -> Iterator[Message]:
    """The messages that end a job."""
    try:
        outputs = run(orders)
        yield from parts(outputs)
        yield {"type": "done", "parts": outputs.parts, "whole": outputs.whole}, b""
    except ProblemError as error:
        yield {"type": "problem", "problem": strict.clipped_problem(error.problem).model_dump(mode="json")}, b""
    except Exception as error:
        yield explain(error, orders), b""


def run(orders: Orders) -> Outputs:
    """Shut the jail, then run; nothing of the model has been read before."""
    imprison(orders)
    environment.configure(orders.threads)
    files = {role: Path(place) for role, place in orders.files.items()}
    return load(orders.runner)(
        Task(Kind(orders.kind), orders.payload, files, orders.device, reporter(), orders.sharding)
    )


def load(runner: str) -> Runner:
    """Import a runner, and with it all that it needs; no byte of a model is near."""
    module, _, name = runner.partition(":")
    found: Runner = getattr(importlib.import_module(module), name)
    return found


def warm(runner: str) -> None:
    """Import a runner and, where its module has `warm`, let it prepare what children inherit."""
    load(runner)
    prepare: Callable[[], None] | None = getattr(importlib.import_module(runner.partition(":")[0]), "warm", None)
    if prepare is not None:
        prepare()


def imprison(orders: Orders) -> None:
    """Everything that binds this process; limits first, for they read /proc, which the jail shuts."""
    os.chdir(orders.folder)
    os.environ.update(HOME=orders.folder, TMPDIR=orders.folder)
    files = [Path(place) for place in orders.files.values()]
    mapped = sum(path.stat().st_size for path in files if path.is_file())
    address = limits.reserve(max(orders.threads, 1), mapped) if orders.device == "cpu" else None
    if orders.sandbox:
        limits.limit_threads(orders.threads)
    limits.limit(orders.memory_bytes, orders.seconds * max(orders.threads, 1), orders.file_bytes, address)
    if orders.sandbox:
        jail.enter(Path(orders.folder), files, orders.device)


def reporter() -> Report:
    """Progress to the worker: each new stage at once, else ten times a second at most."""
    told: dict[str, Any] = {"stage": None, "at": 0.0}

    def report(stage: str, share: float) -> None:
        now = time.monotonic()
        if stage != told["stage"] or now - told["at"] >= PROGRESS_SECONDS:
            told.update(stage=stage, at=now)
            frames.send(CHANNEL, {"type": "progress", "stage": stage, "share": float(share)})

    return report


def parts(outputs: Outputs) -> Iterator[Message]:
    """JSON, picture and arrays, in pieces that a frame may hold."""
    yield from pieces("result", outputs.result)
    yield from pieces("figure", outputs.figure)
    for name, array in outputs.arrays.items():
        whole = np.ascontiguousarray(array)
        yield from pieces(f"array:{name}", npy_header(whole))
        yield from pieces(f"array:{name}", whole.reshape(-1).view(np.uint8).data)


def npy_header(array: np.ndarray[Any, Any]) -> bytes:
    """What comes before the data in an .npy file."""
    buffer = BytesIO()
    np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(array))
    return buffer.getvalue()


def pieces(name: str, data: bytes | memoryview) -> Iterator[Message]:
    """One part as frames."""
    view = memoryview(data)
    for start in range(0, len(view), frames.MOST_BODY):
        yield {"type": "part", "name": name}, view[start : start + frames.MOST_BODY]


def explain(error: Exception, orders: Orders) -> dict[str, Any]:
    """An exception that is no problem of the table: out of memory, or a fault of ours (for the log)."""
    if is_out_of_memory(error):
        limit = orders.memory_bytes
        problem = ProblemError(
            "resource-limit",
            f"The job needed more than its {limit >> 20} MiB; try a smaller input or an earlier layer.",
            memory_bytes=limit,
        ).problem
        return {"type": "problem", "problem": problem.model_dump(mode="json")}
    return {"type": "error", "text": "".join(traceback.format_exception(error))[-TRACEBACK_CHARACTERS:]}


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out somewhere below; torch says so in words."""
    while error is not None:
        words = str(error).lower()
        if isinstance(error, MemoryError) or any(word in words for word in MEMORY_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    jail.follow(int(sys.argv[1]))
    load(sys.argv[2])
    main(int(sys.argv[1]))
