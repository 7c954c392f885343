"""A long search for ONNX files that break something: `python -m tests.fuzz.search --minutes 30`.

Each input goes through scan, parse, audit, converters and one run, in a process of its own with bounded memory; an
input that ends it by a signal, takes too long, or raises anything but a verdict is written to --keep as NUMBER.onnx.
"""

import argparse
import contextlib
import multiprocessing
import resource
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import torch
from onnx import ModelProto
from tests.fuzz.messages import mutated
from tests.fuzz.targets import onnx_bytes
from tests.fuzz.test_fuzz import MODELS
from tests.house.hostile_onnx import FILES

SECONDS = 90.0  # of wall time, for one input, on a machine that does other things too; CPU time is bounded in targets
MEMORY = 2 << 30  # bytes of address space that a process of this search may map beyond what torch has at its start
LARGEST = 20_000  # bytes of a hostile file that is worth changing further
MODES = 1, 2, 4, 8


def seeds() -> list[ModelProto]:
    """What is changed: small good models, and the hostile ones that parse."""
    found = list(MODELS)
    for hostile in FILES.values():
        content = hostile.content()
        if len(content) < LARGEST:
            with contextlib.suppress(Exception):  # many are no protobuf, which is their point
                found.append(ModelProto.FromString(content))
    return found


def serve(pipe: Connection) -> None:
    """In the child: try each input that comes, and answer with what it raised ("" for a verdict or an answer)."""
    torch.set_num_threads(1)
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        while True:
            try:
                onnx_bytes(pipe.recv_bytes(), Path(folder))
                pipe.send("")
            except EOFError:
                return
            except BaseException:
                pipe.send(traceback.format_exc())


class Child:
    """A process that tries inputs, replaced when one ends it."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Fork a new one."""
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=serve, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def attempt(self, data: bytes) -> str:
        """What went wrong with an input, in words; nothing if nothing did."""
        self.pipe.send_bytes(data)
        if not self.pipe.poll(SECONDS):
            self.replace()
            return f"took more than {SECONDS:g} s"
        try:
            return str(self.pipe.recv())
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode
            self.replace()
            return f"ended the process with status {code}"

    def replace(self) -> None:
        """End this one and start another."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self.start()


def search(seconds: float, seed: int, keep: Path) -> Counter[str]:
    """Try inputs until the time is over; how many, how many broke something, and in how many places.

    Of inputs that break the same place only the first is kept and printed.
    """
    random, models, child, counted = Random(seed), seeds(), Child(), Counter(inputs=0, broken=0, places=0)
    known: set[str] = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(random.choice(models), random, random.choice(MODES))
        counted["inputs"] += 1
        if words := child.attempt(data):
            counted["broken"] += 1
            if (where := place_of(words)) in known:
                continue
            known.add(where)
            counted["places"] += 1
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{counted['inputs']}.onnx").write_bytes(data)
            print(f"--- input {counted['inputs']} of seed {seed}\n{words}", flush=True)
    child.process.kill()
    return counted


def place_of(words: str) -> str:
    """The innermost line of code that a traceback names; other words as they are."""
    lines = [line for line in words.splitlines() if line.startswith('  File "')]
    return lines[-1] if lines else words


def main() -> int:
    """1 if an input broke something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to search (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random changes (default 0)")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for what broke something")
    options = parser.parse_args()
    counted = search(options.minutes * 60, options.seed, options.keep)
    print(f"{counted['inputs']} inputs, {counted['broken']} broke something, in {counted['places']} places")
    return int(counted["broken"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
