"""What holds for all metrics alike: extreme maps, invariance to scale, equivariance to transposition."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erfscope_contract.problem import ProblemError
from erfscope_engine.metrics import Geometry, MapMetrics, flat_scalars, measure_map, standard_errors

SHAPES = [(1,), (1, 1), (1, 1, 1), (2, 2), (7,), (5, 8), (4, 1, 3), (3, 4, 5)]


def one_pixel(shape: tuple[int, ...]) -> np.ndarray:
    m = np.zeros(shape)
    m[tuple(n // 2 for n in shape)] = 1e-30
    return m


MAPS = {
    "zero": np.zeros,
    "constant": np.ones,
    "one pixel": one_pixel,
    "random": lambda shape: np.random.default_rng(1).random(shape),
    "ramp of 300 decades": lambda shape: np.logspace(-300, 0, math.prod(shape)).reshape(shape),
    "largest numbers": lambda shape: np.full(shape, 1.7e308),
    "smallest numbers": lambda shape: np.full(shape, 5e-324),
}


def numbers(metrics: MapMetrics) -> list[float]:
    """Every number of the answer, however deep."""

    def walk(value: object) -> list[float]:
        if isinstance(value, dict):
            return [n for v in value.values() for n in walk(v)]
        if isinstance(value, list | tuple):
            return [n for v in value for n in walk(v)]
        return [float(value)] if isinstance(value, int | float) else []

    models = [getattr(metrics, f.name) for f in dataclasses.fields(metrics)]
    return walk([m.model_dump() if hasattr(m, "model_dump") else [a.model_dump() for a in m.values()] for m in models])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("tiny_trf", [False, True])
def test_every_map_is_measured_without_warning_or_nan(centered, shape, kind, tiny_trf):
    m = MAPS[kind](shape)
    trf = [(n // 2, n // 2 + 1) for n in shape] if tiny_trf else None
    geometry = centered(shape, trf=trf, stride=None if tiny_trf else 2.0)
    metrics = measure_map(m, geometry)
    assert np.isfinite(numbers(metrics)).all()
    errors = standard_errors(np.stack([m, m / 2, m / 4]), [1, 2, 1], geometry)
    assert all(e is None or np.isfinite(e) for e in errors.values())


def test_a_map_of_zeros_has_no_metrics(centered):
    flat = flat_scalars(np.zeros((6, 6)), centered((6, 6)))
    assert {v for k, v in flat.items() if not k.endswith("pixels")} == {None}
    assert {v for k, v in flat.items() if k.endswith("pixels")} == {0}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(30,), (13, 17), (6, 7, 8)]),
    exponent=st.floats(-9, 9),
)
def test_no_scalar_depends_on_the_maps_scale(gaussian, seed, shape, exponent):
    m = gaussian(shape, [n / 6 for n in shape]) * (0.5 + np.random.default_rng(seed).random(shape))
    geometry = Geometry(tuple((n - 1) / 2 for n in shape), tuple((0, n) for n in shape), shape, (4.0,) * len(shape))
    plain, scaled = flat_scalars(m, geometry), flat_scalars(m * 10**exponent, geometry)
    loose = {"r2": 1e-4, "border_mass": 1e-2}  # a search stops somewhere within its tolerance
    for name, value in plain.items():
        expected = None if value is None else pytest.approx(value, rel=1e-6, abs=loose.get(name, 1e-8))
        assert scaled[name] == expected, name


@pytest.mark.parametrize("order", [(1, 0), (2, 0, 1), (1, 0, 2)])
def test_permuted_axes_give_permuted_metrics(gaussian, centered, order):
    rank = len(order)
    shape, center = (24, 31, 19)[:rank], (10.3, 17.0, 8.5)[:rank]
    m = gaussian(shape, (2.5, 4.0, 3.2)[:rank], [c + 0.4 for c in center])
    m *= 1 + 0.1 * np.random.default_rng(0).random(shape)
    straight = flat_scalars(m, centered(shape, center))
    turned = flat_scalars(m.transpose(order), centered([shape[a] for a in order], [center[a] for a in order]))
    names = "zyx"[-rank:]
    renamed = {names[a]: names[i] for i, a in enumerate(order)}
    for name, value in straight.items():
        stem, _, axis = name.rpartition("_")
        other = f"{stem}_{renamed[axis]}" if axis in renamed else name
        if name == "theta":
            expected = math.pi / 2 - value if rank == 2 else None
            assert expected is None or math.sin(turned["theta"] - expected) == pytest.approx(0, abs=1e-9)
        else:
            assert turned[other] == pytest.approx(value, rel=1e-5, abs=1e-7), name


def test_zeros_around_a_map_change_only_what_refers_to_the_input(gaussian, centered):
    m = gaussian((21, 21), (2.0, 3.0))
    inner = flat_scalars(m, centered((21, 21)))
    outer = flat_scalars(np.pad(m, 15), centered((51, 51), trf=[(15, 36)] * 2))
    for name in inner:
        if not name.endswith("ratio") or name.startswith("erf"):
            loose = {"r2": 1e-4, "border_mass": 1e-3}
            assert outer[name] == pytest.approx(inner[name], rel=1e-6, abs=loose.get(name, 1e-9)), name


def test_not_finite_is_a_problem_and_a_wrong_map_an_error(centered):
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ProblemError) as problem:
            measure_map(np.array([1.0, bad]), centered((2,)))
        assert problem.value.kind == "non-finite-output"
    with pytest.raises(ValueError, match="non-negative"):
        measure_map(np.array([1.0, -1.0]), centered((2,)))
    with pytest.raises(ValueError, match="shape"):
        measure_map(np.ones(3), centered((2,)))
    with pytest.raises(ValueError, match="axes"):
        Geometry((0.0,), ((0, 1), (0, 1)), (1, 1), (1.0, 1.0))
