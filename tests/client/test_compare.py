"""Results side by side: what differs by more than its error."""

import json
from pathlib import Path

import pytest
from tests.gate.conftest import onnx_model

from erfscope import Result, compare, errors
from erfscope._result import Origin
from erfscope_contract.replknet import grid_words
from erfscope_contract.result import ErfResult, Verify

from .command_line import SPEC, Run
from .conftest import MAP, PNG, result_json


def made(size: float, error: float | None, name: str = "net.onnx") -> Result:
    body = result_json()
    body["erf"] = body["erf"] | {"size": size}
    body["stderr"] = {"erf_size": error}
    return Result(
        ErfResult.model_validate(body), Origin(lambda unit, layer: MAP, lambda scale, colors, overlay: PNG), name=name
    )


def verified(result: Result, difference: float) -> Result:
    """The same with a verification."""
    data = result.data.model_copy(update={"verify": Verify(relative_difference=difference)})
    return Result(data, result._origin, name=result.name)


def test_a_difference_counts_where_it_is_more_than_its_error() -> None:
    rows = {row.metric: row for row in compare(made(10.0, 0.3), made(11.0, 0.4), made(12.0, 0.4)).rows}
    size = rows["erf_size"]
    assert size.difference(1) == 1
    assert size.error(1) == pytest.approx(0.5)
    assert not size.differs(1)
    assert size.differs(2)
    assert not rows["trf_size"].differs(1)  # exact and equal


def test_verification_is_rounding_and_is_never_a_difference() -> None:
    results = [verified(made(10, 0.1, name), difference) for name, difference in (("a", 1e-7), ("b", 9e-7))]
    rows = {row.metric: row for row in compare(*results).rows}
    assert rows["verify_difference"].difference(1) == pytest.approx(8e-7)
    assert not rows["verify_difference"].differs(1)
    assert "<td>difference to plain autograd</td><td>1e-07</td><td>9e-07</td>" in compare(*results)._repr_html_()
    assert "plain autograd" in compare(results[0], made(10, 0.1))._repr_html_()
    assert "plain autograd" not in compare(made(10, 0.1), made(10, 0.1))._repr_html_()


def test_names_tell_results_apart() -> None:
    assert compare(made(1, 0.1), made(2, 0.1)).names == ["net.onnx (1)", "net.onnx (2)"]
    assert compare(made(1, 0.1), made(2, 0.1), names=["before", "after"]).names == ["before", "after"]
    with pytest.raises(errors.InvalidRequest, match="1 names for 2 results"):
        compare(made(1, 0.1), made(2, 0.1), names=["one"])
    with pytest.raises(errors.InvalidRequest, match="int is not a result"):
        compare(made(1, 0.1), 3)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidRequest, match="unit=3 is no index"):
        made(1, 0.1).array(unit=3)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidRequest, match="two results"):
        compare(made(1, 0.1))


def test_a_notebook_shows_what_differs_in_bold_and_names_as_text() -> None:
    html = compare(made(10, 0.1, "<b>x</b>"), made(20, 0.1))._repr_html_()
    assert "&lt;b&gt;x" in html
    assert "<b>20.00 ± 0.10</b>" in html
    assert "<b>10.00" not in html


def test_pictures_and_tables() -> None:
    both = compare(made(10, 0.1), made(20, 0.1))
    assert both.png().startswith(b"\x89PNG")
    pytest.importorskip("pandas")
    frame = both.to_dataframe()
    assert list(frame.loc["erf_size"]) == [10, 0.1, 20, 0.1]


def test_the_command_marks_what_differs(run: Run, tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / f"{n}.json").write_text(json.dumps(SPEC | {"name": f"net-{n}", "layers": SPEC["layers"][:n]}))  # type: ignore[index]
    done = run("compare", "1.json", "2.json", "--inputs", "4", "-o", "both.png")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("TRF size"))
    assert line.split()[-3:] == ["3", "5", "*"]
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(run("compare", "1.json", "2.json", "--inputs", "4", "--json").stdout)
    assert [found[name]["trf"]["size"] for name in ("net-1", "net-2")] == [[3, 3], [5, 5]]


def test_models_have_the_names_that_were_given(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    (tmp_path / "b=c.json").write_text(json.dumps(SPEC))
    words = ("Ours (5 layers)=a.json@random", "b=c.json@ones", "--inputs", "2")
    done = run("compare", *words, "--format", "csv", "--metrics", "trf_size")
    assert done.returncode == 0, done.stderr
    names = [line.split(",")[:2] for line in done.stdout.splitlines()[1:]]
    assert names == [["Ours (5 layers)", "random"], ["tiny", "ones"]]
    unknown = run("compare", "x=a.json@gaussian", "a.json")
    assert (unknown.returncode, "no weights 'gaussian'" in unknown.stderr) == (2, True)


def test_random_is_one_word_for_all_commands(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC | {"init": "ones"}))
    for words in (("--weights", "random"), ("--weights", "kaiming_normal")):
        done = run("measure", "a.json", "--inputs", "1", "--json", *words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["provenance"]["weights"] == "kaiming_normal"


def test_each_model_may_have_a_layer_of_its_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    words = ("compare", "one=a.json", "two=a.json", "--inputs", "1", "--json")
    names = json.loads(run("layers", "a.json", "--json").stdout)["layers"]
    first, last = names[0]["name"], names[-1]["name"]
    done = run(*words, "--layer", last, "--layer", f"one={first}")
    assert done.returncode == 0, done.stderr
    assert {name: one["layer"]["name"] for name, one in json.loads(done.stdout).items()} == {"one": first, "two": last}
    twice = run(*words, "--layer", first, "--layer", last)
    assert (twice.returncode, "NAME=VALUE for one of one, two" in " ".join(twice.stderr.split())) == (2, True)
    named = run(*words, "--input-name", "one=nosuch")
    assert (named.returncode, "nosuch" in named.stderr) == (2, True)


def test_a_size_that_the_input_limits_is_a_bound() -> None:
    wide = made(14.0, 0.1, "wide")
    trf = wide.data.trf.model_copy(update={"clipped": True})
    erf = wide.data.erf.model_copy(update={"limited": ["erf_size"]})
    limited = Result(wide.data.model_copy(update={"trf": trf, "erf": erf}), wide._origin, name="wide")
    both = compare(made(10.0, 0.1, "small"), limited)
    metrics = ["erf_size", "erf_ratio"]
    assert "| wide | ≥ 14 | – † |" in both.to_markdown(metrics)
    assert "| small | 10.00 ± 0.10 |" in both.to_markdown(metrics)
    table, note = both.to_latex(metrics).split(r"\end{tabular}")[:2]
    assert r"$\geq$ 14 &" in table
    assert r"$\geq$: limited by the input, a lower bound without $\pm$." in note
    assert r"-- $\dagger$: limited by the input, which leaves no number." in note.replace("–", "--")
    assert "undefined" not in note
    assert "wide,14.0,0.1,,,erf_size,plain" not in both.to_csv(["erf_size"])
    heads, small, line = both.to_csv(metrics).splitlines()
    assert dict(zip(heads.split(","), line.split(","), strict=False))["limited"] == "erf_size"
    assert dict(zip(heads.split(","), small.split(","), strict=False))["limited"] == ""
    assert "≥ 14" in both._repr_html_()


def test_the_caption_names_unit_and_channels_where_the_results_differ() -> None:
    results = []
    for unit, channels in (([4, 4], "sum"), ([0, 0], "random"), ([7, 3], "0, 5")):
        result = made(10.0 + unit[0], 0.1)
        provenance = result.data.provenance.model_copy(update={"channels": channels})
        layer = result.data.layer.model_copy(update={"shape": [16, 8, 8], "spatial_axes": [1, 2]})
        data = result.data.model_copy(update={"unit": unit, "provenance": provenance, "layer": layer})
        results.append(Result(data, result._origin))
    units = compare(*results, names=["middle", "corner", "side"])
    words = "unit (4, 4) of 8×8 / (0, 0) of 8×8 / (7, 3) of 8×8; channels sum / random signs / 0, 5;"
    assert words in units.measuring[0]
    assert "unit (4, 4) of 8×8" in units.to_markdown(["erf_size"])
    assert "channels sum / random signs" in units.to_latex(["erf_size"])
    assert '"(0, 0) of 8×8",random signs' in units.to_csv(["erf_size"])


def test_what_is_one_for_each_model_is_told_once_for_each() -> None:
    names = [("one", "given"), ("one", "random"), ("other", "given"), ("other", "random")]
    layers, seeds = ["a", "a", "b", "b"], [0, 0, 0, 0]
    results = []
    for n, (layer, seed) in enumerate(zip(layers, seeds, strict=True)):
        result = made(10.0 + n, 0.1)
        provenance = result.data.provenance.model_copy(update={"layer": layer, "seed": seed})
        results.append(Result(result.data.model_copy(update={"provenance": provenance}), result._origin))
    note = compare(*results, names=names).to_latex(["erf_size"]).split(r"\end{tabular}")[1]
    assert "Layer a / b;" in note
    assert "Several values are those of the models, from top to bottom." in note


def test_r_without_its_protocol_says_why_it_is_missing() -> None:
    note = compare(made(10.0, 0.1), made(11.0, 0.1)).to_latex(["replknet_50"]).split(r"\end{tabular}")[1]
    assert "only where it was measured with protocol replknet" in note
    assert "lies on a grid" not in note
    assert "undefined" not in note, "nobody asked for it"


def test_rows_with_and_without_r_side_by_side() -> None:
    body = result_json() | {"replknet": {"0.50": 0.25}}
    with_r = Result(ErfResult.model_validate(body), made(1, 0.1)._origin, name="with r")
    note = compare(made(10.0, 0.1), with_r).to_latex(["erf_size", "replknet_50"]).split(r"\end{tabular}")[1]
    assert r"so one step is 0.31 at 50 \%." in note, "from 4 x 4 pixels of 8 x 8 to 6 x 6"
    assert "lies on a grid" in compare(with_r, with_r).to_markdown(["replknet_50"])
    assert "only where it was measured with protocol replknet" in note
    assert "undefined" not in note


def test_a_global_trf_is_no_number_of_pixels_in_the_terminal(run: Run, tmp_path: Path) -> None:
    normed = [{"type": "instance_norm"}, {"type": "relu"}]
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "normed.json").write_text(json.dumps({**SPEC, "name": "normed", "layers": [*SPEC["layers"], *normed]}))
    done = run("compare", "spec.json", "normed.json", "--inputs", "2")
    assert done.returncode == 0, done.stderr
    line, local = (line for line in done.stdout.splitlines() if line.startswith("TRF size"))
    assert line.split()[-2:] == ["global", "*"]
    assert local.startswith("TRF size without statistics px")


def test_axes_are_as_many_as_maps() -> None:
    with pytest.raises(errors.BadRequest, match="1 axes for 2 maps"):
        compare(made(10.0, 0.1), made(11.0, 0.1)).plot([object()])


def test_one_measurement_under_two_names_is_told() -> None:
    twins = compare(made(10.0, 0.1), made(10.0, 0.1), made(11.0, 0.1), names=["a", "b", "c"])
    assert [note for note in twins.notes if note.startswith("a, b: The same numbers")]
    assert sum("The same numbers" in note for note in twins.notes) == 1


def test_how_channels_are_weighed_is_told_where_it_differs() -> None:
    one, other = made(10.0, 0.1, "one"), made(11.0, 0.1, "other")
    assert not any("weighted" in note for note in compare(one, other).notes)
    provenance = other.data.provenance.model_copy(update={"channels": "random"})
    signs = Result(other.data.model_copy(update={"provenance": provenance}), other._origin, name="other")
    assert (
        "other: The channels of its unit are weighted by random signs (channels random)." in compare(one, signs).notes
    )


def test_heads_name_a_statistic_that_is_not_the_usual_one() -> None:
    result = made(10.0, 0.1)
    provenance = result.data.provenance.model_copy(update={"statistic": "relu"})
    rectified = Result(result.data.model_copy(update={"provenance": provenance}), result._origin, name="r")
    assert "| ERF (relu, px) | TRF (px) |" in compare(rectified, rectified).to_markdown(["erf_size", "trf_size"])
    assert "| ERF (px) |" in compare(result, result).to_markdown(["erf_size"])


def test_one_model_is_no_comparison(run: Run) -> None:
    done = run("compare", "preset:plain-20-relu")
    assert done.returncode == 2
    assert "two models or more" in done.stderr


def test_a_folder_that_is_missing_is_told_before_anything_is_measured(run: Run) -> None:
    done = run("compare", "nosuch.json", "nosuch.json", "-o", "nowhere/x.png")
    assert done.returncode == 2
    assert "nowhere is not a folder" in " ".join(done.stderr.split())


def test_grids_and_profiles_are_tables(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    done = run("measure", "spec.json", "--unit", "grid:2x2", "--profile", "--inputs", "4", "-o", "r.html", "-o", "r.md")
    assert "By position" in done.stdout
    assert "Along depth" in done.stdout
    assert "<h1>Receptive field of tiny" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.md").read_text().startswith("# Receptive field of tiny")


def test_volumes_side_by_side(run: Run, tmp_path: Path) -> None:
    conv = {"type": "conv", "out_channels": 1, "kernel_size": 3, "padding": "same"}
    (tmp_path / "d3.json").write_text(json.dumps({"input": {"channels": 1, "size": [4, 6, 8]}, "layers": [conv]}))
    done = run("compare", "d3.json", "d3.json", "--inputs", "1", "-o", "c.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_of_a_paper_says_below_it_how_it_was_measured_and_what_its_marks_mean() -> None:
    body = result_json()
    body["erf"] |= {"size": None}
    body["provenance"] |= {"layer": "a_b", "seed": 3}
    origin = Origin(lambda unit, layer: MAP, lambda scale, colors, overlay: PNG)
    unknown = Result(ErfResult.model_validate(body), origin, name="unknown")
    note = compare(unknown, made(10.0, 0.1)).to_latex(["erf_size"]).split(r"\end{tabular}")[1]
    assert r"Layer a\_b / " in note
    assert "seed 3 / " in note
    assert "weights the model's own" in note
    assert "Several values are those of the rows" in note
    assert r"$\pm$ is one standard error over the inputs" in note
    assert "--: no value" in note
    assert r"$\geq$" not in note
    plain_note = compare(made(10.0, 0.1, "a"), made(11.0, 0.1, "b")).to_latex(["erf_size"]).split(r"\end{tabular}")[1]
    assert "--" not in plain_note
    assert "Several" not in plain_note


def limited(result: Result) -> Result:
    """The same, of a field that reaches the input's border."""
    body = result.data.model_dump(mode="json", by_alias=True)
    body["trf"] |= {"clipped": True}
    body["erf"] |= {"limited": ["erf_size"]}
    return Result(ErfResult.model_validate(body), result._origin, name=result.name)


@pytest.mark.parametrize(
    ("first", "other", "differs"),
    [
        (limited(made(10, 0.1)), limited(made(11, 0.1)), False),  # both may be larger than they are
        (limited(made(10, 0.1)), made(11, 0.1), False),  # the first may be as large
        (limited(made(10, 0.1)), made(9, 0.1), True),  # the first is at least 10
        (made(10, 0.1), limited(made(9, 0.1)), False),
        (made(10, 0.1), limited(made(11, 0.1)), True),
        (made(10, 0.1), made(11, 0.1), True),
    ],
)
def test_a_bound_that_the_input_sets_differs_only_from_what_is_below_it(
    first: Result, other: Result, differs: bool
) -> None:
    rows = {row.metric: row for row in compare(first, other).rows}
    assert rows["erf_size"].differs(1) == differs
    if first.data.trf.clipped or other.data.trf.clipped:
        assert not rows["erf_ratio"].differs(1), "no number stands there"


def noted(name: str, *notes: str) -> Result:
    body = result_json()
    body["provenance"] |= {"notes": list(notes)}
    body["erf"]["size"] += ord(name) / 1e6  # no two are the same measurement
    return Result(
        ErfResult.model_validate(body), Origin(lambda unit, layer: MAP, lambda scale, colors, overlay: PNG), name=name
    )


def scripted(*notes: str) -> Result:
    """A result by RepLKNet's script."""
    data = noted("b", *notes).data.model_copy(update={"replknet": {"0.50": 0.25}})
    return Result(data, Origin(lambda unit, layer: MAP, lambda scale, colors, overlay: PNG), name="b")


def test_notes_of_results_stand_beside_every_comparison() -> None:
    both = compare(noted("a", "18 scales are 0 <b>", "of both"), noted("b", "of both"))
    assert both.notes == ["a: 18 scales are 0 <b>", "of both"]
    assert "<li>a: 18 scales are 0 &lt;b&gt;</li><li>of both</li>" in both._repr_html_()
    assert "2 notes in .notes" in repr(both)
    lines = both.to_latex().splitlines()
    assert lines[1:3] == ["% note: a: 18 scales are 0 <b>", "% note: of both"]
    assert "notes" not in repr(compare(noted("a"), noted("b")))
    body = result_json() | {"replknet": {"0.50": 0.25}}
    grid = grid_words(body["replknet"], body["provenance"]["input_shape"][-2:])
    assert grid
    assert compare(noted("a", "kept"), limited(scripted(grid, "kept"))).notes == ["kept"], "the table says it once"


def test_the_command_prints_notes_and_refuses_trained_weights_of_a_spec(run: Run, tmp_path: Path) -> None:
    still = [{"type": "conv", "out_channels": 4, "kernel_size": 3}, {"type": "sigmoid"}] * 14
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "still.json").write_text(json.dumps({"input": {"channels": 1, "size": [9, 9]}, "layers": still[:4]}))
    done = run("compare", "spec.json", "still.json", "--inputs", "2", "--protocol", "replknet")
    assert done.returncode == 0, done.stderr
    assert "note: " in done.stdout
    refused = run("compare", "A=spec.json@random", "A=spec.json@trained")
    assert refused.returncode == 2
    assert "a spec has no trained weights" in " ".join(refused.stderr.replace("│", " ").split())


def test_draws_are_for_models_whose_weights_are_drawn(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(onnx_model())
    pair = ("compare", "net.onnx@random", "net.onnx@trained", "--draws", "3", "--inputs", "2")
    done = run(*pair, "--json")
    assert done.returncode == 0, done.stderr
    random, trained = json.loads(done.stdout).values()
    assert [one["provenance"][name] for one in (random, trained) for name in ("draws", "samples")] == [3, 6, 1, 6]
    table = run(*pair, "--format", "latex").stdout
    assert "samples 3 draws of the weights, 2 inputs each (normal) / 6 inputs (normal)" in table
    alone = run("compare", "net.onnx", "net.onnx@trained", "--draws", "3")
    assert alone.returncode == 2
    assert "it asks for several draws of the weights" in " ".join(alone.stderr.replace("│", " ").split())


def test_a_number_without_an_error_says_why() -> None:
    same = compare(made(10.0, 0.0, "same"), made(11.0, 0.1))
    assert r"same & 10 $\pm$ 0 \\" in (table := same.to_latex(["erf_size"]))
    assert r"$\pm$ 0: the number is the same in all parts of the samples." in table
    assert "| same | 10 ± 0 |" in same.to_markdown(["erf_size"])
    single = compare(made(10.0, None, "single"), made(11.0, 0.1)).to_latex(["trf_size", "erf_size"])
    assert r"No $\pm$: the number is exact, or one sample has no standard error." in single
    assert r"$\pm$ 0 " not in single
    assert r"$\pm$ 0:" not in single
    for words in ("No $", "same in all parts"):
        assert words not in compare(made(10.0, 0.2, "other"), made(11.0, 0.1)).to_latex(["trf_size", "erf_size"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("erfsize", "did you mean erf_size"),
        ("sigma1", "did you mean .*sigma_1"),
        ("zzz", r"`result\.metrics` has the names"),
    ],
)
def test_a_metric_that_is_not_there_has_near_names(name: str, words: str) -> None:
    with pytest.raises(errors.BadRequest, match=f"there is no metric '{name}'; {words}"):
        compare(made(10.0, 0.2), made(11.0, 0.1)).to_latex([name])


def test_the_erf_and_the_scripts_r_in_one_row(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    pair = ("compare", "A=spec.json", "B=spec.json", "--inputs", "4", "--seed", "3")
    both = json.loads(run(*pair, "--metrics", "erf_size,r", "--json").stdout)["A"]
    script = json.loads(run(*pair, "--protocol", "replknet", "--json").stdout)["A"]
    alone = json.loads(run(*pair, "--json").stdout)["A"]
    assert both["replknet"] == script["replknet"]
    assert both["erf"] == alone["erf"]
    assert both["stderr"] == alone["stderr"] | {
        name: error for name, error in script["stderr"].items() if name.startswith("replknet_")
    }
    assert (both["provenance"]["protocol"], both["provenance"]["statistic"]) == ("both", "abs")
    table = run(*pair, "--metrics", "erf_size,r", "--format", "latex").stdout
    assert r"model & ERF (px) & $r_{20\,\%}$ & $r_{30\,\%}$ & $r_{50\,\%}$ & $r_{99\,\%}$" in table
    assert r"$r$ is the area of RepLKNet's script." in table
    assert "samples 4 inputs (normal); seed 3;" in table
    assert "protocol Luo et al. 2016, for $r$ RepLKNet's script (statistic relu)." in table
    assert "protocol Luo" in run(*pair, "--protocol", "both").stdout
