"""Every ONNX file below a folder through the real intake: verdict, error against onnxruntime, gradient, seconds.

Usage: python -m benchmarks.onnx_matrix DIR [--json FILE] [--timeout SECONDS]
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TOLERANCE = 1e-3


@dataclass
class Outcome:
    """One file."""

    file: str
    verdict: str  # measured, or the problem's kind
    detail: str = ""
    input_shape: tuple[int, ...] = ()
    batch: int | None = None
    marked: int = 0
    error: float | None = None
    reference: str = ""
    gradient: bool | None = None
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Measured, equal to onnxruntime where that could say, and differentiable."""
        return self.verdict == "measured" and (self.error is None or self.error < TOLERANCE) and bool(self.gradient)


def examine(path: Path) -> Outcome:
    """Load, run, compare and differentiate one file."""
    import torch

    from erfscope.contract.problem import ProblemError
    from erfscope.contract.request import InputOptions
    from erfscope_intake.onnx_model import open_onnx

    torch.set_num_threads(1)
    outcome = Outcome(path.name, "measured")
    try:
        opened = open_onnx(path, InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
        _run(path, opened, outcome)
    except ProblemError as problem:
        outcome.verdict, outcome.detail = problem.kind, problem.problem.detail
    return outcome


def _run(path: Path, opened: Any, outcome: Outcome) -> None:
    import torch

    network = opened.network
    outcome.input_shape, outcome.batch = network.input_shape, network.batch
    outcome.detail = " ".join(network.notes)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(network.batch or 1, *network.input_shape, generator=generator)
    whole = opened.measured.declared.element == 2
    x = (x * 255).abs().clamp(max=255).round() if whole else x
    x.requires_grad_()
    marked: list[tuple[str, Any]] = []
    outputs = network.run(x, lambda name, _operator, value: marked.append((name, value)))
    outcome.marked = len(marked)
    outcome.error, outcome.reference = _error(path, opened, x.detach(), outputs)
    outcome.gradient = any(_reaches(value, x) for _, value in marked[::-1][:50])


def _reaches(value: Any, x: Any) -> bool:
    import torch

    if not value.requires_grad:
        return False
    seed = torch.randn(value.shape, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad(value, x, seed, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.abs().sum() > 0)


def _error(path: Path, opened: Any, x: Any, outputs: dict[str, Any]) -> tuple[float | None, str]:
    """Largest relative L2 error over the graph's floating outputs, or why there is no reference."""
    import numpy as np
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        types = {one.name: one.type for one in session.get_inputs()}
        own = opened.measured.layout.to_model(x)
        feeds = {opened.network.input_name: own, **opened.others}
        wanted = [name for name in outputs if name in {one.name for one in session.get_outputs()}]
        values = session.run(wanted, {n: _as(v.numpy(), types[n]) for n, v in feeds.items() if n in types})
    except Exception as error:  # onnxruntime raises its own kinds, of no common base
        return None, str(error).split("\n", 1)[0][:200]
    worst = 0.0
    for name, value in zip(wanted, values, strict=True):
        ours = outputs[name]
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub" or not hasattr(ours, "detach"):
            continue
        theirs, mine = value.astype(np.float64), ours.detach().numpy().astype(np.float64)
        if theirs.shape != mine.shape:
            return float("inf"), f"{name}: shape {mine.shape}, expected {theirs.shape}"
        scale = np.linalg.norm(theirs) or 1.0
        worst = max(worst, float(np.linalg.norm(theirs - mine) / scale))
    return worst, "onnxruntime"


def _as(array: Any, kind: str) -> Any:
    import numpy as np

    kinds = {
        "tensor(float)": "float32",
        "tensor(float16)": "float16",
        "tensor(double)": "float64",
        "tensor(uint8)": "uint8",
    }
    return np.ascontiguousarray(array.astype(kinds.get(kind, array.dtype)))


def isolated(path: Path, root: Path, timeout: float) -> Outcome:
    """`examine` in a process of its own, so that a crash or a hang is an outcome too."""
    start = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.onnx_matrix", "--one", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        line = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
        outcome = Outcome(**json.loads(line)) if line else Outcome(path.name, "CRASH", done.stderr.strip()[-300:])
    except subprocess.TimeoutExpired:
        outcome = Outcome(path.name, "HANG", f"over {timeout:.0f} s")
    outcome.file = str(path.relative_to(root))
    outcome.seconds = round(time.monotonic() - start, 2)
    return outcome


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as text, totals last."""
    rows = [f"{'file':56} {'verdict':18} {'input':20} {'error':>9} {'grad':5} {'s':>6}  remark"]
    for one in outcomes:
        error = "" if one.error is None else f"{one.error:9.1e}"
        gradient = "" if one.gradient is None else ("yes" if one.gradient else "NO")
        shape = "×".join(map(str, one.input_shape))
        remark = one.detail or ("" if one.error is not None else one.reference)
        rows.append(
            f"{one.file[:56]:56} {one.verdict:18} {shape:20} {error:>9} {gradient:5} {one.seconds:6.1f}  {remark[:110]}"
        )
    verdicts = Counter(one.verdict for one in outcomes)
    rows.append("")
    rows.append(", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))
    rows.append(
        f"{sum(one.good for one in outcomes)} of {verdicts['measured']} measured within {TOLERANCE} and differentiable"
    )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(asdict(examine(given.one))))
        return
    if given.folder is None:
        parser.error("name a folder")
    files = sorted(given.folder.rglob("*.onnx"))
    outcomes = [isolated(path, given.folder, given.timeout) for path in files]
    print(table(outcomes))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1))


if __name__ == "__main__":
    main()
