"""What every program is held to: its map, its twin, its field, and that the module comes back as it was."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import torch
from numpy.typing import NDArray
from tests.engine.afterwards import changes, output_of, snapshot
from tests.engine.field_checks import Way, field_of, fields, way_of
from tests.engine.oracle import difference, sample_maps
from tests.engine.programs import Program
from tests.engine.steps.step import COUPLES, EDGES, GLOBAL, HOLES
from tests.engine.verdicts import CheckError, Tally, refused
from torch import nn

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_engine import Measurement, Network, measure, measure_network, network_of

TOLERANCE = 1e-9  # relative L2, float64
VANISHING = 1e-9  # of the channels' own gradients: below it a sum of channels is rounding
INPUTS = 8
FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}
WORDS = {"widened_by", "local_without"}  # operators by name, which may differ by the kernel that torch takes


@dataclass(frozen=True)
class Question:
    """A unit with the channels that are measured, and its maps by autograd, sample by sample."""

    unit: tuple[int, ...]
    channels: list[int] | None  # None: their sum
    way: Way
    maps: NDArray[Any]

    @property
    def target(self) -> dict[str, Any]:
        """The request's target."""
        if self.way is Way.INDEX and self.channels is not None:
            return {"layer": "output", "unit": {"index": [self.channels[0], *self.unit]}}
        return {"layer": "output", "unit": list(self.unit), "channels": self.channels or "sum"}


def everything(program: Program) -> Tally:
    """Every check of a program; raises CheckError."""
    tally, random = Tally(), Random(program.seed)
    way = way_of(program)
    question = asked(program, way, random)
    program.module.train(random.random() < 0.5)
    unchanged(program, lambda: maps(program, question, tally))
    program.module.eval()
    if question is not None:
        twins(program, question)
    fields(program, way, random, tally)
    return tally


def asked(program: Program, way: Way, random: Random) -> Question | None:
    """A unit with channels whose gradient is more than rounding; None where there is none."""
    units = program.units(random)
    way = Way.INDEX if random.random() < 0.2 else way
    for unit in random.sample(units, len(units))[:2]:
        scale = sample_maps(program.module, program.shape, program.pick(unit), 2, random_signs=True).max()
        one = [[k] for k in random.sample(range(program.channels), program.channels)]
        sums: list[list[int] | None] = [None] if way is Way.UNIT and random.random() < 0.5 else []
        for channels in [*sums, *one][:4]:
            truth = sample_maps(program.module, program.shape, program.pick(unit, channels), INPUTS)
            if truth.max() > VANISHING * scale and truth.max() > 0:
                return Question(unit, channels, way, truth)
    return None


def unchanged(program: Program, run: Callable[[], None]) -> None:
    """What runs leaves the module as it was: weights, mode, hooks, caches; it gives the same again, to the byte."""
    module, first = program.module, output_of(program.module, program.shape)
    before = snapshot(module)
    run()
    if differences := changes(before, snapshot(module)):
        raise CheckError("changed", f"the module came back with other {', '.join(differences[:5])}")
    if output_of(module, program.shape) != first:
        raise CheckError("changed", "the module gives something else than before")


def maps(program: Program, question: Question | None, tally: Tally) -> None:
    """The map is autograd's at micro-batches of 1, 2 and 8, and the same bytes when the same plan is asked again."""
    if question is None:
        tally.dead += 1
        return
    runs = {n: _equal(question, n, partial(_measured, program.module, program, question, n)) for n in (1, 2, INPUTS)}
    network = network_of(program.module, program.shape, dtype=torch.float64)
    limited = _equal(question, 2, partial(_limited, network, question, 1))
    if limited is not None and limited.result.provenance.micro_batch > 1:
        raise CheckError("map", f"micro-batch {limited.result.provenance.micro_batch} where 1 is the limit")
    again = _equal(question, 2, partial(_limited, network, question, 2))
    first, last = runs[2], runs[INPUTS]
    if first is not None and again is not None and first.map.tobytes() != again.map.tobytes():
        raise CheckError("map", "the same plan gives other bytes")
    if last is not None and program.has(COUPLES) and last.result.provenance.micro_batch != 1:
        raise CheckError("map", f"samples see each other in a micro-batch of {last.result.provenance.micro_batch}")
    trfs = {run.result.trf.model_dump_json(exclude=WORDS) for run in runs.values() if run is not None}
    if len(trfs) > 1:
        raise CheckError("narrow", f"the TRF depends on the micro-batch: {trfs}")


def _measured(module: nn.Module, program: Program, question: Question, inputs: int) -> Measurement:
    return measure(module, program.shape, target=question.target, inputs=inputs, dtype="float64")


def _limited(network: Network, question: Question, most: int) -> Measurement:
    fields = {"target": question.target, "average": {"inputs": 2}, "dtype": "float64"}
    return measure_network(network, ErfRequest.model_validate(fields), at_most=most)


def _equal(question: Question, inputs: int, run: Callable[[], Measurement]) -> Measurement | None:
    """A measurement that equals autograd over the first samples; None where those are dead and that is said."""
    truth = question.maps[:inputs].mean(0)
    try:
        measured = run()
    except ProblemError as error:
        if error.kind == "no-gradient" and not truth.any():
            return None
        raise refused(error) from error
    except Exception as error:
        raise refused(error) from error
    if not truth.any():
        raise CheckError("map", f"a map where autograd has none, {inputs} samples")
    if (far := difference(measured, truth)) > TOLERANCE:
        raise CheckError("map", f"differs by {far:.1e} at {inputs} samples, {question.target}")
    return measured


def twins(program: Program, question: Question) -> None:
    """The twin and the module in channels_last have the same map and, where it is exact, the same box."""
    if program.twin is not None:
        _alike(program, program.twin, question, "twin", exact=not program.twin_traits & {GLOBAL, HOLES})
    memory_format = FORMATS.get(len(program.grid))
    if memory_format is not None:
        program.module.to(memory_format=memory_format)  # type: ignore[call-overload]
        _alike(program, program.module, question, "channels_last", exact=True)
        program.module.to(memory_format=torch.contiguous_format)


def _alike(program: Program, module: nn.Module, question: Question, name: str, *, exact: bool) -> None:
    try:
        measured = _equal(question, 1, partial(_measured, module, program, question, 1))
    except CheckError as wrong:
        raise CheckError("twin", f"{name}: {wrong}") from wrong
    if measured is None or not exact:
        return
    first = field_of(program, question.way, question.unit, (question.channels or [0])[0])
    box = [tuple(side) for side in measured.result.trf.box]
    if first is None or (program.has(EDGES) and _at_border([*box, *first.box], program)):
        return  # what a unit at the border reads lies elsewhere, and its box holds that too or not
    if box != first.box:
        raise CheckError("twin", f"{name}: TRF {box}, and {first.box} as it was written first, unit {question.unit}")


def _at_border(sides: list[Any], program: Program) -> bool:
    return any(lo < 0 or hi > n for (lo, hi), n in zip(sides, 2 * program.shape[1:], strict=True))
