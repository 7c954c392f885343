"""The analytic method against 100 Monte-Carlo runs over drawn weights, on plain-20: arithmetic, seconds, agreement.

`python -m benchmarks.analytic [preset …]`: a line per preset. A run draws all weights and one input anew, as the
article does. The arithmetic of the passes (forward and back on the cone) is counted by torch; the seconds are those of
whole requests, and so contain what both methods do: build, record, fit shapes to the map.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from erfscope_contract.presets import preset
from erfscope_contract.request import ErfRequest, InputOptions, Weights
from erfscope_contract.result import ErfResult
from erfscope_engine.moments.program import moment_program
from erfscope_engine.moments.state import Moments
from erfscope_engine.plan import center_place, plan_for, program_for
from erfscope_intake.answer import Sources, answer
from erfscope_intake.spec import build_network

RUNS = 100
FLOAT, CPU = torch.float32, torch.device("cpu")


class Cost(NamedTuple):
    """Seconds of a request, its result, and its map of mean squares as shares of their sum."""

    seconds: float
    result: ErfResult
    shares: NDArray[np.float64]


def cost(name: str, method: str) -> Cost:
    """Measure a preset, with random signs on the channels."""
    asked = {
        "model": {"architecture": preset(name)},
        "method": method,
        "target": {"channels": "random"},
        "average": {"weights": RUNS if method == "gradient" else 1, "inputs": 1, "statistic": "rms"},
    }
    started = time.perf_counter()
    found = answer(ErfRequest.model_validate(asked), Sources(), device="cpu")
    seconds = time.perf_counter() - started
    squares = found.map.astype(np.float64) ** 2
    return Cost(seconds, found.result, squares / squares.sum())


def gigaflops(name: str) -> tuple[float, float]:
    """Arithmetic of the analytic pass, and of one run by gradient."""
    options = InputOptions()
    network = build_network(preset(name), options, dtype=FLOAT, device=CPU, weights=Weights.GIVEN, seed=0)
    plan = plan_for(network, "auto", samples=1)
    cone = program_for(plan.traced, [center_place(plan.layer)])
    program = moment_program(plan.traced.geometry, cone.targets, FLOAT, drawn=True)
    x = torch.ones(1, *network.input_shape)
    with FlopCounterMode(display=False) as analytic, torch.no_grad():
        passed = program.run(Moments(None, x))
        passed.back(0, torch.ones([hi - lo for lo, hi in cone.targets[0][1]]))
    with FlopCounterMode(display=False) as gradient:
        run = cone.run(x)
        run.back(0, torch.ones_like(run.outputs[0]))
    return analytic.get_total_flops() / 1e9, gradient.get_total_flops() / 1e9


def main() -> None:
    """A table on standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["plain-20-linear", "plain-20-relu", "plain-20-tanh"])
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {RUNS} runs")
    rows = [_row(name) for name in options.presets]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def _row(name: str) -> dict[str, float | str | None]:
    cost(name, "analytic")  # loads libraries
    one, many = cost(name, "analytic"), cost(name, "gradient")
    single, each = gigaflops(name)
    apart = float(np.linalg.norm(one.shares - many.shares) / np.linalg.norm(many.shares))
    print(
        f"{name}: {RUNS * each / single:.0f}x less arithmetic ({single:.3f} against {RUNS * each:.2f} GFLOP), "
        f"{many.seconds / one.seconds:.0f}x less time ({one.seconds:.2f} against {many.seconds:.1f} s); "
        f"ERF {one.result.erf.size:.2f} against {many.result.erf.size:.2f} ± {many.result.stderr['erf_size']:.2f}, "
        f"maps {apart:.1%} apart (relative L2)"
    )
    return {
        "preset": name,
        "arithmetic_ratio": RUNS * each / single,
        "time_ratio": many.seconds / one.seconds,
        "erf_analytic": one.result.erf.size,
        "erf_gradient": many.result.erf.size,
        "erf_gradient_stderr": many.result.stderr["erf_size"],
        "maps_apart": apart,
    }


if __name__ == "__main__":
    main()
