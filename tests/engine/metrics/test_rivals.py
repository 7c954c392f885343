"""Each rival shape wins on its own samples."""

import numpy as np
import pytest

from erfscope_engine.metrics import measure_map
from erfscope_engine.metrics.rivals import PROFILES

RADIAL = {
    "gaussian": lambda r: np.exp(-0.5 * r**2),
    "laplace": lambda r: np.exp(-np.sqrt(2) * r),
    "generalised_gaussian": lambda r: np.exp(-((r / 1.3) ** 4)),
    "student_t": lambda r: (1 + r**2 / 3) ** -2.5,
    "uniform_box": None,
}


def sample(shape: str, size: tuple[int, ...], noise: float) -> np.ndarray:
    """A map of that shape, stretched along the axes and off the middle, under relative noise."""
    axes = np.meshgrid(*[np.arange(n) - 0.47 * n for n in size], indexing="ij")
    scaled = [x / (n / 12 * (1 + 0.3 * k)) for k, (x, n) in enumerate(zip(axes, size, strict=True))]
    if shape == "uniform_box":
        m = np.prod([np.abs(x) < 1.7 for x in scaled], axis=0).astype(float)
    else:
        m = RADIAL[shape](np.sqrt(sum(x**2 for x in scaled)))
    return m * (1 + noise * np.random.default_rng(7).uniform(-1, 1, size=size))


@pytest.mark.parametrize("size", [(200,), (64, 64), (60, 45), (16, 16, 16)], ids=str)
@pytest.mark.parametrize("shape", RADIAL)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_own_samples_are_recognised(centered, shape, size, noise):
    ranking = measure_map(sample(shape, size, noise), centered(size)).gaussian.ranking
    assert {r.shape for r in ranking} == {*PROFILES, "uniform_box"}
    assert [r.aic for r in ranking] == sorted(r.aic for r in ranking)
    own = next(r for r in ranking if r.shape == shape)
    if noise == 0:
        assert own == ranking[0]
    # a shape that holds this one as a special case may be ahead by chance, not by much
    assert ranking[0].r2 - own.r2 < 5e-4
    assert own.r2 > 0.95


@pytest.mark.parametrize("shape", ["gaussian", "student_t", "laplace"])
def test_averaging_over_blocks_hides_little_of_the_shape(centered, shape):
    ranking = measure_map(sample(shape, (400, 300), 0.1), centered((400, 300))).gaussian.ranking
    own = next(r for r in ranking if r.shape == shape)
    assert ranking[0].shape in (shape, "generalised_gaussian")  # a cusp is blunted by its block
    assert ranking[0].r2 - own.r2 < 2e-3


def test_uniform_ellipse_prefers_the_free_exponent_to_the_gaussian(centered):
    y, x = np.mgrid[:61, :61] - 30
    ranking = measure_map((x**2 + y**2 < 400).astype(float), centered((61, 61))).gaussian.ranking
    assert ranking[0].shape == "generalised_gaussian"


@pytest.mark.parametrize("shape", [(9,), (9, 9), (5, 5, 5)])
def test_a_constant_map_has_no_fit(centered, shape):
    metrics = measure_map(np.full(shape, 3.0), centered(shape))
    assert metrics.gaussian.ranking == []
    assert (metrics.gaussian.r2, metrics.gaussian.fit_sigma, metrics.shape.border_mass) == (None, None, None)


def test_fit_of_a_large_map_is_not_widened_by_its_blocks(gaussian, centered):
    fit = measure_map(gaussian((1024, 1024), 90.0), centered((1024, 1024))).gaussian
    assert fit.fit_sigma == pytest.approx([90, 90], rel=1e-4)
