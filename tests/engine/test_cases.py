"""Networks that people have: the map is autograd's, the field holds what is read, the module comes back as it was."""

from typing import Any

import pytest
import torch
from tests.engine.afterwards import changes, output_of, snapshot
from tests.engine.cases import attention, convolutional, heads, moves, norms, recurrent
from tests.engine.cases.case import Case
from tests.engine.oracle import Box, difference, hull, sample_maps, support, unit_of
from torch import nn

from erfscope_engine import Measurement, measure, receptive_field

FAMILIES = (convolutional, attention, norms, moves, recurrent, heads)
CASES: dict[str, Case] = {name: case for family in FAMILIES for name, case in family.CASES.items()}
LIVELY = 1e-12  # below it a map is rounding, and nothing can be compared

# What the engine does not follow yet. A row that has come to hold fails (xfail_strict): take it away.
OPEN = {
    "rows written one by one": "axes are lost in writes one by one",
}


def built(case: Case) -> nn.Module:
    """The network in float64 and evaluation mode, its weights from a seed."""
    torch.manual_seed(0)
    net = case.build()
    for parameter in net.parameters():
        if parameter.is_complex():
            parameter.data = parameter.data.to(torch.complex128)
    return net.double().eval()


def cases(open_rows: dict[str, str]) -> list[Any]:
    """All names, those that do not hold yet marked."""
    assert open_rows.keys() <= CASES.keys()
    marks = {name: pytest.mark.xfail(reason=why, strict=True) for name, why in open_rows.items()}
    return [pytest.param(name, marks=marks.get(name, ())) for name in CASES]


@pytest.mark.parametrize("name", cases(OPEN))
def test_the_map_is_autograds_and_the_module_comes_back_as_it_was(name: str) -> None:
    case = CASES[name]
    net = built(case)
    maps = sample_maps(lambda x: case.tensor(net, x), case.shape, case.pick, max(case.inputs))
    assert maps[0].max() > LIVELY
    first = output_of(net, case.shape)
    net.train()
    before = snapshot(net)
    measured = {n: measure(net, case.shape, dtype="float64", inputs=n, target=case.target) for n in case.inputs}
    assert changes(before, snapshot(net)) == []
    assert output_of(net, case.shape) == first
    for inputs, each in measured.items():
        assert difference(each, maps[:inputs].mean(0)) < case.tolerance
    assert len({fields_of(each) for each in measured.values()}) == 1, "the field depends on the micro-batch"
    if case.taken is not None:
        assert measured[1].result.layer.name == case.taken


def fields_of(measured: Measurement) -> tuple[Any, ...]:
    trf = measured.result.trf
    return tuple(trf.box), tuple(trf.seen or ()), tuple(trf.center), tuple(trf.stride)


@pytest.mark.parametrize("name", cases(OPEN))
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
    if case.holds is not None:
        assert inside(case.holds, list(field.box))
    if case.box is not None:
        assert list(field.box) == case.box
    if case.center is not None:
        assert field.center == pytest.approx(case.center, abs=0.5)


def inside(inner: Box, outer: Box) -> bool:
    return all(a <= lo and hi <= b for (lo, hi), (a, b) in zip(inner, outer, strict=True))
