"""The profile along depth as a chart: what can be drawn is drawn, what has no value is left out."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from erfscope_picture import render_profile

BLUE, ORANGE, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)  # TRF, ERF, stride
GREY = (90, 90, 95)  # side of the input


def row(trf: int, erf: float | None, stride: float | None) -> dict[str, Any]:
    return {"trf_size": [trf, trf], "trf_stride": [stride, stride], "erf_size": erf, "stderr": {"erf_size": 0.1}}


def pixels(png: bytes, color: tuple[int, int, int]) -> int:
    """How many pixels of the plot (not of the legend below) have nearly that colour."""
    with Image.open(io.BytesIO(png)) as image:
        plot = np.asarray(image.convert("RGB"), dtype=int)[62:482]
    return int((np.abs(plot - color).max(axis=2) < 40).sum())


def test_three_lines_are_drawn() -> None:
    png = render_profile([row(3, 3.0, 1.0), row(7, 6.1, 2.0), row(15, 9.2, 4.0)], "net")
    assert all(pixels(png, color) > 50 for color in (BLUE, ORANGE, GREEN))
    assert png == render_profile([row(3, 3.0, 1.0), row(7, 6.1, 2.0), row(15, 9.2, 4.0)], "net")


def test_what_the_input_limits_is_hollow_and_the_inputs_side_is_a_line() -> None:
    rows = [row(3, 3.0, 1.0), row(70, 30.0, 2.0), row(150, 30.0, 4.0)]
    filled = render_profile(rows, "net", 32)
    hollow = render_profile([rows[0], *(one | {"limited": ["erf_size"]} for one in rows[1:])], "net", 32)
    assert pixels(hollow, GREY) > pixels(filled, GREY) + 200
    assert pixels(hollow, ORANGE) < pixels(filled, ORANGE), "rings, without errors"


def test_what_has_no_value_is_left_out() -> None:
    png = render_profile([row(3, None, None), row(7, None, None)])
    assert pixels(png, BLUE) > 50
    assert pixels(png, ORANGE) == 0


def test_no_layer_is_an_error() -> None:
    with pytest.raises(ValueError, match="point"):
        render_profile([])
