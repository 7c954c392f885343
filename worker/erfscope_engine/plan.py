"""The plan: at which micro-batch a network is recorded. Fixed by the graph and the device kind, never by load."""

from erfscope.contract.problem import ProblemError
from erfscope_engine.cone.unit import bytes_of, cone_of
from erfscope_engine.layers import Layer, Traced, survey
from erfscope_engine.network import Network
from erfscope_engine.receptive import samples_leak
from erfscope_engine.tape import record
from erfscope_engine.units import center_of

WORKING_SET = {"cpu": 1 << 30, "cuda": 4 << 30, "meta": 0}  # bytes of activations that a micro-batch may keep
# Beyond SMALL_BATCH samples the products are large enough, and what does not stay near the cores costs more than it
# gains: VGG-16 at 512² took 177 ms per image by 4, 186 by 8, 199 by 16 (1 thread).
SMALL_BATCH = 4
NEAR_SET = {"cpu": 192 << 20, "cuda": 4 << 30, "meta": 0}
LARGEST_BATCH = {"cpu": 16, "cuda": 32, "meta": 1}
# Draws of the weights at once pay where a tensor of one of them is small: plain-20-relu (41² pixels, 16 channels) ran
# 312 draws a second so, 110 one by one (python -m benchmarks.ensembles, 1 thread); on 81² pixels there is no gain.
LARGEST_DRAWN = {"cpu": 1 << 18, "cuda": 1 << 23, "meta": 0}  # bytes of the largest tensor of one draw
MOST_DRAWS = {"cpu": 16, "cuda": 64, "meta": 1}


def trace_network(
    network: Network, layer: str, *, samples: int, at_most: int | None = None, draws: int = 1
) -> tuple[Traced, Layer]:
    """Record `network` at the micro-batch for `layer` and find its layers.

    A network that takes one batch size only, or lets samples see each other, is recorded at that size, or one by one.
    `at_most` limits the micro-batch (the way back after an out-of-memory). With several `draws` of the weights,
    `samples` of each, no row of a batch is left over that could be spared.
    """
    until = None if layer == "auto" else network.aliases.get(layer, layer)
    traced = survey(network, record(network, network.batch or 1, until))
    target = traced.layer(layer)
    if network.batch is not None:
        if network.batch > 1 and samples_leak(traced, target):
            raise ProblemError(
                "unsupported-model",
                f"The model takes batches of exactly {network.batch}, and layer {target.name!r} of one sample depends "
                "on the others, so it has no receptive field of its own.",
            )
        return traced, target
    room = _room(traced, target, samples, at_most)
    batch = _evenly(samples, room) if draws > 1 else 1 << (room.bit_length() - 1)
    return _batched(network, batch, traced, target) if batch > 1 else (traced, target)


def _room(single: Traced, target: Layer, samples: int, at_most: int | None) -> int:
    """For how many samples the working set has room (their cones of the centre unit), and are wanted; 1 at least."""
    device = single.network.device.type
    size = bytes_of(single, cone_of(single, [(target, center_of(target))])) or 1
    fitting = max(min(SMALL_BATCH, WORKING_SET[device] // size), NEAR_SET[device] // size)
    return max(min(LARGEST_BATCH[device], fitting, samples, at_most or samples), 1)


def draws_at_once(traced: Traced, target: Layer, draws: int, samples: int, at_most: int | None) -> tuple[int, int]:
    """How many of `draws` draws of the weights run together, and how many of the `samples` of each in one run.

    (1, the micro-batch of `traced`) where it does not pay, or the network takes one batch size only.
    """
    device, rows = traced.network.device.type, traced.tape.batch
    cone = cone_of(traced, [(target, center_of(target))])
    largest = max((bytes_of(traced, cone, [index]) for index in cone.boxes), default=0) // rows
    if traced.network.batch is not None or largest > LARGEST_DRAWN[device]:
        return 1, rows
    each = _evenly(samples, min(rows, LARGEST_DRAWN[device] // max(largest, 1)))
    room = NEAR_SET[device] // (bytes_of(traced, cone) * each // rows or 1)
    most = max(min(MOST_DRAWS[device], room, draws, (at_most or each * draws) // each), 1)
    together = _evenly(draws, most)
    return (together, each) if together > 1 else (1, rows)


def _evenly(count: int, most: int) -> int:
    """The size of equal parts of at most `most` that leave the least over."""
    return -(-count // -(-count // most))


def _batched(network: Network, batch: int, single: Traced, target: Layer) -> tuple[Traced, Layer]:
    """Recorded at `batch` where the network allows it: shapes written into the graph may fix one sample."""
    try:
        traced = survey(network, record(network, batch, until=target.name))
        traced.tape.stopped = single.tape.stopped  # this recording ended at the target, the other at the end
        found = traced.layer(target.name)
    except (ProblemError, RuntimeError, ValueError, IndexError):
        return single, target  # the network said no to this batch size; one by one is always right
    same = found.shape[1:] == target.shape[1:] and found.grid == target.grid
    return (traced, found) if same and not samples_leak(traced, found) else (single, target)
