"""Tiles, object sizes and advice on the page: asked about the network of the form, and shown by their address."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect
from tests.house.conftest import House
from tests.page.conftest import serious
from tests.page.test_page import drop

Visit = Callable[..., Page]


def ask(page: Page, field: str, value: str, button: str) -> None:
    page.get_by_role("textbox", name=field).fill(value)
    page.get_by_role("button", name=button, exact=True).click()


def rows(page: Page, first: str) -> dict[str, list[str]]:
    """The cells behind each row's head, of the table whose first heading is `first`."""
    table = page.locator("table", has=page.get_by_role("columnheader", name=first, exact=True)).first
    return {
        row.get_by_role("rowheader").inner_text(): row.get_by_role("cell").all_inner_texts()
        for row in table.locator("tbody tr").all()
    }


def test_tiles_of_a_dropped_file(visit: Visit, house: House, onnx_file: Path) -> None:
    page = visit()
    ask(page, "Tile size", "64, 40", "Tiles")
    expect(page.get_by_role("alert").filter(has_text="Choose a network first")).to_be_visible()
    drop(page, onnx_file)
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_enabled()
    ask(page, "Tile size", "64, 40", "Tiles")
    expect(page.get_by_text("Checked: 5 tiles")).to_be_visible()
    assert rows(page, "Axis") == {
        "y": ["64", "1", "4 + 4", "4 … 60", "56", "8", "4 + 4"],
        "x": ["40", "1", "4 + 4", "4 … 36", "32", "8", "4 + 4"],
    }
    expect(page.get_by_text("Neighbouring tiles overlap by 8 px.")).to_be_visible()
    assert rows(page, "Layer")["relu3"][-1] == "4 … 60, 4 … 36"
    (kept,) = page.locator(".history li").filter(has=page.locator("a[aria-current]")).all()
    expect(kept).to_contain_text("Tiles")
    expect(kept).to_contain_text("succeeded")
    expect(kept.get_by_role("button", name="Remove tiles of")).to_be_visible()
    expect(page.get_by_role("button", name="Copy link")).to_be_visible()
    again = visit("/" + page.url.rpartition("/#")[2].join(("#", "")))
    expect(again.get_by_text("Checked: 5 tiles")).to_be_visible()
    with httpx2.Client(base_url=house.url) as http:
        job = http.get(f"/tiles/{page.url.rpartition('/')[2]}").json()
    assert (job["status"], job["request"]["tile"]) == ("succeeded", [64, 40])


def test_object_sizes_of_a_spec_with_its_chosen_layer(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    ask(page, "Object sizes", "4, 20", "Fit")
    expect(page.get_by_text(re.compile(r"^4\s*px: head .* holds it"))).to_be_visible()
    ((level, cells),) = rows(page, "Layer").items()
    assert cells[:2] == ["✓ holds", "small field"]
    assert level == "stack.4.conv_0\nhead · 1\xa0×\xa031\xa0×\xa031"
    assert cells[-1] == "1\xa0×\xa01"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its words
        assert serious(page) == []


def test_object_sizes_of_one_layer_lead_to_those_of_all(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    page.get_by_role("searchbox").fill("stack")
    ask(page, "Object sizes", "4, 20", "Fit")
    expect(page.locator(".result")).to_contain_text("Only stack, because it is chosen.")
    expect(page.locator(".result")).to_contain_text("“small field”: the ERF is smaller than that.")
    page.get_by_role("button", name="Ask all layers").click()
    expect(page.locator(".title")).not_to_contain_text("layer stack")
    expect(page.locator(".result")).to_contain_text("4 px")
    expect(page.get_by_role("button", name="Ask all layers")).to_have_count(0)


def test_advice_on_a_spec_with_the_maps_of_the_best(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-relu")
    ask(page, "Size of the objects", "10", "Advise")
    expect(page.get_by_text(re.compile("^First choice: "))).to_be_visible(timeout=120_000)
    changes = rows(page, "Change")
    before = changes.pop("as it is")
    assert float(before[0].split()[0]) < 15
    assert len(changes) >= 3
    assert all(float(cells[0].split()[0]) > float(before[0].split()[0]) for cells in changes.values())
    assert all(re.fullmatch(r"\d+\s%", cells[-2]) for cells in changes.values())
    assert page.get_by_role("img", name=re.compile("^Map of ")).count() == 4
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its words
        assert serious(page) == []


def test_a_named_layer_is_told_by_its_name_and_on_what_it_was_measured(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    page.get_by_role("searchbox").fill("stack")
    ask(page, "Object sizes", "20", "Fit")
    expect(page.locator(".verdicts")).to_contain_text(
        re.compile(r"20\s*px: the head stack\.4\.conv_0 does not hold it \(ERF [\d.]+\s*px of 30\)\.$")
    )
    expect(page.locator("#view")).to_contain_text(
        "samples: 16 draws of the weights × 1 input of normal noise; weights:"
    )
    expect(page.locator("#view")).to_contain_text("Measure, Fit and Advise take samples of their own")


@pytest.mark.parametrize("width", [1280, 390])
def test_no_answer_is_cut(visit: Visit, width: int) -> None:
    """Of a change with long words, as a screen and a phone show it."""
    page = visit(viewport={"width": width, "height": 900})
    change = {"text": "Dilate the convolutions of /backbone/layer4 by 2, its stride 2 becomes 1", "pareto": True,
              "reaches": True, "unsure": True, "weights_kept": 0.5, "picture": None}  # fmt: skip
    costs = {"added_macs": 22_000, "added_parameters": 15_000, "added_memory": 25_000}
    row = {**FACTS, **change, **costs, "layer_shape": [1, 2048, 128, 128], "lattice": 0.25}
    found = ADVICE | {
        "changes": [{**row, "erf_measured": 1234.5, "stderr": 12.3}],
        "erf_measured": 999.9,
        "stderr": 1.2,
    }
    page.evaluate(
        """async (found) => {
            const { advice } = await import("/page/advice.js");
            const card = document.createElement("article");
            card.className = "card";
            card.append(advice(found));
            document.getElementById("view").replaceChildren(card);
        }""",
        found,
    )
    scroll = page.locator("#view .scroll").first
    assert scroll.evaluate("(place) => place.scrollWidth <= place.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if width == 390:
        assert scroll.locator("td").first.evaluate("(cell) => getComputedStyle(cell, '::before').content") == '"ERF"'


def test_a_refusal_is_shown_with_its_reason(visit: Visit) -> None:
    page = visit(forgiven=422)
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    ask(page, "Tile size", "4", "Tiles")
    expect(page.get_by_role("alert").filter(has_text="keeps nothing")).to_be_visible()
    ask(page, "Object sizes", "", "Fit")
    expect(page.get_by_role("alert").filter(has_text="Object sizes in px: Numbers with commas")).to_be_visible()


def test_a_phone_shows_it_without_scrolling_sideways(visit: Visit) -> None:
    page = visit(viewport={"width": 390, "height": 844})
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    ask(page, "Tile size", "64", "Tiles")
    expect(page.get_by_text("Checked: 5 tiles")).to_be_visible()
    sizes: Any = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert sizes[0] <= sizes[1]


def test_a_series_over_a_parameter_of_a_spec(visit: Visit) -> None:
    page = visit()
    page.get_by_label("Parameter of the spec").fill("/layers/0/kernel_size")
    page.get_by_role("button", name="Series", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Choose a network first")).to_be_visible()
    page.get_by_text("Layer spec", exact=True).click()
    layer = '{"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"}'
    page.get_by_label("Spec as JSON").fill('{"input": {"channels": 1, "size": [24, 24]}, "layers": [' + layer + "]}")
    page.get_by_label("Samples", exact=True).fill("2")
    page.get_by_label("Its values").fill("3, 5, 9")
    page.get_by_role("button", name="Series", exact=True).click()
    expect(page.locator(".title .state")).to_have_text("succeeded")
    table = rows(page, "/layers/0/kernel_size")
    assert [(label, cells[2], cells[-1]) for label, cells in table.items()] == [
        (value, value, "succeeded") for value in ("3", "5", "9")
    ]
    expect(page.get_by_role("columnheader", name="ERF size (4.55 % of the centre)")).to_be_visible()
    page.get_by_label("Metric", exact=True).select_option("TRF size")
    expect(page.get_by_role("img", name="TRF size along the series")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("link", name="9", exact=True).click()
    expect(page.locator(".tile", has_text="TRF size")).to_contain_text("9 × 9 px")


def test_questions_in_the_history_are_told_apart_by_what_they_asked(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    first = page.locator(".history a").first
    for tile in ("64", "72"):
        ask(page, "Tile size", tile, "Tiles")
        expect(first).to_contain_text(f"Tiles: {tile} px")
    page.get_by_role("searchbox").fill("stack")
    ask(page, "Object sizes", "4, 20", "Fit")
    expect(first).to_contain_text("Object sizes: 4, 20 px · layer stack")
    expect(page.locator(".title")).to_contain_text("4, 20 px · layer stack")
    page.reload()
    expect(page.locator(".history")).to_contain_text("Tiles: 64 px")
    expect(page.get_by_role("button", name="Remove tiles of plain-5-ones, 72 px")).to_be_visible()


def test_a_series_of_a_file_is_refused_in_words(visit: Visit, onnx_file: Path) -> None:
    page = visit()
    drop(page, onnx_file)
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_enabled()
    page.get_by_role("button", name="Series", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="A series needs a spec")).to_be_visible()


def test_a_series_is_offered_a_parameter_that_the_spec_has(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    parameter, values = page.get_by_label("Parameter of the spec"), page.get_by_label("Its values")
    expect(parameter).to_have_value("/layers/0/times")
    page.get_by_label("Start from").select_option("resnet18")
    expect(parameter).to_have_value("/layers/0/kernel_size")
    expect(values).to_have_value("3, 5, 7")
    parameter.fill("/init/gain")
    page.get_by_label("Start from").select_option("plain-20-relu")
    expect(parameter).to_have_value("/init/gain")


FACTS = {"macs": 10_000, "parameters": 10_000, "memory": 10_000, "layer_shape": [1, 1, 4, 4], "lattice": None}
ADVICE = {
    **FACTS,
    "stderr": None,
    "picture": {"cells": [[0, 255], [9, 9]], "pixels": [2, 2]},
    "reaches": True,
    "changes": [],
    "coarsest": None,
    "input_shape": [1, 8, 8],
    "want": 3,
    "object_size": 2,
    "layer": "relu",
    "erf_measured": 5,
    "notes": [],
}


def shown(visit: Visit, **found: Any) -> str:
    """The words of an answer to a question for advice."""
    return str(
        visit("/docs").evaluate(
            "async (found) => (await import('/page/advice.js')).advice(found).textContent", ADVICE | found
        )
    )


def test_advice_without_a_change_has_one_row_and_no_legend(visit: Visit) -> None:
    words = shown(visit)
    assert "Nothing needs to change." in words
    assert words.count("as it is") == 1
    assert "*" not in words


def test_advice_tells_at_which_input_units_are_counted(visit: Visit) -> None:
    change = {"text": "add a layer behind relu (4×4 units)", "pareto": False, "reaches": True, "unsure": False}
    costs = {"added_macs": 0, "added_parameters": 0, "added_memory": 0, "weights_kept": None, "picture": None}
    other = {"layer_shape": [1, 1, 2, 2], "erf_measured": 6, "stderr": None}
    words = " ".join(shown(visit, changes=[{**FACTS, **change, **costs, **other}]).split())
    assert "Layer relu at input 1 × 8 × 8." in words
    assert "Output at input 8 × 8" in words
    assert words.count("behind relu (4 × 4 units at the network's own input)") == 1


@pytest.mark.parametrize(
    ("more", "cell"),
    [(0, "0 %"), (1, "< +0.1 %"), (-1, "> −0.1 %"), (120, "+1.2 %"), (-2500, "−25.0 %"), (15_000, "+150 %")],
)
def test_differences_of_costs_have_one_form(visit: Visit, more: int, cell: str) -> None:
    change = {"text": "a change", "pareto": False, "reaches": True, "unsure": False, "weights_kept": None}
    costs = {"added_macs": more, "added_parameters": more, "added_memory": more}
    words = shown(visit, changes=[{**FACTS, **change, **costs, "erf_measured": 6, "stderr": None, "picture": None}])
    assert 3 * cell in " ".join(words.split())


WORDS = [
    ("not an overlap of tiles (`erfscope tiles`; on the page Tiles).", "not an overlap of tiles (the button Tiles)."),
    ("may suit: erfscope fit MODEL --object 96.", "may suit: ask Fit for objects of 96."),
    ("Take a larger input (input.shape, --shape).", "Take a larger input (Input shape under More options)."),
    ("times the object (docs/science/object-size.md). In", "times the object. In"),
    ("name an earlier layer (`layers`, --layer).", "name an earlier layer (Layer in the form)."),
    ("choose drawn weights (`weights`, --weights).", "choose drawn weights (Weights under More options)."),
    ("With `lattice_x` and `plain` words.", "With lattice_x and plain words."),
    ("Take `--tile 512,384` or `--tile 64`.", "Take 512, 384 or 64."),
    (
        'by its full index: target.unit {"index": [...]} with target.layer.',
        "by its full index: choose Element as the unit and name the layer.",
    ),
]


def test_commands_are_called_by_the_buttons_of_the_page(visit: Visit) -> None:
    page = visit()
    plain = "async (all) => { const { plain } = await import('/page/plain.js'); return all.map(plain); }"
    assert page.evaluate(plain, [words for words, _ in WORDS]) == [words for _, words in WORDS]
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    page.get_by_label("Samples", exact=True).fill("2")
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(
        page.get_by_role("row", name="Radius of 50 %").or_(page.get_by_role("row", name="radius of 50 %"))
    ).to_contain_text("which is a question of its own")
    assert not re.search(r"erfscope \w+`|`|--\w|docs/", page.locator("#view").inner_text())
