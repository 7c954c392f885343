"""How option texts are read, and the units of metrics."""

import pytest

from erfscope.cli import values
from erfscope.cli.measure import read
from erfscope_contract.meanings import unit_of


def test_option_texts() -> None:
    assert values.unit("center") == "center"
    assert values.unit("7, 7") == [7, 7]
    assert values.unit("grid:3x4") == {"grid": [3, 4]}
    assert values.index("3, 7, 7") == {"index": [3, 7, 7]}
    assert values.channels("random") == "random"
    assert values.channels("0,5") == [0, 5]
    assert read({"seed": None, "mean": "0.5,0.25", "layers": "all"}) == {"mean": [0.5, 0.25], "layers": "all"}
    assert read({"index": "3,7,7", "unit": None, "seed": 1}) == {"unit": {"index": [3, 7, 7]}, "seed": 1}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("erf_size", "px"),
        ("mass_50_side", "px"),
        ("mass_50_ratio", ""),
        ("mass_50_pixels", "pixels"),
        ("theta", "rad"),
        ("r2", ""),
    ],
)
def test_units(name: str, unit: str) -> None:
    assert unit_of(name) == unit
