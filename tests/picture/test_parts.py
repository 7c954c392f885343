"""Colour maps, scales, ticks, names and the parts of a page."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from erfscope_picture import COLORMAPS, SCALES, render
from erfscope_picture.axes import Window, round_ticks, spaced_ticks
from erfscope_picture.canvas import text_mask, text_width
from erfscope_picture.colormap import accent, colorize, table
from erfscope_picture.layout2d import fitted, is_stretched
from erfscope_picture.legend import Entry, rows
from erfscope_picture.line1d import envelope
from erfscope_picture.marks import read
from erfscope_picture.scale import label, placed, ticks
from erfscope_picture.scene import mark_entries, trf_strokes
from erfscope_picture.slices3d import through
from erfscope_picture.spans import shortest_span
from erfscope_picture.text import inert, number, shortened
from erfscope_picture.zoom import mass_spans, widened, zoomed


def luminance(colours):
    linear = (np.asarray(colours) / 255.0) ** 2.2
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", COLORMAPS)
def test_colormaps_grow_lighter_all_the_way(name):
    assert table(name).shape == (256, 3)
    assert (np.diff(luminance(table(name))) > -1e-3).all()
    assert luminance(table(name))[-1] - luminance(table(name))[0] > 0.6


@pytest.mark.parametrize("name", COLORMAPS)
def test_accents_are_far_from_their_colormap(name):
    distance = np.abs(table(name).astype(int) - np.array(accent(name))).sum(axis=1)
    assert distance.min() > 90


def test_colorize_takes_the_ends_of_the_table():
    np.testing.assert_array_equal(colorize(np.array([0.0, 1.0]), "viridis"), table("viridis")[[0, 255]])


@pytest.mark.parametrize("name", SCALES)
def test_scales_rise_from_0_to_1(name):
    places = placed(np.linspace(0, 1, 1001), name)
    assert places[0] == 0
    assert places[-1] == 1
    assert (np.diff(places) >= 0).all()
    assert "share of maximum" in label(name)


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("height", [72, 190, 680])
def test_scale_ticks_do_not_touch_and_name_the_maximum(name, height):
    kept = spaced_ticks(name, height)
    assert kept[0] == (1.0, "1")
    places = placed(np.array([share for share, _ in kept]), name) * height
    assert (np.diff(places) <= -16).all()
    assert set(kept) <= set(ticks(name))


def test_the_log_scale_shows_decades():
    assert [text for _, text in ticks("log")] == ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "1"]
    np.testing.assert_allclose(placed(np.array([1e-9, 1e-5, 1e-4, 0.1]), "log"), [0, 0, 0.2, 0.8], atol=1e-12)


@given(start=st.integers(0, 10**6), length=st.integers(0, 10**6), at_most=st.integers(1, 20))
def test_ticks_are_round_and_within(start, length, at_most):
    found = round_ticks(start, start + length, at_most)
    assert len(found) <= at_most
    assert all(start <= tick <= start + length for tick in found)
    steps = set(np.diff(found).tolist())
    assert len(steps) <= 1
    for step in steps:
        assert str(step).rstrip("0") in {"1", "2", "5"}
        assert all(tick % step == 0 for tick in found)


def test_ticks_of_an_image():
    assert round_ticks(0, 223, 10) == [0, 50, 100, 150, 200]
    assert round_ticks(0, 0, 2) == [0]


def test_window_puts_pixel_centres_in_the_middle_of_their_squares():
    window = Window((10, 14), (20, 24), 100, 200, 40, 80)
    assert (window.x(20), window.y(10)) == (105, 210)
    np.testing.assert_allclose(window.points(np.array([[13.0, 23.0]])), [[135, 270]])


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("/layer4/Conv_output_0", "/layer4/Conv_output_0"),
        ("a\x00b\x1b[31mc\u202ed", "ab[31mcd"),
        ("line\nbreak\ttab", "line break tab"),
        ("Schöne Größe", "Schone Gro?e"),
        ("モデル·σ", "???·?"),
        ("🙂" * 3, "???"),
        ("ⅷ ﬁ", "viii fi"),
    ],
)
def test_names_become_inert(name, plain):
    assert inert(name) == plain


@given(st.text(max_size=80))
def test_any_name_can_be_set(name):
    plain = inert(name)
    assert inert(plain) == plain
    mask = text_mask(plain, 14)
    assert mask.width >= text_width(plain, 14)


@given(text=st.text(alphabet="abcdefgh/", min_size=1, max_size=200), room=st.integers(40, 800))
def test_shortened_names_fit_and_keep_both_ends(text, room):
    short = shortened(text, lambda t: text_width(t, 14) <= room)
    assert text_width(short, 14) <= room
    if short != text:
        head, tail = short.split("…")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert 0 <= len(head) - len(tail) <= 1


def test_signs_the_font_lacks_are_drawn():
    for sign in "×√⁻⁵":
        assert np.asarray(text_mask(sign, 14)).max() > 128
        assert text_width(f"3{sign}3", 14) > text_width("33", 14)


@pytest.mark.parametrize(("value", "words"), [(41.234, "41.2"), (427.0, "427"), (1234.6, "1235"), (0.0961, "0.0961")])
def test_numbers(value, words):
    assert number(value) == words


def test_marks_in_words(result_of):
    marks = read(result_of((224, 224), size=427), 2)
    assert marks.trf == "TRF 427×427 (clipped)"
    assert marks.unit == "unit (7, 7)"
    assert marks.metrics == (
        "ERF 41.2 px · TRF 427 px · ratio 0.10 · centred box with 50 % of the mass 61 px · 32 samples · abs"
    )


@pytest.mark.parametrize(("shape", "unit"), [((224,), "samples"), ((24, 24, 24), "voxels")])
def test_marks_are_in_the_input_s_own_unit(result_of, shape, unit):
    words = read(result_of(shape, size=15), len(shape)).metrics
    assert f"ERF 41.2 {unit} · TRF 15 {unit}" in words
    assert words.count(unit) == 3 or unit == "samples"
    assert "px" not in words


def test_marks_leave_out_what_is_undefined(result_of):
    marks = read(result_of((224, 224), erf=None, is_global=True, layer="\x00"), 2)
    assert marks.metrics == "TRF global · centred box with 50 % of the mass 61 px · 32 samples · abs"
    assert marks.trf == "TRF: global (whole input)"
    assert marks.layer == "(unnamed layer)"


@pytest.mark.parametrize(
    ("local", "words"),
    [([[2, 7], [3, 10]], "TRF: global (5×7 without statistics)"), (None, "TRF: global (whole input)")],
)
def test_a_field_that_is_global_through_statistics_has_its_local_size(result_of, local, words):
    result = result_of((224, 224), is_global=True)
    assert read({**result, "trf": {**result["trf"], "local_box": local}}, 2).trf == words
    older = {name: value for name, value in result["trf"].items() if name != "local_box"}
    assert read({**result, "trf": older}, 2).trf == "TRF: global (whole input)"


def test_the_trf_box_is_drawn_on_its_outer_edges():
    window = Window((0, 10), (0, 10), 0, 0, 100, 100)
    ((points, _),) = trf_strokes(window, (10, 10), ((2, 5), (3, 40)), "viridis")
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([30, 20], [98, 50])
    assert trf_strokes(window, (10, 10), ((12, 15), (0, 4)), "viridis") == []


def test_a_trf_off_the_input_is_only_named(result_of):
    marks = read({**result_of((9, 9)), "trf": {**result_of((9, 9))["trf"], "box": [[20, 31], [0, 11]]}}, 2)
    assert mark_entries((9, 9), marks, "gray")[0].label == "TRF 11×11 (clipped), off the input"


@pytest.mark.parametrize(
    ("shape", "cap", "size"),
    [
        ((32, 32), (768, 768), (768, 768)),
        ((224, 224), (768, 768), (672, 672)),
        ((1024, 1024), (768, 768), (768, 768)),
        ((128, 512), (460, 1024), (256, 1024)),
        ((8, 2000), (460, 1024), (72, 1024)),
        ((1, 1), (768, 768), (768, 768)),
    ],
)
def test_panels_fit(shape, cap, size):
    assert fitted(shape, cap) == size


def test_slivers_are_known_to_be_stretched():
    assert is_stretched(Window((0, 8), (0, 2000), 0, 0, 1024, 72))
    assert not is_stretched(Window((0, 1024), (0, 1023), 0, 0, 680, 680))


def test_the_legend_wraps():
    entry = Entry("x" * 10)
    assert [len(row) for row in rows([entry] * 5, entry.width * 2 + 30)] == [2, 2, 1]


def test_a_small_spot_is_shown_larger_in_its_own_pixels(bell):
    values = np.roll(bell((1000, 1000), 10.0), (-300, 200), axis=(0, 1))
    (top, bottom), (left, right) = zoomed(values, (460, 460))
    assert top < 200 - 25 < 200 + 25 < bottom
    assert left < 700 - 25 < 700 + 25 < right
    assert bottom - top == right - left == 92  # 460 / 5
    assert zoomed(bell((224, 224), 60.0), (460, 460)) is None
    assert zoomed(np.zeros((50, 50)), (460, 460)) is None


def test_a_spot_in_the_corner_stays_within_the_map():
    values = np.zeros((300, 400))
    values[0, 399] = 1
    (top, bottom), (left, right) = zoomed(values, (460, 460))
    assert (top, right) == (0, 400)
    assert bottom == right - left == 16


def test_mass_spans_leave_equal_tails():
    line = np.full(200, 0.5)
    assert mass_spans(line, 0.5) == [(50, 150)]
    assert widened((0, 2), 10, 8) == (0, 8)


def test_shortest_span_holds_the_share():
    line = np.array([0, 1, 0, 4, 4, 1, 0.0])
    assert shortest_span(line, 0.5) == (3, 5)
    assert shortest_span(line, 0.9) == (3, 6)
    assert shortest_span(line, 1.0) == (1, 6)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any), st.sampled_from([0.5, 0.9, 0.99]))
def test_no_shorter_span_holds_it(values, share):
    line = np.array(values, dtype=np.float64)
    start, stop = shortest_span(line, share)
    wanted = share * line.sum() * (1 - 1e-9)
    assert line[start:stop].sum() >= wanted
    assert all(line[i : i + stop - start - 1].sum() < wanted for i in range(len(line)))


def test_envelope_keeps_the_peaks():
    line = np.zeros(1000)
    line[777] = 1
    mean, peak = envelope(line, 100)
    assert peak.max() == 1
    assert mean.max() == pytest.approx(0.1)
    repeated, _ = envelope(np.arange(3.0), 9)
    np.testing.assert_array_equal(repeated, [0, 0, 0, 1, 1, 1, 2, 2, 2])


def test_slices_go_through_the_nearest_voxel():
    assert through((3.5, -4.0, 99.0), (8, 8, 8)) == (4, 0, 7)


def test_a_small_spot_in_a_volume_is_shown_again_below(bell, result_of):
    wide, small = (decoded_size(render(bell((96, 96, 96), s), result_of((96, 96, 96)))) for s in (25, 3))
    assert small[1] > wide[1] + 200
    spot = np.roll(bell((96, 96, 96), 3), 40, axis=0)  # away from the planes through the centre
    assert decoded_size(render(spot, result_of((96, 96, 96))))[1] == wide[1]


def test_a_small_spot_on_a_line_is_shown_again_below(bell, result_of):
    wide, small = (decoded_size(render(bell((4000,), s), result_of((4000,)))) for s in (900, 10))
    assert small[1] > wide[1] + 100


def decoded_size(png):
    return Image.open(BytesIO(png)).size
