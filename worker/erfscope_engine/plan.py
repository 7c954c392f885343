"""The plan: which layer, and at which micro-batch the network is recorded. Fixed by graph and device, never by load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch

from erfscope_contract.problem import ProblemError
from erfscope_contract.result import PassedOver
from erfscope_engine.choice import MOST_TOLD, chosen
from erfscope_engine.eager import tensors_of
from erfscope_engine.execution.box import lengths
from erfscope_engine.execution.memory import peak_bytes
from erfscope_engine.execution.numbers import program_of
from erfscope_engine.execution.program import Program
from erfscope_engine.layers import Coordinate, Layer, Place, Traced, layer_of, region_at, survey
from erfscope_engine.network import Network
from erfscope_engine.recording.recorder import record
from erfscope_engine.room import memory_limit, steady

WORKING_SET = {"cpu": 1 << 30, "cuda": 4 << 30, "meta": 0}  # bytes of a micro-batch at its peak
SHARE_OF_MEMORY = 4  # of all memory that a process may use, a micro-batch takes a quarter at most
# Beyond SMALL_BATCH samples the products are large enough, and what does not stay near the cores costs more than it
# gains: VGG-16 at 512² took 177 ms per image by 4, 186 by 8, 199 by 16 (1 thread).
SMALL_BATCH = 4
NEAR_SET = {"cpu": 192 << 20, "cuda": 4 << 30, "meta": 0}
LARGEST_BATCH = {"cpu": 16, "cuda": 32, "meta": 1}
# Draws of the weights at once pay where a tensor of one of them is small: plain-20-relu (41² pixels, 16 channels) ran
# 312 draws a second so, 110 one by one (python -m benchmarks.ensembles, 1 thread); on 81² pixels there is no gain.
LARGEST_DRAWN = {"cpu": 1 << 18, "cuda": 1 << 23, "meta": 0}  # bytes of the largest tensor of one draw
MOST_DRAWS = {"cpu": 16, "cuda": 64, "meta": 1}
WORTH_SHARING = 0.5  # of the common program: a unit with a much smaller one of its own is cheaper alone
MISFITS = (ProblemError, RuntimeError, ValueError, IndexError)


@dataclass(frozen=True)
class Plan:
    """A network recorded for a layer, and what was passed over before it was taken."""

    traced: Traced
    layer: Layer
    passed_over: tuple[PassedOver, ...] = ()


NOBODY: Mapping[str, str] = {}


def plan_for(
    network: Network,
    layer: str,
    *,
    samples: int,
    at_most: int | None = None,
    draws: int = 1,
) -> Plan:
    """Record `network` at the micro-batch for `layer` and find its layers: mostly once, at the batch most likely.

    A network that takes one batch size only, or lets samples see each other, is recorded at that size, or one by one.
    `at_most` limits the micro-batch (the way back after an out-of-memory). With several `draws` of the weights,
    `samples` of each, no row of a batch is left over that could be spared.
    """
    likely = _micro_batch(samples, min(samples, at_most or samples, SMALL_BATCH), draws)
    single = _at_once(network, layer, likely) or _at_size(network, layer, network.batch or 1)
    traced, target = single.traced, single.layer
    if traced.eager:
        return single
    if network.batch is not None:
        if network.batch > 1 and samples_leak(traced, target):
            raise ProblemError(
                "unsupported-model",
                f"The model takes batches of exactly {network.batch}, and layer {target.name!r} of one sample depends "
                "on the others, so it has no receptive field of its own.",
            )
        return single
    batch = _micro_batch(samples, _room(traced, target, samples, at_most), draws)
    return single if batch == traced.tape.batch else _batched(network, batch, single)


def _micro_batch(samples: int, most: int, draws: int) -> int:
    """The batch for `samples` of which `most` have room: a power of two; with several draws, one that leaves no row."""
    return _evenly(samples, most) if draws > 1 else 1 << (most.bit_length() - 1)


def _at_once(network: Network, layer: str, batch: int) -> Plan | None:
    """Recorded with several samples from the start; None where one sample alone could be another network."""
    if batch == 1 or network.batch is not None:
        return None
    try:
        plan = _at_size(network, layer, batch)
    except MISFITS:
        return None
    return plan if _is_batch_plain(plan.traced) and not samples_leak(plan.traced, plan.layer) else None


def _is_batch_plain(traced: Traced) -> bool:
    """Whether a network was followed to its end and names the same layers whatever the batch, one sample included.

    No tensor drops its axes because they are 1, and none with a name has samples as channels of a single row.
    """
    tape = traced.tape
    if tape.stopped or any(call.name.startswith("squeeze") for call in tape.geometric):
        return False
    named = [k for k, v in enumerate(tape.values) if v.name is not None and v.shape and v.shape[0] in (1, tape.batch)]
    return all(layer_of(traced.geometry, k) is not None for k in named)


def _at_size(network: Network, layer: str, batch: int) -> Plan:
    """Recorded with `batch` samples, one where nothing else is known to go."""
    wanted = network.aliases.get(layer, layer)
    traced = survey(network, record(network, batch, None if layer == "auto" else wanted))
    if traced.tape.stopped and (layer == "auto" or wanted not in traced.tape.names):
        traced = _with_eager_layers(traced)
    if layer != "auto":
        return Plan(_for(traced, found := traced.layer(layer)), found)
    found, passed = chosen(traced, NOBODY)
    return Plan(_for(traced, found), found, tuple(passed))


def passing_over(plan: Plan, refused: Mapping[str, str]) -> Plan:
    """The same network for the nearest layer that is not refused (by name, with the reason)."""
    layer, passed = chosen(plan.traced, refused)
    told = {each.name: each for each in (*plan.passed_over, *passed) if each.name != layer.name}
    return Plan(_for(plan.traced, layer), layer, tuple(told.values())[:MOST_TOLD])


def _for(traced: Traced, layer: Layer) -> Traced:
    return replace(traced, eager=layer.frame is None)


def _with_eager_layers(traced: Traced) -> Traced:
    """With the layers behind what could be recorded, as one real run names them; they run by plain autograd."""
    network = traced.network
    x = torch.zeros(1, *network.input_shape, dtype=network.dtype, device=network.device)
    generator = torch.Generator().manual_seed(0)
    x += torch.randn(x.shape, generator=generator).to(x)
    with torch.no_grad():
        seen = tensors_of(network, x)
    known = set(traced.tape.names)
    rank = len(traced.space)
    behind = [
        Layer(name, operator, -1, tuple(value.shape), _by_position(tuple(value.shape), rank), None)
        for name, (operator, value) in seen.items()
        if name not in known and value.dim() and len(value) == 1 and value.is_floating_point()
    ]
    return replace(traced, layers=(*traced.layers, *[each for each in behind if any(n > 1 for n in each.grid)]))


def _by_position(shape: tuple[int, ...], rank: int) -> tuple[Coordinate, ...]:
    """The last axes of a map of (batch, channels, *space); none of any other tensor."""
    if len(shape) != rank + 2:
        return ()
    return tuple(Coordinate(k, shape[k], 1, 0, ()) for k in range(2, len(shape)))


def _room(traced: Traced, target: Layer, samples: int, at_most: int | None) -> int:
    """For how many samples the working set has room (their programs of the centre unit), and are wanted; 1 at least."""
    device = traced.network.device.type
    size = peak_bytes(program_for(traced, [center_place(target)])) // traced.tape.batch or 1
    limit = memory_limit(traced.network.device)
    working = WORKING_SET[device] if limit is None else min(WORKING_SET[device], steady(limit // SHARE_OF_MEMORY))
    fitting = max(min(SMALL_BATCH, working // size), min(NEAR_SET[device], working) // size)
    return max(min(LARGEST_BATCH[device], fitting, samples, at_most or samples), 1)


def center_place(layer: Layer) -> Place:
    """The centre unit; of a layer without coordinates, the element in the middle."""
    if layer.coordinates:
        return Place(layer, layer.center)
    return Place(layer, tuple(n // 2 for n in layer.own_shape), by_index=True)


def program_for(traced: Traced, places: Sequence[Place]) -> Program:
    """The program that holds these units: all samples, all channels."""
    return program_of(traced.geometry, [(place.layer.value, place.box) for place in places])


def bytes_of(traced: Traced, program: Program, values: Sequence[int] | None = None) -> int:
    """Bytes of the tensors of a program (of some of its values): about what a run keeps for its way back."""
    known, calls = traced.tape.values, traced.tape.calls
    chosen_values = program.boxes if values is None else [index for index in values if index in program.boxes]
    mine = [i for i in chosen_values if (m := known[i].made) is None or not getattr(calls[m].op, "is_view", False)]
    return sum(prod(lengths(program.boxes[index])) * known[index].dtype.itemsize for index in mine)


def sharing(traced: Traced, places: Sequence[Place]) -> list[list[int]]:
    """Which units run together: those whose own program is a good part of the common one; the others alone."""
    if len(places) == 1 or traced.eager:
        return [[n] for n in range(len(places))]
    common = program_for(traced, places)
    together, alone = list[int](), list[list[int]]()
    for n, place in enumerate(places):
        mine = program_for(traced, [place])
        worth = bytes_of(traced, mine) >= WORTH_SHARING * bytes_of(traced, common, list(mine.boxes))
        together.append(n) if worth else alone.append([n])
    return [*([together] if together else []), *alone]


def draws_at_once(traced: Traced, target: Layer, draws: int, samples: int, at_most: int | None) -> tuple[int, int]:
    """How many of `draws` draws of the weights run together, and how many of the `samples` of each in one run.

    (1, the micro-batch of `traced`) where it does not pay, or the network takes one batch size only.
    """
    device, rows = traced.network.device.type, traced.tape.batch
    if traced.eager or traced.network.batch is not None:
        return 1, rows
    program = program_for(traced, [center_place(target)])
    largest = max((bytes_of(traced, program, [index]) for index in program.boxes), default=0) // rows
    if largest > LARGEST_DRAWN[device]:
        return 1, rows
    each = _evenly(samples, min(rows, LARGEST_DRAWN[device] // max(largest, 1)))
    room = NEAR_SET[device] // (bytes_of(traced, program) * each // rows or 1)
    most = max(min(MOST_DRAWS[device], room, draws, (at_most or each * draws) // each), 1)
    together = _evenly(draws, most)
    return (together, each) if together > 1 else (1, rows)


def _evenly(count: int, most: int) -> int:
    """The size of equal parts of at most `most` that leave the least over."""
    return -(-count // -(-count // most))


def _batched(network: Network, batch: int, single: Plan) -> Plan:
    """Recorded at `batch` where the network allows it: shapes written into the graph may fix one sample."""
    again = recorded_again(network, batch, single)
    return single if again is None or samples_leak(again.traced, again.layer) else again


def recorded_again(network: Network, batch: int, single: Plan) -> Plan | None:
    """The same plan at another batch; None where the network refuses it: one by one is always right."""
    target = single.layer
    try:
        traced = survey(network, record(network, batch, until=target.name))
        traced.tape.stopped = single.traced.tape.stopped  # this recording ended at the target, the other at the end
        same_layer = traced.layer(target.name)
    except MISFITS:
        return None
    alike = same_layer.own_shape == target.own_shape and same_layer.grid == target.grid
    same_space = traced.space == single.traced.space
    return replace(single, traced=traced, layer=same_layer) if alike and same_space else None


def samples_leak(traced: Traced, layer: Layer) -> bool:
    """Whether a unit reads other samples (the first one's may stand in for all): then they must run one by one."""
    at = center_place(layer).at
    return any(_leaks(traced, layer, at, sample) for sample in {0, layer.shape[layer.batch] - 1})


def _leaks(traced: Traced, layer: Layer, at: dict[int, int], sample: int) -> bool:
    (digit,) = traced.geometry.frames[0].axes[0]
    regions = traced.geometry.walk(layer.value, region_at(layer, at, sample), every=True)
    spans = [span for run, span in regions.get(0, {}).items() if digit in run]
    return any((span.lo, span.hi) != (sample, sample + 1) for span in spans)
