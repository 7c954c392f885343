"""Draws of the weights per second: recorded anew for each, bound one by one, and many at once.

The article's averages: small nets, many draws of the weights, few inputs each. Rounds are interleaved, medians taken;
what a measurement pays once (the first recording, the metrics) is left out.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from erfscope_contract.presets import preset
from erfscope_contract.request import ErfRequest, InputOptions, Weights
from erfscope_engine.ensemble import Ensemble, ensemble_of
from erfscope_engine.gradient import Forward, Probe, executor_for, started
from erfscope_engine.network import Network
from erfscope_engine.plan import center_place, plan_for
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.sampling import Sampled, new_average, sample
from erfscope_engine.taking import geometry_of
from erfscope_intake.spec import build_network


class Row(NamedTuple):
    """A preset, and how it is averaged."""

    name: str
    inputs: int


ROWS = (
    Row("plain-5-relu", 1),
    Row("plain-20-relu", 1),
    Row("plain-20-relu", 5),
    Row("plain-40-relu", 1),
    Row("luo-skip", 1),
    Row("luo-sparse", 1),
    Row("cifar-resnet17", 1),
)


def network_of(name: str) -> Network:
    """A preset, its weights drawn."""
    return build_network(
        preset(name), InputOptions(), dtype=torch.float32, device=torch.device("cpu"), weights=Weights.GIVEN, seed=0
    )


def seconds(ensemble: Ensemble, unit: Sampled, request: ErfRequest) -> float:
    """Time to take the samples of `request`."""
    average = new_average(unit.start.probe, request, unit.geometry)
    begun = time.perf_counter()
    sample([replace(unit, average=average, ensemble=ensemble)], request, lambda share: None)
    return time.perf_counter() - begun


def measure_row(row: Row, draws: int, rounds: int) -> dict[str, float | str]:
    """Draws per second of the three ways."""
    request = ErfRequest.model_validate({"average": {"weights": draws, "inputs": row.inputs}})
    plan = plan_for(network_of(row.name), "auto", samples=row.inputs, draws=draws)
    traced, place = plan.traced, center_place(plan.layer)
    together, single = (ensemble_of(plan, draws, row.inputs, most) for most in (None, 1))
    forward = Forward(traced, executor_for(traced, [place]), 0, request.input.source, ())
    field = receptive_field_of(traced, place)
    geometry = geometry_of(field)
    start = started(Probe(forward, 0, place, "sum"))
    unit = Sampled(start, field, geometry, new_average(start.probe, request, geometry))
    ways = {"recorded": Ensemble(traced, 1, None), "one by one": single, "at once": together}
    few = request.model_copy(update={"average": request.average.model_copy(update={"weights": max(draws // 8, 2)})})
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, ensemble in ways.items():
            asked = few if way == "recorded" else request  # it is slow, and as slow for every draw
            taken[way].append(asked.average.weights / seconds(ensemble, unit, asked))
    return {
        "net": row.name,
        "inputs": row.inputs,
        "together": together.draws,
        **{way: statistics.median(rates) for way, rates in taken.items()},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="nets whose name contains this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [
        measure_row(row, options.draws, options.rounds) for row in ROWS if not options.only or options.only in row.name
    ]
    table = Table(title=f"draws of the weights per second ({torch.get_num_threads()} threads)")
    for head in ("net", "inputs", "together", "recorded anew", "bound one by one", "as planned", "gain"):
        table.add_column(head, justify="left" if head == "net" else "right")
    for row in rows:
        rates = [float(row[way]) for way in ("recorded", "one by one", "at once")]
        table.add_row(
            str(row["net"]), str(row["inputs"]), str(row["together"]), *(f"{rate:.0f}" for rate in rates),
            f"{rates[2] / rates[0]:.1f}x",
        )  # fmt: skip
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
