"""The table of flat names: complete, in one order, shared by client and engine."""

import subprocess
import sys

import numpy as np
import pytest

from erfscope_contract.flat import flatten
from erfscope_contract.result import ErfResult, LayerInfo, Provenance, Samples, Trf
from erfscope_engine.metrics import Geometry, flat_scalars, measure_map


def result_of(m: np.ndarray, geometry: Geometry, used: int = 8) -> ErfResult:
    metrics = measure_map(m, geometry)
    return ErfResult(
        layer=LayerInfo(name="last", operator="Conv", shape=[4, *m.shape], spatial_axes=[1, 2]),
        unit=[0] * m.ndim,
        input_shape=[3, *m.shape],
        trf=Trf(
            size=[high - low for low, high in geometry.trf_box],
            stride=list(geometry.stride),
            box=list(geometry.trf_box),
            center=list(geometry.center),
            clipped=False,
            is_global=False,
            widened_by=[],
        ),
        erf=metrics.erf,
        mass=dict(metrics.mass),
        gaussian=metrics.gaussian,
        radial=metrics.radial,
        shape=metrics.shape,
        samples=Samples(used=used, dead=2),
        scale_log2=0,
        provenance=Provenance(
            engine="0", torch="0", device="cpu", dtype="float64", threads=1, micro_batch=1, seed=0,
            layer="last", statistic="abs", channels="sum", source="normal", weights="given",
            samples=used, input_shape=[3, *m.shape],
        ),
    )  # fmt: skip


def test_names_of_a_plane(gaussian, centered):
    flat = flatten(result_of(gaussian((20, 45), (2, 3)), centered((20, 45), trf=[(0, 9), (0, 16)])))
    assert list(flat) == [
        "trf_size", "trf_size_y", "trf_size_x", "trf_size_local", "trf_ratio",
        "erf_size", "erf_ratio", "erf_ratio_clipped", "erf_size_1sigma", "erf_size_peak",
        *(f"mass_{t}_{what}" for t in (20, 30, 50, 99) for what in ("side", "ratio", "pixels")),
        "sigma_1", "sigma_2", "sigma_y", "sigma_x", "theta", "r2", "kurtosis_y", "kurtosis_x",
        "r50", "r90", "r99", "offset_y", "offset_x",
        "anisotropy", "border_mass", "participation", "entropy", "lattice", "mass_before", "dead_fraction",
        "verify_difference",
    ]  # fmt: skip
    assert flat["trf_size"] == pytest.approx(12)
    assert (flat["trf_size_y"], flat["trf_size_x"]) == (9, 16)
    assert flat["trf_ratio"] == pytest.approx(12 / 30)
    assert flat["dead_fraction"] == 0.25
    assert flat["sigma_y"] == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize(("shape", "axes"), [((9,), "x"), ((9, 9), "yx"), ((5, 6, 7), "zyx")])
def test_axes_are_named_from_the_last(gaussian, centered, shape, axes):
    geometry = centered(shape)
    flat = flatten(result_of(gaussian(shape, 1.5), geometry))
    assert [n for n in flat if n.startswith("offset")] == [f"offset_{a}" for a in axes]
    assert [n for n in flat if n in ("sigma_1", "sigma_2", "sigma_3")] == [f"sigma_{i + 1}" for i in range(len(axes))]


def test_engine_and_client_agree_in_names_and_values(gaussian, centered):
    m, geometry = gaussian((20, 45), (2, 3)), centered((20, 45))
    flat, scalars = flatten(result_of(m, geometry)), flat_scalars(m, geometry)
    assert {name: flat[name] for name in scalars} == scalars
    beyond_the_map = {
        "trf_size",
        "trf_size_y",
        "trf_size_x",
        "trf_size_local",
        "trf_ratio",
        "mass_before",
        "dead_fraction",
    }
    assert set(flat) - set(scalars) == {*beyond_the_map, "verify_difference"}


def test_an_empty_map_has_the_same_names(centered):
    geometry = centered((6, 6))
    assert list(flatten(result_of(np.zeros((6, 6)), geometry))) == list(
        flatten(result_of(np.random.default_rng(0).random((6, 6)), geometry))
    )
    assert flatten(result_of(np.zeros((6, 6)), geometry, used=0))["dead_fraction"] is None


def test_the_client_needs_neither_torch_nor_scipy():
    code = "import sys, erfscope_contract.flat; print({'torch', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
