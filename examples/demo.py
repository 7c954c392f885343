"""The whole way on one machine: start `erfscope up`, measure two kinds of network through it, stop it again.

python examples/demo.py [FOLDER]     pictures go to FOLDER, by default ./demo
"""

import math
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from erfscope import Client, ErfscopeError, JobHandle, Result

GRACE = 30.0  # seconds that `erfscope up` may take to stop
STOPS = (signal.SIGTERM, signal.SIGHUP)

# The columns of the table: flat name → heading and unit.
COLUMNS = {
    "trf_size": ("TRF", "px"),
    "erf_size": ("ERF", "px"),
    "erf_ratio": ("ERF / TRF", ""),
    "mass_50_side": ("50 % box", "px"),
    "r2": ("Gaussian R²", ""),
}
LEGEND = """\
TRF       side of the box of pixels that can reach the unit at all; exact
ERF       side of a square of as many pixels as are over 4.55 % of the centre
50 % box  side of the box around the unit that holds half of the gradient
R²        how well a Gaussian fits the map; 1 is perfect
±         one standard error over the samples"""


def resnet50() -> Path:
    """The ResNet-50 graph that the onnx package ships for its own tests."""
    spec = find_spec("onnx")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the demo needs the package onnx: pip install 'erfscope[local]'")
    return Path(spec.submodule_search_locations[0], "backend/test/data/light/light_resnet50.onnx")


@dataclass(frozen=True)
class Case:
    """One measurement: what it is called, the file name of its picture, and what is asked."""

    title: str
    file: str
    model: str | Path
    fields: Mapping[str, Any]


# That graph is published without its weights (they are constants), so they are drawn.
DRAWN = {"weights": "kaiming_normal", "inputs": 16}
CASES = (
    Case("ResNet-50 r78", "resnet50-r78", resnet50(), {"layer": "r78", **DRAWN}),
    # 512 pixels hold the whole TRF of 427; the graph's own 224 do not.
    Case("ResNet-50 last", "resnet50-last", resnet50(), {"layer": "auto", "input_shape": (3, 512, 512), **DRAWN}),
    Case("plain-20-relu", "plain-20-relu", "preset:plain-20-relu", {"inputs": 64}),
    Case("dilated.json", "dilated", Path(__file__).with_name("dilated.json"), {"inputs": 64}),
)


def main(folder: Path) -> None:
    """Start, measure, show, stop."""
    console = Console()
    begun = time.monotonic()
    with TemporaryDirectory(prefix="erfscope-demo-") as data_dir:
        try:
            results, pictures = through_service(Path(data_dir), folder, console)
        except ErfscopeError:
            logs = shutil.copytree(Path(data_dir, "logs"), folder / "logs", dirs_exist_ok=True)
            console.print(f"\nThe logs of the parts: {logs}", highlight=False, soft_wrap=True)
            raise
    show(console, results)
    console.print("\nPictures:")
    for picture in pictures:
        console.print(f"  {picture}", highlight=False, soft_wrap=True)
    console.print(f"\nEverything is stopped again. The demo took {time.monotonic() - begun:.0f} s.", highlight=False)


def through_service(data_dir: Path, folder: Path, console: Console) -> tuple[list[Result], list[Path]]:
    """The measurements, and the pictures written; the service is gone afterwards."""
    with service(data_dir, console) as url, Client(url) as client:
        console.print(f"erfscope runs at {url}; measuring the centre unit of {len(CASES)} layers.\n")
        results = measure(client, console)
        pictures = [result.save(folder / f"{case.file}.png") for case, result in zip(CASES, results, strict=True)]
        return results, pictures


@contextmanager
def service(data_dir: Path, console: Console) -> Iterator[str]:
    """The address of an `erfscope up` that lives as long as the block."""
    command = [sys.executable, "-m", "erfscope", "up", "--port", "0", "--data-dir", str(data_dir)]
    # A session of its own: a Ctrl-C here reaches it once, through us, and it stops its parts in order.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        with console.status("starting the store, a worker and the service …"):
            url = address(process)
        yield url
    finally:
        stop(process)


def address(process: "subprocess.Popen[str]") -> str:
    """Read it from what `up` prints once it is ready; `up` itself gives up when that takes too long."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"ready at (http://\S+)", line):
            return found[1]
    sys.exit(process.wait() or 1)  # it has said why on stderr


def stop(process: "subprocess.Popen[str]") -> None:
    """As Ctrl-C in its terminal would; a second signal means at once."""
    for _ in range(2):
        process.terminate()
        try:
            process.wait(GRACE)
            break
        except subprocess.TimeoutExpired:
            continue
    else:
        process.kill()  # its parts die with it
        process.wait()


def measure(client: Client, console: Console) -> list[Result]:
    """Submit everything, then follow each job to its end."""
    jobs = [client.submit(case.model, **case.fields) for case in CASES]
    columns = (
        TextColumn("{task.fields[title]:<14}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %  [dim]{task.description}"),
    )
    with Progress(*columns, console=console) as bars:
        tasks = [bars.add_task("queued", total=1.0, title=case.title) for case in CASES]
        for task, job in zip(tasks, jobs, strict=True):
            follow(bars, task, job)
        return [job.result() for job in jobs]


def follow(bars: Progress, task: TaskID, job: JobHandle) -> None:
    """Draw a job's progress until it has ended."""
    for now in job.events():
        words = now.stage or str(now.status)
        if now.status.is_terminal:
            words = str(now.status)
            if now.timing.seconds is not None:
                words += f" in {now.timing.seconds:.1f} s"
        bars.update(task, description=words, completed=now.progress)


def show(console: Console, results: Sequence[Result]) -> None:
    """The metrics, each with its standard error."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("network", no_wrap=True)
    for words in COLUMNS.values():
        table.add_column("\n".join(words), justify="right", no_wrap=True)
    for case, result in zip(CASES, results, strict=True):
        cells = [with_error(result.metrics[name], result.stderr.get(name)) for name in COLUMNS]
        table.add_row(case.title, *cells)
    console.print()
    console.print(table)
    console.print(f"\n{LEGEND}", style="dim", highlight=False)
    console.print("\nResNet-50: the graph is published without trained weights; they are drawn here.")
    for case, result in zip(CASES, results, strict=True):
        for note in remarks(result):
            console.print(f"{case.title}: {note}", highlight=False)


def remarks(result: Result) -> Iterator[str]:
    """What a reader of the row must know."""
    if result.data.trf.clipped:
        size = "×".join(map(str, result.data.input_shape[1:]))
        yield f"the TRF is larger than the {size} input; the ERF is cut off there."
    yield from result.data.provenance.notes


def with_error(value: float | None, error: float | None) -> str:
    """`205 ± 2`, `64.5 ± 1.5`: the error with one digit (two where the first is 1), the value as precisely."""
    if value is None:
        return "–"
    if not error:
        return f"{value:g}"
    exponent = math.floor(math.log10(error))
    digits = max(0, (1 if error < 2 * 10**exponent else 0) - exponent)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def interrupted(number: int, frame: object) -> NoReturn:
    """SIGTERM and SIGHUP end the demo the way Ctrl-C does: through every `finally`."""
    sys.exit(128 + number)


if __name__ == "__main__":
    for number in STOPS:
        signal.signal(number, interrupted)
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
    except KeyboardInterrupt:
        sys.exit(130)
    except ErfscopeError as error:
        sys.exit(f"the demo failed: {error}")
