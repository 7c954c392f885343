"""What reports and the terminal say of a result beside its metrics; only what there is to say."""

import csv
import io

import pytest
from tests.client.conftest import modern_result_json, result_json

from erfscope._result import Measured
from erfscope.cli import show
from erfscope.report import content_of, to_html, to_markdown
from erfscope.report.facts import box_text
from erfscope.report.profile import profile_csv
from erfscope.report.remarks import remarks_of
from erfscope_contract.result import ErfResult

MODERN = ErfResult.model_validate(modern_result_json())
OLDER = ErfResult.model_validate(result_json())


def facts(result: ErfResult) -> dict[str, str]:
    return dict(content_of(result, "net").facts)


def tables(result: ErfResult) -> dict[str, list[list[str]]]:
    return {table.title: [list(row) for row in table.rows] for table in content_of(result, "net").tables}


def changed(trf: dict[str, object]) -> ErfResult:
    body = result_json()
    return ErfResult.model_validate(body | {"trf": body["trf"] | trf})


def test_a_report_says_where_the_unit_sits_and_what_it_reads() -> None:
    told = facts(MODERN)
    assert told["projected centre"] == "4.5, 7 px"
    assert told["TRF box"] == "-1 … 9, 0 … 8 px"
    assert told["read on this image"] == "0 … 8, 0 … 8 px"
    assert told["TRF stride"] == "2×varies px"
    assert told["tiles"] == (
        "start at multiples of 2×2 px; units read up to 5.5×7 px before and 4.5×0 px after their centre (the halo, "
        "counted from a tile's edge, may differ: erfscope tiles)"
    )
    assert told["causal"] == "the unit reads nothing behind its own place"
    assert told["global"] == "through norm_1, norm_2; without the statistics of norm_1, norm_2: 2 … 7, 3 … 8 px"


def test_a_report_says_how_it_was_measured() -> None:
    told = facts(MODERN)
    assert told["verified"] == "relative difference to plain autograd 3.1e-07"
    assert told["autograd"] == "1 operator ran on whole tensors"
    assert told["layer"].endswith("; auto took it and passed over 4 tensors")


def test_reasons_stand_in_tables_of_their_own() -> None:
    told = tables(MODERN)
    assert [row[0] for row in told["Passed over by auto, nearest to the output first"]] == [
        "logits", "<i>gate</i>", "pool", "stem",
    ]  # fmt: skip
    assert told["Run by autograd on whole tensors"] == [["aten.stft", "windows of a complex tensor"]]


def test_an_older_result_has_no_empty_rows() -> None:
    assert list(facts(OLDER)) == [
        "layer", "unit", "input", "projected centre", "TRF box", "TRF stride", "average", "method", "made by",
    ]  # fmt: skip
    assert facts(OLDER)["layer"] == "/last/Conv (Conv, shape [4, 8, 8])"
    names = {row[2] for rows in tables(OLDER).values() for row in rows}
    assert "erf_size" in names
    assert not names & {"mass_before", "verify_difference"}
    assert "Passed over by auto, nearest to the output first" not in tables(OLDER)


@pytest.mark.parametrize(
    ("trf", "name", "words"),
    [
        ({"alignment": [8, 8]}, "tiles", "start at multiples of 8×8 px"),
        ({"alignment": [1, 1]}, "tiles", "may start at any pixel"),
        ({"seen": [[2, 7], [2, 7]]}, "read on this image", None),  # all of the box: nothing to say
        ({"seen": [[2, 6], [2, 7]]}, "read on this image", "2 … 6, 2 … 7 px"),
        ({"stride": [None, None]}, "TRF stride", None),
        ({"global": True, "widened_by": ["attention"]}, "global", "through attention"),
        ({"global": True, "widened_by": list("abcde")}, "global", "through a, b, c and 2 more"),
        ({"global": True}, "global", "the whole input"),
        ({"widened_by": ["pad"]}, "global", None),
    ],
)
def test_a_fact_is_told_where_there_is_one(trf: dict[str, object], name: str, words: str | None) -> None:
    assert facts(changed(trf)).get(name) == words


def test_the_headline_tells_attention_from_statistics() -> None:
    assert "by an operator that sees all of it" in content_of(changed({"global": True}), "net").headline
    statistics = content_of(MODERN, "net").headline
    assert statistics.endswith("but only through statistics (norm_1, norm_2); without them 5×5 px.")


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (3.0, "; half of the influence lies within a box of side 3"),
        (5.0, "; half of the influence needs more, a box of side 5"),
        (40.0, None),
    ],
)
def test_the_headline_tells_where_half_of_the_mass_lies(side: float, words: str | None) -> None:
    body = result_json()
    half = {**body["mass"]["0.50"], "side": side}
    trf = {**body["trf"], "size": [20, 20], "global": False}
    headline = content_of(
        ErfResult.model_validate(body | {"mass": {**body["mass"], "0.50": half}, "trf": trf}), "net"
    ).headline
    assert (words in headline) if words else ("half" not in headline)


def test_the_headline_of_a_map_with_gaps_tells_how_far_it_reaches() -> None:
    body = result_json()
    gaps = {
        "mass": {**body["mass"], "0.99": {**body["mass"]["0.50"], "side": 4.5}},
        "shape": {**body["shape"], "lattice": 0.9, "lattice_frequency": [0.5, 0.0]},
        "gaussian": {**body["gaussian"], "sigma_axis": [3.0, 3.0]},
    }
    headline = content_of(ErfResult.model_validate(body | gaps), "net").headline
    assert ", with gaps: half of the influence lies within a box of side" in headline
    assert "counts the pixels without the gaps." in headline


def test_the_headline_tells_that_weights_are_not_trained() -> None:
    body = result_json()
    drawn = {"provenance": {**body["provenance"], "weights": "kaiming_normal"}}
    assert "not trained" not in content_of(ErfResult.model_validate(body), "net").headline
    headline = content_of(ErfResult.model_validate(body | drawn), "net").headline
    assert headline.endswith("The weights are not trained: by kaiming_normal.")


def test_a_profile_has_the_local_size_beside_global() -> None:
    trf = modern_result_json()["trf"]
    row = {"name": "a", "operator": "Conv", "shape": [2, 8, 8], "trf_size": [8, 8], "trf_stride": [1, 1]}
    rows = [row | {"is_global": True, "trf": trf}, row | {"is_global": True}, row]
    found = tables(ErfResult.model_validate(result_json() | {"layers": rows}))["Along depth, centre units"]
    assert [cells[1:3] for cells in found] == [["2×8×8", "1×1"]] * 3
    assert [cells[3] for cells in found] == ["8×8 (all; 5×5 without statistics)", "8×8 (all)", "8×8"]


def test_a_profile_as_csv_has_a_line_for_each_layer() -> None:
    row = {"name": "a,b", "operator": "Conv", "shape": [2, 8, 6], "trf_size": [9, 7], "trf_stride": [4, None]}
    sizes = {"erf_size": 5.5, "erf_ratio": 0.7, "mass_50_side": 3.25, "stderr": {"erf_size": 0.5, "mass_99_side": 0.25}}
    sizes["mass"] = {"0.99": {"side": 7.5, "ratio": 0.9, "pixels": 40}}
    result = ErfResult.model_validate(result_json() | {"layers": [row | sizes, row | {"is_global": True}]})
    head, *lines = csv.reader(io.StringIO(profile_csv(result)))
    first, second = (dict(zip(head, line, strict=True)) for line in lines)
    assert first == {
        "layer": "a,b", "operator": "Conv", "shape": "2x8x6", "stride_y": "4.0", "stride_x": "", "trf_size_y": "9",
        "trf_size_x": "7", "global": "False", "erf_size": "5.5", "erf_ratio": "0.7", "mass_50_side": "3.25",
        "mass_99_side": "7.5", "erf_size_stderr": "0.5", "mass_50_side_stderr": "", "mass_99_side_stderr": "0.25",
        "limited": "",
    }  # fmt: skip
    assert (second["global"], second["erf_size"], second["mass_99_side"]) == ("True", "", "")


def test_a_profile_tells_which_sizes_the_input_limits() -> None:
    body = result_json()
    row = {"name": "conv", "operator": "Conv", "shape": [2, 8, 8], "trf_size": [9, 9], "trf_stride": [1, 1]}
    erf = body["erf"] | {"size": 7.5, "limited": ["erf_size"]}
    mass = {"0.50": {"side": 3.0, "ratio": 0.2, "pixels": 9}, "0.99": {"side": 7.9, "ratio": 0.9, "pixels": 60}}
    wide = {"erf_size": 7.5, "trf": body["trf"] | {"clipped": True}, "mass": mass, "stderr": {"erf_size": 0.5}}
    data = ErfResult.model_validate(body | {"layers": [row | wide | {"erf": erf}, row]})
    lines = list(csv.DictReader(io.StringIO(profile_csv(data))))
    assert [line["limited"] for line in lines] == ["erf_size erf_ratio mass_99_side", ""]
    assert [cells[4] for cells in tables(data)["Along depth, centre units"]] == ["≥ 7.5", "–"]


def test_names_and_reasons_are_text_in_both_forms() -> None:
    content = content_of(MODERN, "net")
    assert "<i>gate" not in to_html(content)
    assert "&lt;i&gt;gate" in to_html(content)
    assert "\\<i\\>gate" in to_markdown(content)
    assert "difference to plain autograd" in to_markdown(content)


def test_the_terminal_says_it_in_sentences() -> None:
    assert remarks_of(MODERN) == [
        "The unit sits at (4.5, 7) px. Tiles start at multiples of 2×2 px; units read up to 5.5×7 px before and "
        "4.5×0 px after their centre (the halo, counted from a tile's edge, may differ: erfscope tiles).",
        "Read on this image: 0 … 8, 0 … 8 px.",
        "Causal: the unit reads nothing behind its own place. Boxes and circles of the mass are centred at "
        "that place, so half of each is empty, and the side of a box may be up to twice the TRF; the mass reaches back "
        "by half of the side.",
        "Global through norm_1, norm_2.",
        "Without the statistics of norm_1, norm_2: 5×5 px.",
        "auto took /last/Conv; it passed over logits (none of its axes follows the input); <i>gate</i> (its gradient "
        "is 0); pool (its axes have one position) and 1 more.",
        "Run by autograd on whole tensors: aten.stft (windows of a complex tensor).",
    ]
    assert remarks_of(OLDER) == ["The unit sits at (4, 4) px."]


@pytest.mark.parametrize("everything", [False, True])
def test_the_terminal_table_has_what_was_asked_alone(everything: bool) -> None:
    names = {"mass_before", "verify_difference"}
    labels = {"mass at or before the unit's place", "difference to plain autograd"}
    for result, expected in ((MODERN, names if everything else labels), (OLDER, set())):
        table = show.result_table(Measured(result, None), everything=everything)
        assert set(table.columns[0]._cells) & (names | labels) == expected


def test_boxes_are_in_the_unit_of_the_input() -> None:
    assert box_text([(-1, 9)]) == "-1 … 9 samples"
    assert box_text([(-1, 9), (0, 8)]) == "-1 … 9, 0 … 8 px"
    assert box_text([(-1, 9), (0, 8), (2, 3)]) == "-1 … 9, 0 … 8, 2 … 3 voxels"
