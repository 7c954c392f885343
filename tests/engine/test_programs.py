"""Random programs: maps are autograd's at any micro-batch, twins agree, fields are exact, modules come back.

Those over images, most of all, are in test_programs_over_images.py, so that another process can run them.
`python -m tests.engine.programs_run --count 2000` runs many more and counts.
"""

from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from tests.engine.checks import everything
from tests.engine.oracle import difference, gradient_map
from tests.engine.programs import Program, program, programs
from tests.engine.steps.step import COUPLES, NOT_ONNX, SIZED

from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_engine import measure, measure_network, network_of, sample_network
from erfscope_engine.shards import Merge, Part, cuts
from erfscope_intake.onnx_model import load_onnx

SINGLE = 1e-6  # relative L2: attributes of ONNX nodes (epsilons, slopes) are float32
# Behind a roll and a border that reads the other side, the box of a unit at the seam may hold rows that are not read.
OPEN_PAIRS = ({"circular", "roll"}, {"padding_mode", "roll"}, {"mirrored", "roll"})


def suite(examples: int) -> Any:
    """The same examples on every machine; a program is its seed, which shrinks to nothing simpler."""
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def _holds(drawn: Program) -> None:
    note(f"seed {drawn.seed}, rank {len(drawn.grid)}: {', '.join(drawn.names)}; {', '.join(sorted(drawn.traits))}")
    everything(drawn)


def followed(rank: int) -> st.SearchStrategy[Program]:
    """Programs of the kinds that hold."""
    return programs(rank).filter(lambda drawn: not any(set(drawn.names) >= pair for pair in OPEN_PAIRS))


@suite(20)
@given(followed(1))
def test_programs_over_signals(drawn: Program) -> None:
    _holds(drawn)


@suite(20)
@given(followed(3))
def test_programs_over_volumes(drawn: Program) -> None:
    _holds(drawn)


def test_a_seed_is_a_program() -> None:
    one, again = program(5), program(5)
    assert (one.names, one.shape, one.traits) == (again.names, again.shape, again.traits)
    assert all(torch.equal(a, b) for a, b in zip(one.module.parameters(), again.module.parameters(), strict=True))


@suite(10)
@given(st.integers(0, 10_000))
def test_parts_of_a_programs_samples_are_the_bytes_of_the_whole(seed: int) -> None:
    drawn = program(seed, rank=1)
    network = network_of(drawn.module, drawn.shape)
    request = ErfRequest.model_validate({"target": {"layer": "output"}, "average": {"inputs": 40}, "layers": "target"})
    parts = []
    for samples in cuts(request, 8, 3):
        part = Part(samples)
        sample_network(network, request, part.sampler)
        parts.append(part.arrays)
    merged = measure_network(network, request, sampler=Merge(parts[::-1]).sampler)
    assert merged.map.tobytes() == measure_network(network, request).map.tobytes()


def exportable(most: int) -> list[int]:
    """Seeds of the first programs that both exporters write as they are."""
    refused = (NOT_ONNX, COUPLES, SIZED)
    drawn = (program(seed, rank=2) for seed in count())
    able = (each for each in drawn if not each.has(*refused))
    return list(islice((each.seed for each in able if len(each.names) > 1), most))


@pytest.mark.parametrize("dynamo", [False, True], ids=["TorchScript exporter", "torch.export"])
@pytest.mark.parametrize("seed", exportable(6))
@pytest.mark.filterwarnings("ignore")  # the exporters' own
def test_programs_through_both_exporters(seed: int, dynamo: bool, tmp_path: Path) -> None:
    drawn = program(seed, rank=2)
    unit = drawn.units(Random(seed))[0]
    truth = gradient_map(drawn.module, drawn.shape, drawn.pick(unit, [0]), 2)
    assert truth.max() > 0
    path, x = tmp_path / "program.onnx", torch.zeros(1, *drawn.shape, dtype=torch.float64)
    options: dict[str, Any] = {"external_data": False} if dynamo else {}
    torch.onnx.export(drawn.module, (x,), path, dynamo=dynamo, output_names=["output"], verbose=False, **options)
    network = load_onnx(path, InputOptions(), dtype=torch.float64, device=torch.device("cpu"))
    request = {
        "target": {"layer": "output", "unit": {"index": [0, *unit]}},
        "average": {"inputs": 2},
        "dtype": "float64",
    }
    measured = measure_network(network, ErfRequest.model_validate(request))
    assert difference(measured, truth) < SINGLE
    direct = measure(drawn.module, drawn.shape, **request)  # type: ignore[arg-type]
    if not drawn.has_global and not drawn.leaves_holes:
        assert measured.result.trf.size == direct.result.trf.size
        assert measured.result.trf.box == direct.result.trf.box
