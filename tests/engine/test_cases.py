"""Networks that people have: the map is autograd's, the field holds what is read, the module comes back as it was."""

from typing import Any

import pytest
import torch
from torch import nn

from erfscope_engine import measure, receptive_field
from tests.engine.afterwards import answer, changes, snapshot
from tests.engine.cases import attention, convolutional, heads, moves, norms, recurrent
from tests.engine.cases.case import Case, whole
from tests.engine.oracle import Box, difference, gradient_map, hull, support, unit_of

FAMILIES = (convolutional, attention, norms, moves, recurrent, heads)
CASES: dict[str, Case] = {name: case for family in FAMILIES for name, case in family.CASES.items()}
LIVELY = 1e-12  # below it a map is rounding, and nothing can be compared


def built(case: Case) -> nn.Module:
    """The network in float64 and evaluation mode, its weights from a seed."""
    torch.manual_seed(0)
    return case.build().double().eval()


@pytest.mark.parametrize("name", CASES)
def test_the_map_is_autograds(name: str) -> None:
    case = CASES[name]
    net = built(case)
    fields = set[tuple[Any, ...]]()
    for inputs in case.inputs:
        truth = gradient_map(lambda x: case.tensor(net, x), case.shape, case.pick, inputs)
        assert truth.max() > LIVELY
        measured = measure(net, case.shape, dtype="float64", inputs=inputs, target=case.target)
        assert difference(measured, truth) < case.tolerance
        trf = measured.result.trf
        fields.add((tuple(trf.box), tuple(trf.seen or ()), tuple(trf.center), tuple(trf.stride)))
        if case.taken is not None:
            assert measured.result.layer.name == case.taken
    assert len(fields) == 1, "the field depends on the micro-batch"


@pytest.mark.parametrize("name", CASES)
def test_the_field_holds_what_is_read(name: str) -> None:
    case = CASES[name]
    net = built(case)
    field = receptive_field(net, case.shape, layer=case.layer, unit=case.unit)
    reached = hull(support(lambda x: case.tensor(net, x), case.shape, unit_of(case.unit, case.axes)))
    assert reached is not None
    assert field.seen is not None
    assert inside(reached, list(field.seen))
    assert inside(list(field.seen), list(field.box))
    if case.exact:
        assert list(field.seen) == reached
    if case.box is not None:
        assert list(field.box) == case.box
    if case.center is not None:
        assert field.center == pytest.approx(case.center, abs=0.5)


def inside(inner: Box, outer: Box) -> bool:
    return all(a <= lo and hi <= b for (lo, hi), (a, b) in zip(inner, outer, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_module_comes_back_as_it_was(name: str) -> None:
    case = CASES[name]
    net = built(case)
    net.train()
    first = answer(net, case.shape) if case.tensor is whole else None
    before = snapshot(net)
    measure(net, case.shape, inputs=1, target=case.target)
    receptive_field(net, case.shape, layer=case.layer, unit=case.unit)
    assert changes(before, snapshot(net)) == []
    assert net.training
    if first is not None:
        assert answer(net, case.shape) == first
