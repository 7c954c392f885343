"""What measuring in this process gives is as rich as what a service gives."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from erfscope import Comparison, Result, compare, errors
from erfscope_contract.problem import ProblemError
from erfscope_engine import Measurement, layers_of, measure, shown


@pytest.fixture(scope="module")
def measured() -> Measurement:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=1))
    return measure(net, (2, 12, 12), layer="1", inputs=4, layers="all", unit={"grid": [2, 2]})


def test_its_repr_is_a_line_and_a_notebook_sees_picture_and_table(measured: Measurement) -> None:
    assert repr(measured).startswith("<Measurement '1' unit [3, 3]: ERF ")
    assert repr(measured).endswith("TRF 3x3 px>")
    assert len(repr(measured)) < 100
    html = measured._repr_html_()
    assert html.startswith('<img alt="" src="data:image/png;base64,')
    assert "<code>erf_size</code>" in html


def test_numbers_are_those_of_the_sdk_s_result(measured: Measurement) -> None:
    result = measured.as_result
    assert isinstance(result, Result)
    assert measured.metrics == result.metrics
    assert measured.stderr == result.stderr
    assert result.name == "Sequential"


@pytest.mark.parametrize("ending", [".png", ".pdf", ".npy", ".json", ".csv", ".html", ".md"])
def test_it_is_saved_in_every_form(measured: Measurement, tmp_path: Path, ending: str) -> None:
    path = measured.save(tmp_path / f"result{ending}")
    assert path.stat().st_size > 0


def test_maps_of_units_and_layers(measured: Measurement) -> None:
    assert measured.array() is measured.map
    assert measured.units_map is not None
    assert measured.layers_map is not None
    assert np.array_equal(measured.array(unit=measured.result.units[1].unit), measured.units_map[1])
    assert np.array_equal(measured.array(layer="0"), measured.layers_map[0])


def test_it_is_plotted_and_compared(measured: Measurement) -> None:
    ax = Figure().add_subplot()
    assert measured.plot(ax, colormap="magma") is ax
    assert isinstance(measured.compare(measured, names=["a", "b"]), Comparison)
    assert compare(measured, measured.as_result).names == ["Sequential (1)", "Sequential (2)"]


def test_the_profile_is_drawn_on_axes_of_ones_own(measured: Measurement) -> None:
    ax = Figure().add_subplot()
    trf, stride, erf = measured.plot_profile(ax)
    assert trf.get_color() == stride.get_color() == erf[0].get_color()
    assert [label.get_text() for label in ax.get_xticklabels()] == [row.name for row in measured.result.layers]
    assert ax.get_ylabel() == "size (px)"
    with pytest.raises(errors.BadRequest, match='layers="all"'):
        measure(nn.Conv2d(1, 1, 3), (1, 8, 8), inputs=2).plot_profile(ax)


def test_a_profile_draws_boxes_of_the_mass_with_their_errors(measured: Measurement) -> None:
    ax = Figure().add_subplot()
    half, most = measured.plot_profile(ax, curves=["mass_50_side", "mass_99_side"])
    rows = measured.result.layers
    assert list(half[0].get_ydata()) == [row.mass["0.50"].side for row in rows]
    assert list(most[0].get_ydata()) == [row.mass["0.99"].side for row in rows]
    low, high = most[1][0].get_ydata(), most[1][1].get_ydata()
    assert list((high - low) / 2) == pytest.approx([row.stderr["mass_99_side"] or 0.0 for row in rows])
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["side 50 %", "side 99 %"]
    with pytest.raises(errors.BadRequest, match="mass_99_side"):
        measured.plot_profile(Figure().add_subplot(), curves=["mass_90_side"])


@pytest.mark.parametrize(
    ("arguments", "head", "remedy"),
    [
        ({"draws": 3}, "draws=3: a torch", r"measure\(make, shape, draws=3\)"),
        ({"draws": 3}, "draws=3: a torch", r"run\(module, weights='random', draws=3\)"),
        ({"weights": "random"}, "weights='random': a torch", r"run\(module, weights='random'\)"),
        ({"weights": "random"}, "weights='random': a torch", "kaiming_normal_"),
        ({"weights": "kaiming_normal"}, "weights='kaiming_normal': a torch", "--weights kaiming_normal`"),
        ({"weights": "ones", "draws": 2}, "weights='ones' and draws=2: a torch", "--weights ones --draws 2`"),
    ],
)
def test_weights_that_would_not_be_drawn_are_refused(arguments: dict[str, Any], head: str, remedy: str) -> None:
    with pytest.raises(ProblemError, match=f": {head}.*{remedy}"):
        measure(nn.Conv2d(1, 1, 3), (1, 8, 8), **arguments)


class Plateau(nn.Module):
    """A sharp centre on a wide floor that a ReLU opens for some samples alone: near the level of the ERF's size."""

    def __init__(self) -> None:
        super().__init__()
        self.floor = nn.Conv2d(1, 1, 15, padding=7, bias=False)
        nn.init.constant_(self.floor.weight, 0.09)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.relu(self.floor(x))


def test_a_size_that_is_hardly_known_comes_with_what_to_do() -> None:
    measured = measure(Plateau(), (1, 24, 24), inputs=6, layer="output")
    error, size = measured.stderr["erf_size"], measured.metrics["erf_size"]
    assert error is not None
    assert size is not None
    assert error > 0.1 * size
    assert "Take more samples" in " ".join(measured.result.provenance.notes)
    known = measure(nn.Conv2d(1, 1, 3), (1, 8, 8), inputs=4)
    assert "Take more samples" not in " ".join(known.result.provenance.notes)


def test_two_sizes_that_differ_much_come_with_what_they_mean() -> None:
    net = nn.Conv2d(1, 1, 9, padding=4, bias=False)
    nn.init.constant_(net.weight, 0.05)
    net.weight.data[0, 0, ::8, ::8] = 2.0  # four peaks at the corners
    apart = measure(net, (1, 24, 24), inputs=2)
    words = " ".join(apart.result.provenance.notes)
    size, peak = apart.metrics["erf_size"], apart.metrics["erf_size_peak"]
    assert (size, peak) == (9, 2)
    assert "erf_size is 9 px" in words
    assert "erf_size_peak 2 px" in words
    assert "Cite erf_size" in words
    plain = measure(nn.Conv2d(1, 1, 3), (1, 8, 8), inputs=4)
    assert "Cite erf_size" not in " ".join(plain.result.provenance.notes)


def test_a_peak_on_a_wide_skirt_comes_with_what_the_erf_does_not_tell() -> None:
    """Of a kernel of 15×15 only the middle is above the level, and nine tenths of the mass lie outside of it."""
    net = nn.Conv2d(1, 1, 15, padding=7, bias=False)
    nn.init.constant_(net.weight, 0.04)
    with torch.no_grad():
        net.weight[0, 0, 7, 7] = 1.0
    result = measure(net, (1, 32, 32), inputs=1).result
    (note,) = result.provenance.notes
    assert result.erf.size == 1
    assert note.startswith("Peaked (erf_size 1 px; mass_50_side, the side of the box with half of the mass, 10.")
    assert "read mass_50_side and r90" in note


def test_a_gridded_map_comes_with_what_it_means_and_what_to_do() -> None:
    net = nn.Conv2d(1, 1, 5, dilation=2, padding=4, bias=False)
    nn.init.constant_(net.weight, 1.0)
    (note,) = measure(net, (1, 24, 24), inputs=1).result.provenance.notes
    assert note.startswith("The map is gridded (lattice 1; 0 is even, 1 a strict grid)")
    assert "Take dilations by turns" in note
    assert "counts the pixels above its level as if they lay in one square, without the holes" in note
    even = measure(nn.Conv2d(1, 1, 5, padding=2), (1, 24, 24), inputs=1)
    assert "gridded" not in " ".join(even.result.provenance.notes)


def test_trained_is_the_word_for_the_weights_that_a_module_has() -> None:
    net = nn.Conv2d(1, 1, 3)
    named, plain = measure(net, (1, 8, 8), inputs=1, weights="trained"), measure(net, (1, 8, 8), inputs=1)
    assert np.array_equal(named.map, plain.map)


def test_without_the_sdk_a_measurement_says_what_to_install(
    measured: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    none: Callable[..., tuple[Any, ...]] = lambda group: ()  # noqa: E731 – as short as what it stands for
    monkeypatch.setattr(shown, "entry_points", none)
    alone = Measurement(measured.result, measured.map)
    with pytest.raises(ProblemError, match=r"erfscope\[local\]"):
        alone.save("x.png")


@pytest.mark.parametrize(("sharpness", "largest"), [(8.0, 11**2 / 12**2), (4.0, None)])
def test_notes_give_the_steps_of_the_scripts_r_and_say_where_the_input_limits_it(
    sharpness: float, largest: float | None
) -> None:
    net, at = nn.Conv2d(1, 1, 15, padding=7), torch.linspace(-1, 1, 15)
    with torch.no_grad():
        net.weight.copy_(torch.exp(-sharpness * (at[:, None] ** 2 + at**2)))
        net.bias.fill_(1000.0)  # type: ignore[union-attr]  # every output is positive
    measured = measure(net, (1, 12, 12), inputs=1, protocol="replknet")
    notes = " ".join(measured.result.provenance.notes)
    assert "r lies on a grid" in notes
    assert "replknet_99: limited by the input" in notes
    assert "r 99 % limited by the input" in repr(measured)
    assert measured.metrics["replknet_99"] == (None if largest is None else pytest.approx(largest))


def test_every_metric_has_an_error_or_none() -> None:
    once = measure(nn.Conv2d(1, 1, 3), (1, 8, 8), inputs=1)
    for result in (once, once.as_result):
        assert result.stderr["erf_size"] is None
        assert result.stderr.keys() == result.metrics.keys()
        with pytest.raises(KeyError, match="erf_size"):
            result.stderr["erfsize"]
        with pytest.raises(KeyError, match="protocol='both' or 'replknet'"):
            result.metrics["replknet_50"]


def test_lengths_of_a_figure_in_seconds_and_millimetres(measured: Measurement, tmp_path: Path) -> None:
    sound = measure(nn.Conv1d(1, 1, 3), (1, 32), inputs=2)
    assert sound.plot(Figure().add_subplot(), rate=16_000).get_xlabel() == "x (s)"
    assert "mm" in measured.plot(Figure().add_subplot(), spacing=0.5).get_xlabel()
    assert measured.compare(measured).save(tmp_path / "both.pdf", spacing=[2, 0.5]).is_file()
    with pytest.raises(errors.BadRequest, match="must have one axis"):
        measured.save(tmp_path / "map.pdf", rate=16_000)
    with pytest.raises(TypeError, match="rate, spacing"):
        measured.plot(Figure().add_subplot(), lengths="mm")


torch.manual_seed(0)  # of other weights, a ReLU may be dead in both samples
NET = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1), nn.ReLU())


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("every:2", ["1", "output"]),
        (["[12]"], ["1", "2"]),
        (["output", "0"], ["0", "output"]),
        ("3", ["3"]),
        (["[3o]*"], ["output"]),
        ("all", ["0", "1", "2", "output"]),
    ],
)
def test_the_profile_of_some_layers(layers: str | list[str], names: list[str]) -> None:
    shares: list[float] = []
    some = measure(NET, (1, 12, 12), inputs=2, layers=layers, progress=lambda _, share: shares.append(share))
    assert [row.name for row in some.result.layers] == names
    whole = {row.name: row for row in measure(NET, (1, 12, 12), inputs=2, layers="all").result.layers}
    whole["3"] = whole["output"].model_copy(update={"name": "3"})  # a layer is called as it was asked for
    assert list(some.result.layers) == [whole[name] for name in names]
    assert shares == sorted(shares), "progress is over the unit and its profile"


@pytest.mark.parametrize(("layers", "words"), [(["out"], "Did you mean 'output'"), ("every:0", "has no step")])
def test_layers_of_a_profile_that_are_not_there(layers: str | list[str], words: str) -> None:
    with pytest.raises(ProblemError, match=words):
        measure(NET, (1, 12, 12), inputs=2, layers=layers)


def test_layers_are_printed_in_a_line_with_their_other_names() -> None:
    stages = OrderedDict(stage1=nn.Conv2d(1, 4, 3), stage2=nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()))
    layers = layers_of(nn.Sequential(stages), (1, 16, 16))
    assert repr(layers[0]) == "stage1  Conv2d  4x14x14"
    assert repr(layers[-1]) == "output  Sequential  4x12x12  (also stage2.1, stage2)"
    assert measure(nn.Sequential(stages), (1, 16, 16), layer=layers[-1].aliases[-1], inputs=1).result.trf.size == [5, 5]


def test_the_scripts_r_where_its_outputs_are_never_above_0() -> None:
    net = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.constant_(net.bias, -1000.0)  # type: ignore[arg-type]
    measured = measure(net, (1, 12, 12), inputs=2, protocol="both")
    assert measured.metrics["erf_size"] is not None
    assert "replknet_50" not in measured.metrics
    assert any("r has no value" in note for note in measured.notes)
    with pytest.raises(ProblemError, match="measures one unit"):
        measure(net, (1, 12, 12), inputs=2, protocol="both", unit={"grid": [2, 2]})


def test_the_trf_without_statistics_is_a_metric() -> None:
    normed = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 1, 3, padding=1))
    measured = measure(normed, (1, 16, 16), inputs=2)
    assert (measured.metrics["trf_size"], measured.metrics["trf_size_local"]) == (16, 5)
    assert measure(NET, (1, 16, 16), inputs=2).metrics["trf_size_local"] == 5
    pooled = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), Everywhere())
    assert measure(pooled, (1, 16, 16), inputs=2).metrics["trf_size_local"] is None
    assert "TRF without statistics (px)" in measured.compare(measured).to_markdown()


class Everywhere(nn.Module):
    """Attention without weights: each place sees all others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(2)
        return (torch.softmax(rows.transpose(1, 2) @ rows, -1) @ rows.transpose(1, 2)).transpose(1, 2).reshape(x.shape)
