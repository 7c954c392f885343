"""A grid of units and a profile along depth, sharing forward runs, against the same units one by one.

ResNet-50 at 224². Recording and metrics are left out; ratios of interleaved rounds, medians.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torchvision.models as zoo
from rich.console import Console
from rich.table import Table

from erfscope_contract.request import ErfRequest
from erfscope_engine import network_of
from erfscope_engine.gradient import Forward, Probe, executor_for, started
from erfscope_engine.layers import Place, Traced
from erfscope_engine.plan import center_place, plan_for, sharing
from erfscope_engine.receptive import receptive_field_of
from erfscope_engine.sampling import Sampled, new_average, sample
from erfscope_engine.taking import geometry_of
from erfscope_engine.units import places_of


def seconds(traced: Traced, teams: list[list[Place]], request: ErfRequest) -> float:
    """Time to sample all units, team by team."""
    begun = time.perf_counter()
    for team in teams:
        forward = Forward(traced, executor_for(traced, team), 0, request.input.source, ())
        units = []
        for n, place in enumerate(team):
            field = receptive_field_of(traced, place)
            geometry = geometry_of(field)
            start = started(Probe(forward, n, place, "sum"))
            units.append(Sampled(start, field, geometry, new_average(start.probe, request, geometry, len(team))))
        sample(units, request, lambda share: None)
    return time.perf_counter() - begun


def ratio(traced: Traced, places: list[Place], request: ErfRequest, rounds: int) -> dict[str, float]:
    """Shared over one by one."""
    together = [[places[n] for n in team] for team in sharing(traced, places)]
    alone = [[place] for place in places]
    pairs = [(seconds(traced, together, request), seconds(traced, alone, request)) for _ in range(rounds)]
    return {
        "units": len(places),
        "shared_s": statistics.median(a for a, _ in pairs),
        "alone_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    request = ErfRequest.model_validate({"average": {"inputs": options.inputs}})
    grid_target = ErfRequest.model_validate({"target": {"unit": {"grid": [5, 5]}}}).target
    network = network_of(zoo.resnet50(), (3, 224, 224))
    plan = plan_for(network, "layer4", samples=options.inputs)
    traced = plan.traced
    cases: dict[str, list[Place]] = {
        "grid 5x5 of layer4": places_of(grid_target, plan.layer),
        "layers: all": [center_place(layer) for layer in traced.layers],
    }
    found = {name: ratio(traced, places, request, options.rounds) for name, places in cases.items()}
    title = f"shared forward runs, ResNet-50 224², {options.inputs} inputs"
    table = Table("case", "units", "shared, s", "one by one, s", "ratio", title=title)
    for name, row in found.items():
        table.add_row(name, str(row["units"]), f"{row['shared_s']:.1f}", f"{row['alone_s']:.1f}", f"{row['ratio']:.2f}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
