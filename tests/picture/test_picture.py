"""The PNG as a whole: valid, bounded, the same every time, its pixels where and what they should be."""

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from erfscope_picture import COLORMAPS, SCALES, render
from erfscope_picture.colormap import table
from erfscope_picture.picture import MAX_BYTES

# Where the layout puts the first panel of a single plane.
LEFT, TOP = 102, 100


def decoded(png):
    image = Image.open(BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("colormap", COLORMAPS)
def test_every_scale_and_colormap(scale, colormap, bell, result_of):
    page = decoded(render(bell((32, 32), 6), result_of((32, 32)), scale=scale, colormap=colormap))
    factor = 24  # 768 // 32
    assert tuple(page[TOP + 3, LEFT + 3]) != (255, 255, 255)
    # A pixel of the map between the lines' reach, at the middle of its enlarged square.
    value = {"linear": lambda v: v, "sqrt": np.sqrt, "log": lambda v: 1 + np.log10(v) / 5}[scale]
    row, column = 3, 12
    share = float(np.float32(bell((32, 32), 6)[row, column]))
    expected = table(colormap)[round(float(value(share)) * 255)]
    square = page[TOP + row * factor : TOP + (row + 1) * factor, LEFT + column * factor :][:, :factor]
    assert tuple(square[factor // 2, factor // 2]) == tuple(expected)
    assert (square == expected).all(axis=2).mean() > 0.8


def test_pixels_are_enlarged_whole(result_of):
    values = np.zeros((4, 4))
    values[0, 0] = 1.0
    page = decoded(render(values, result_of((4, 4), size=1), scale="linear", colormap="gray"))
    side = 192
    assert tuple(page[TOP + 10, LEFT + 10]) == (255, 255, 255)
    assert tuple(page[TOP + side + 30, LEFT + side // 2]) == (0, 0, 0)
    assert tuple(page[TOP + side // 2, LEFT + side + 60]) == (0, 0, 0)


def test_large_maps_are_reduced_by_means(result_of):
    values = np.full((1536, 1536), 0.25)
    values[::2] = 0.75
    values[0, 0] = 1.0
    page = decoded(render(values, result_of((1536, 1536)), scale="linear", colormap="gray"))
    assert tuple(page[TOP + 200, LEFT + 100]) == (128, 128, 128)


@pytest.mark.parametrize(
    "shape",
    [(1,), (16000,), (1, 1), (21, 21), (8, 2000), (2000, 8), (128, 512), (64, 64, 64), (1, 1, 1), (4, 90, 7)],
)
def test_shapes(shape, bell, result_of):
    page = decoded(render(bell(shape, 5.0), result_of(shape, size=27), title="net"))
    assert 900 <= page.shape[1] <= 1400
    assert 200 <= page.shape[0] <= 1200
    edges = np.concatenate([page[:8].reshape(-1, 3), page[-8:].reshape(-1, 3), page[:, -8:].reshape(-1, 3)])
    assert (edges == 255).all()  # nothing runs out of the page


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=arrays.arrays(np.float64, arrays.array_shapes(min_dims=1, max_dims=3, max_side=9), elements=st.floats(0, 1)),
    size=st.integers(1, 40),
    scale=st.sampled_from(SCALES),
)
def test_any_map(values, size, scale, result_of):
    png = render(values, result_of(values.shape, size=size), scale=scale)
    assert len(png) <= MAX_BYTES
    decoded(png)


def test_noise_stays_below_the_limit_on_white_paper(result_of):
    noise = np.random.default_rng(0).random((1024, 1024))
    png = render(noise, result_of(noise.shape, size=1023, is_global=True))
    assert 100_000 < len(png) <= MAX_BYTES
    page = decoded(png)
    assert tuple(page[2, 2]) == (255, 255, 255)
    assert tuple(page[page.shape[0] - 3, page.shape[1] - 3]) == (255, 255, 255)


def test_noise_over_a_noisy_image_stays_below_the_limit(result_of):
    generator = np.random.default_rng(0)
    overlay = generator.integers(0, 256, (768, 768, 3), dtype=np.uint8)
    png = render(generator.random((768, 768)), result_of((768, 768)), overlay=overlay)
    assert len(png) <= MAX_BYTES
    decoded(png)


def test_the_same_bytes_in_another_process(bell, result_of, tmp_path):
    first = render(bell((48, 64), 6), result_of((48, 64)), title="net")
    assert render(bell((48, 64), 6), result_of((48, 64)), title="net") == first
    np.save(tmp_path / "map.npy", bell((48, 64), 6))
    code = (
        "import numpy as np, sys; from erfscope_picture import render; "
        f"sys.stdout.buffer.write(render(np.load('map.npy'), {result_of((48, 64))!r}, title='net'))"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    assert other.stdout == first


def test_overlay_shows_where_the_map_is_weak(bell, result_of):
    overlay = np.zeros((64, 64, 3), dtype=np.uint8)
    overlay[..., 0] = 200
    plain = decoded(render(bell((64, 64), 5), result_of((64, 64))))
    mixed = decoded(render(bell((64, 64), 5), result_of((64, 64)), overlay=overlay))
    low = np.rint(0.35 * table("viridis")[0] + 0.65 * np.array([200, 0, 0])).astype(np.uint8)
    assert tuple(plain[TOP + 3, LEFT + 3]) == tuple(table("viridis")[0])
    assert tuple(mixed[TOP + 3, LEFT + 3]) == tuple(low)


def test_zero_map_is_drawn(result_of):
    for shape in ((30,), (30, 30), (9, 9, 9)):
        decoded(render(np.zeros(shape), result_of(shape)))


def test_the_inputs_are_left_alone(bell, result_of):
    values = bell((40, 40), 4)
    values.setflags(write=False)
    result = result_of((40, 40))
    before = repr(result)
    render(values, result)
    assert repr(result) == before


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.full((4, 4), np.nan), {}, "16 values that are not finite"),
        (np.full((4, 4), -0.5), {}, r"within \[0, 1\].*-0.5"),
        (np.full((4, 4), 2.0), {}, r"within \[0, 1\].*2"),
        (np.zeros((0, 4)), {}, "at least one pixel"),
        (np.zeros((2, 2, 2, 2)), {}, "1 to 3 axes"),
        (np.zeros((4, 4, 4)), {}, "the map has 3 axes, but the result's TRF box has 2"),
        (np.ones((4, 4)), {"scale": "cubic"}, "unknown scale 'cubic'; choose one of linear, sqrt, log"),
        (np.ones((4, 4)), {"colormap": "jet"}, "unknown colormap 'jet'; choose one of viridis, "),
        (np.ones((4, 4)), {"overlay": np.zeros((5, 4, 3), np.uint8)}, r"overlay's \(5, 4, 3\) uint8"),
        (np.ones((4, 4)), {"overlay": np.zeros((4, 4, 3))}, r"overlay's \(4, 4, 3\) float64"),
    ],
)
def test_what_cannot_be_drawn_is_said(values, options, message, result_of):
    with pytest.raises(ValueError, match=message):
        render(values, result_of((4, 4)), **options)
