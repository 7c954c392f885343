"""What a number means is said where it is read: fields that the input limits, causal ones, other units of length."""

import json
from pathlib import Path
from typing import Any

import pytest

from erfscope import Result, compare
from erfscope._result import Origin
from erfscope.cli import show
from erfscope_contract import replknet
from erfscope_contract.lengths import Lengths, measured_in
from erfscope_contract.limits import LIMITED, bounds_of, is_limited_by_input
from erfscope_contract.numbers import digits, plain
from erfscope_contract.result import ErfResult

from .command_line import SPEC, Run
from .conftest import MAP, PNG, result_json


def measured(erf: dict[str, Any], **trf: Any) -> Result:
    body = result_json()
    body["erf"] |= erf
    body["trf"] |= trf
    return Result(ErfResult.model_validate(body), Origin(lambda unit, layer: MAP, lambda scale, colors, overlay: PNG))


FILLED: dict[str, Any] = {"size": 7.9, "ratio": 0.286, "ratio_clipped": 0.99, "limited": ["erf_size"]}
WIDE: dict[str, Any] = {"clipped": True, "size": [27, 27], "box": [[-9, 18], [-9, 18]]}


def test_a_field_that_fills_the_input_is_limited_by_it_in_every_text() -> None:
    result = measured(FILLED, **WIDE)
    assert is_limited_by_input(result.data)
    assert f"({LIMITED})" in show.summary(result, "net")
    assert "28.6" not in show.summary(result, "net")
    for text in (result.to_markdown(), result._repr_html_(), compare(result, result)._repr_html_()):
        assert LIMITED in text
        assert "0.286" not in text
    assert r"& -- $\dagger$ " in compare(result, result).to_latex(["erf_ratio", "erf_size"])
    assert "– †: limited by the input" in compare(result, result).to_markdown(["erf_ratio", "erf_size"])
    assert result.metrics["erf_ratio"] == 0.286  # the number stays for machines
    assert ",0.286," in compare(result, result).to_csv(["erf_ratio"])


def test_other_fields_keep_their_ratio() -> None:
    assert not is_limited_by_input(measured({"size": 3.5, "ratio": 0.13, "ratio_clipped": 0.44}, **WIDE).data)
    inside = measured({"size": 4.9, "ratio": 0.98, "ratio_clipped": 0.98})
    assert not is_limited_by_input(inside.data)
    assert "(98 %)" in show.summary(inside, "net")


def test_causal_and_global_fields_are_called_so() -> None:
    assert "of causal TRF 5x5 px" in show.summary(measured({}, causal=True), "net")
    assert "It is causal" in measured({}, causal=True).to_markdown()
    local = measured({}, **{"global": True, "local_box": [[2, 7], [2, 7]], "local_without": ["se"]})
    assert "a global TRF (5x5 px without statistics)" in show.summary(local, "net")


def test_a_causal_unit_of_a_signal_listens_back(run: Run, tmp_path: Path) -> None:
    """By half of a box, which is centred at the unit's place; never beyond the TRF."""
    pads, conv = {"type": "pad", "padding": [6, 0]}, {"type": "conv", "kernel_size": 7, "out_channels": 2}
    spec = {"name": "causal", "input": {"channels": 1, "size": [64]}, "layers": [pads, conv]}
    (tmp_path / "c.json").write_text(json.dumps(spec))
    done = run("measure", "c.json", "--inputs", "4", "--rate", "100", "-o", "c.json.md", "-o", "out.json")
    assert done.returncode == 0, done.stderr
    mass = json.loads((tmp_path / "out.json").read_text())["mass"]
    half, most = (digits(min(mass[share]["side"] / 2, 7) / 100, 3) for share in ("0.50", "0.99"))
    back = f"50 % within {half} s, 99 % within {most} s, all within 0.07 s"
    assert f"; listens back: {back};" in done.stdout
    assert "It listens back: 50 % within" in (tmp_path / "c.json.md").read_text()
    done = run("fit", "c.json", "--object", "30ms", "--rate", "100", "--inputs", "4")
    assert "Causal levels: half of the box is empty, so half of the mass lies in the last half: conv_1 " in done.stdout


def test_the_trf_without_statistics_has_a_row_only_where_it_is_another_size() -> None:
    local = measured({}, **{"global": True, "local_box": [[2, 5], [2, 5]], "local_without": ["se"]})
    for result, has_row in ((measured({}), False), (local, True)):
        (names, *_) = show.result_table(result, everything=True).columns
        assert ("trf_size_local" in names.cells) is has_row
        assert ("trf_size_local" in result._repr_html_()) is has_row
        assert ("TRF size without statistics" in result.to_markdown()) is has_row
        assert ("TRF size without statistics" in compare(result, result)._repr_html_()) is has_row


def test_lengths_in_other_units() -> None:
    volume = Lengths((2.0, 0.5, 1.0), "mm")
    assert measured_in("trf_size_z", 10.0, volume) == (20.0, "mm")
    assert measured_in("sigma_y", 10.0, volume) == (5.0, "mm")
    assert measured_in("erf_size", 10.0, volume) == (10.0, "mm")  # the geometric mean of the steps is 1
    assert measured_in("r50", 10.0, volume) == (10.0, "voxels")  # a distance has no one step
    assert measured_in("r50", 10.0, Lengths((2.0, 2.0), "mm")) == (20.0, "mm")
    assert measured_in("erf_ratio", 0.5, volume) == (0.5, "")
    assert measured_in("participation", 9.0, volume) == (9.0, "voxels")


def test_sound_is_in_samples_or_seconds(run: Run, tmp_path: Path) -> None:
    conv = {"type": "conv", "out_channels": 2, "kernel_size": 9, "padding": "same"}
    (tmp_path / "s.json").write_text(json.dumps({"input": {"channels": 1, "size": [400]}, "layers": [conv]}))
    plain = run("measure", "s.json", "--inputs", "1")
    assert "TRF 9 samples" in plain.stdout, plain.stderr
    seconds = run("measure", "s.json", "--inputs", "1", "--rate", "1000", "-o", "s.svg")
    assert "TRF 0.009 s" in seconds.stdout
    assert (tmp_path / "s.svg").exists()
    assert run("measure", "s.json", "--rate", "1000", "--spacing", "2").returncode == 2


def test_volumes_are_in_voxels_or_millimetres(run: Run, tmp_path: Path) -> None:
    conv = {"type": "conv", "out_channels": 1, "kernel_size": 3, "padding": "same"}
    (tmp_path / "v.json").write_text(json.dumps({"input": {"channels": 1, "size": [6, 6, 8]}, "layers": [conv]}))
    assert "TRF 3x3x3 voxels" in run("measure", "v.json", "--inputs", "1").stdout
    assert "TRF 6x1.5x1.5 mm" in run("measure", "v.json", "--inputs", "1", "--spacing", "2,0.5,0.5").stdout
    wrong = run("measure", "v.json", "--inputs", "1", "--spacing", "2,1")
    assert wrong.returncode == 2
    assert "one for each axis" in " ".join(wrong.stderr.replace("│", " ").split())


def test_images_stay_in_pixels(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    assert "TRF 5x5 px" in run("measure", "a.json", "--inputs", "1").stdout
    assert run("measure", "a.json", "--inputs", "1", "--rate", "8000").returncode == 2


@pytest.mark.parametrize("form", ["to_markdown", "_repr_html_"])
def test_reports_of_volumes_say_voxels(form: str) -> None:
    body = result_json()
    body["trf"] |= {"size": [5, 5, 5], "stride": [1, 1, 1], "box": [[1, 6]] * 3, "center": [3.0] * 3}
    body["input_shape"] = [1, 8, 8, 8]
    body["shape"]["offset"] = [0.0, 0.0, 0.0]
    result = Result(ErfResult.model_validate(body), Origin(lambda unit, layer: MAP, lambda scale, colors, overlay: PNG))
    assert "3.50 ± 0.12 voxels" in getattr(result, form)()


def test_r_of_the_script_at_its_largest_square_is_a_bound_in_every_text() -> None:
    body = result_json()
    size = body["input_shape"][-2:]
    ceiling = replknet.largest_ratio(size)
    result = measured({}, **WIDE)
    data = result.data.model_copy(update={"replknet": {"0.50": 0.2, "0.99": ceiling}})
    limited = Result(data, result._origin)
    assert "replknet_99" in bounds_of(data)
    assert "replknet_50" not in bounds_of(data)
    assert "r 99 % limited by the input" in repr(limited)
    assert repr(limited).count("%") == 1
    for text in (limited.to_markdown(), limited._repr_html_(), compare(limited, limited).to_markdown(["replknet_99"])):
        assert f"{plain(ceiling)} †" in text, "no lower bound: a share of a larger input may be smaller"
        assert "≥" not in text
    assert r"$\dagger$" in compare(limited, limited).to_latex(["replknet_99"])
    beyond = Result(data.model_copy(update={"replknet": {"0.99": None}}), result._origin)
    assert "| – † |" in compare(beyond, beyond).to_markdown(["replknet_99"])
    inside = data.model_copy(update={"trf": data.trf.model_copy(update={"clipped": False})})
    assert "replknet_99" not in bounds_of(inside)


def test_a_difference_of_one_step_of_the_scripts_grid_is_not_marked() -> None:
    base = measured({})
    size = base.data.input_shape[-2:]
    sides = [n**2 / (size[0] * size[1]) for n in (3, 5, 7)]
    assert sides[0] + replknet.step_of(sides[0], size) == pytest.approx(sides[1])
    made = [
        Result(
            base.data.model_copy(update={"replknet": {"0.50": r}, "stderr": {"replknet_50": 1e-6}}),
            base._origin,
        )
        for r in sides
    ]
    row = next(row for row in compare(*made).rows if row.metric == "replknet_50")
    assert not row.differs(1)
    assert "one step is" in replknet.grid_words({"0.50": sides[0], "0.99": None}, size)
    assert replknet.grid_words({"0.99": None}, size) == ""
