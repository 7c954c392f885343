"""Samples taken in parts by several processes, put together: the bytes of the whole, or a plain no."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from erfscope_contract.request import ErfRequest
from erfscope_engine import Measurement, Network, measure_network, network_of, sample_network
from erfscope_engine.shards import Merge, Part, Range, Split, Unlike, Watch, cuts

Request = dict[str, Any]


def network() -> Network:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 5, stride=2), nn.ReLU(), nn.Conv2d(4, 2, 3))
    return network_of(net, (3, 28, 28))


def redrawn() -> Network:
    """A network that draws all its weights anew, in place."""
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3))

    def redraw(draw: int) -> None:
        stream = torch.Generator().manual_seed(draw)
        for weight in net.parameters():
            nn.init.normal_(weight.detach(), generator=stream)

    redraw(0)
    return replace(network_of(net, (2, 24, 24)), redraw=redraw)


def parts_of(network: Network, request: ErfRequest, ranges: Sequence[Range]) -> list[dict[str, Any]]:
    found = []
    for one in ranges:
        part = Part(one)
        sample_network(network, request, part.sampler)
        found.append(part.arrays)
    return found


def bytes_of(done: Measurement) -> tuple[Any, ...]:
    stacks = (done.map, done.units_map, done.layers_map)
    return done.result.model_dump_json(), *(None if one is None else one.tobytes() for one in stacks)


DRAWS = {"average": {"inputs": 3, "weights": 20}, "target": {"unit": {"grid": [2, 1]}}}
REQUESTS: dict[str, tuple[Callable[[], Network], Request]] = {
    "many samples": (network, {"average": {"inputs": 200}}),
    "an odd number, rms": (network, {"average": {"inputs": 77, "statistic": "rms"}}),
    "random channels": (network, {"average": {"inputs": 70}, "target": {"channels": "random"}}),
    "channels decided by the first samples": (network, {"average": {"inputs": 70}, "target": {"channels": "auto"}}),
    "a grid and the profile along depth": (
        network,
        {"average": {"inputs": 40}, "target": {"unit": {"grid": [2, 2]}}, "layers": "all"},
    ),
    "RepLKNet's r beside the ERF, and some layers": (
        network,
        {"average": {"inputs": 40}, "protocol": "both", "layers": ["every:2"]},
    ),
    "weights drawn anew": (redrawn, DRAWS),
    "float64": (network, {"average": {"inputs": 64}, "dtype": "float64"}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_parts_give_the_bytes_of_the_whole(name: str) -> None:
    build, fields = REQUESTS[name]
    request = ErfRequest.model_validate(fields)
    ranges = cuts(request, 8, 3)
    assert len(ranges) > 1
    merge = Merge(list(reversed(parts_of(build(), request, ranges))))
    whole = bytes_of(measure_network(build(), request))
    assert bytes_of(measure_network(build(), request, sampler=merge.sampler)) == whole


def test_units_of_a_grid_start_from_the_first_draw_of_the_weights() -> None:
    grid = measure_network(redrawn(), ErfRequest.model_validate(DRAWS))
    for entry in grid.result.units:
        alone = measure_network(redrawn(), ErfRequest.model_validate({**DRAWS, "target": {"unit": entry.unit}}))
        assert entry.erf == alone.result.erf


@settings(deadline=None)
@given(
    inputs=st.integers(1, 5000),
    weights=st.integers(1, 60),
    batch=st.sampled_from([1, 2, 3, 8, 32]),
    most=st.integers(1, 20),
)
def test_cuts_cover_every_sample_once_and_end_where_batches_do(
    inputs: int, weights: int, batch: int, most: int
) -> None:
    request = ErfRequest.model_validate(
        {"average": {"inputs": inputs, "weights": weights}, "weights": "normal" if weights > 1 else "given"}
    )
    found = cuts(request, batch, most)
    assert found[0][0] == 0
    assert found[-1][1] == inputs * weights
    assert len(found) <= most
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert all(first < stop for first, stop in found)
    grain = inputs if weights > 1 else batch
    assert all(stop % grain == 0 for _, stop in found[:-1])


def test_adaptive_stops_are_not_cut() -> None:
    until = ErfRequest.model_validate({"average": {"inputs": 500, "until": {"at_most": 900}}})
    assert len(cuts(until, 4, 8)) == 1


def changed(part: dict[str, Any], name: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    return {**part, name: change(part[name].copy())}


WRONG: dict[str, Callable[[list[dict[str, Any]]], list[Any]]] = {
    "a part is missing": lambda parts: parts[1:],
    "a part comes twice": lambda parts: [*parts, parts[0]],
    "another plan": lambda parts: [changed(parts[0], "plan", lambda plan: plan + 1), *parts[1:]],
    "too short": lambda parts: [changed(parts[0], "sums", lambda sums: sums[:-1]), *parts[1:]],
    "another type": lambda parts: [changed(parts[0], "sums", lambda sums: sums.astype(np.float32)), *parts[1:]],
    "no counts": lambda parts: [{"sums": parts[0]["sums"], "plan": parts[0]["plan"]}, *parts[1:]],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_parts_that_do_not_fit_are_refused(wrong: str) -> None:
    request = ErfRequest.model_validate({"average": {"inputs": 48}})
    parts = WRONG[wrong](parts_of(network(), request, cuts(request, 8, 3)))
    with pytest.raises(Unlike):
        measure_network(network(), request, sampler=Merge(parts).sampler)


def watched(request: ErfRequest, seconds_per_look: float) -> Measurement:
    clock = count(0.0, seconds_per_look)
    watch = Watch(3, 60.0, lambda: next(clock))
    return measure_network(network(), request, progress=watch.progress(lambda *_: None), sampler=watch.sampler)


def test_long_jobs_ask_to_be_split_and_short_ones_do_not() -> None:
    request = ErfRequest.model_validate({"average": {"inputs": 200}})
    with pytest.raises(Split) as split:
        watched(request, 30.0)
    assert split.value.parts == tuple(cuts(request, 16, 3))
    assert bytes_of(watched(request, 0.01)) == bytes_of(measure_network(network(), request))
