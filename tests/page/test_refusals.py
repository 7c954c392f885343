"""A refusal on the page: every field by the name that the page gives it, marked, and taken back when it is over."""

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.page.conftest import serious
from tests.page.test_journeys import posts
from tests.page.test_page import drop

Visit = Callable[..., Page]


def with_a_spec(visit: Visit, preset: str = "plain-5-ones") -> Page:
    page = visit(forgiven=422)
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option(preset)
    return page


def marked(page: Page) -> list[str]:
    """The ids of the fields that are marked as wrong, as they lie on the page."""
    ids: list[str] = page.locator("[aria-invalid=true]").evaluate_all("(all) => all.map(({ id }) => id)")
    return ids


def test_every_wrong_field_is_named_by_its_label_and_marked(visit: Visit) -> None:
    page = with_a_spec(visit)
    page.get_by_text("More options").click()
    page.get_by_label("Samples", exact=True).fill("1000000")
    page.get_by_label("Input shape").fill("0, -1")
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.locator("#problem li")).to_have_count(3)
    assert page.locator("#problem li").all_inner_texts() == [
        "Input shape, entry 1: must be greater than or equal to 1",
        "Input shape, entry 2: must be greater than or equal to 1",
        "Samples: must be less than or equal to 100000",
    ]
    assert "/" not in page.locator("#problem").inner_text()
    assert marked(page) == ["inputs", "shape"]
    assert serious(page) == []
    page.get_by_label("Samples", exact=True).fill("3")
    assert marked(page) == ["shape"]


def test_a_question_names_its_field_too(visit: Visit) -> None:
    page = with_a_spec(visit)
    page.get_by_label("Tile size").fill("abc")
    page.get_by_role("button", name="Tiles", exact=True).click()
    problem = page.locator("#question-problem")
    expect(problem).to_contain_text("Tile size in px: Numbers with commas between them are expected.")
    expect(page.get_by_label("Tile size")).to_be_focused()
    assert marked(page) == ["tile"]
    page.get_by_label("Tile size").fill("0")
    page.get_by_role("button", name="Tiles", exact=True).click()
    expect(problem).to_contain_text("Tile size in px: must be greater than or equal to 1")
    page.get_by_label("Samples", exact=True).fill("1000000")
    page.get_by_role("button", name="Series", exact=True).click()
    expect(problem).to_contain_text("Samples: must be less than or equal to 100000")
    assert marked(page) == ["inputs"]


def test_another_network_takes_the_complaint_back(visit: Visit) -> None:
    page = with_a_spec(visit)
    wrong = {"layers": [{"type": "conv", "out_channels": 4, "kernel": 3}]}
    for button in ("Measure", "Tiles"):
        page.get_by_label("Spec as JSON").fill(json.dumps(wrong))
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.locator("#spec-problem")).to_contain_text("The architecture spec is not valid")
        expect(page.locator("#spec-problem")).to_be_in_viewport()
        expect(page.locator("#spec")).to_be_focused()
        page.get_by_label("Start from").select_option("plain-5-relu")
        expect(page.locator("#spec-problem")).to_be_hidden()
        assert marked(page) == []


def test_an_unknown_layer_is_named_at_the_field_and_not_sent(visit: Visit, onnx_file: Path) -> None:
    page = visit()
    drop(page, onnx_file)
    expect(page.locator("#layer-hint")).to_contain_text("8 layers")
    field, problem = page.get_by_role("searchbox"), page.locator("#problem")
    field.fill("conv9")
    field.blur()
    expect(page.locator("#layer-count")).to_contain_text(
        "The network has no layer conv9. The nearest: conv3, conv2, conv1."
    )
    assert marked(page) == ["layer-name"]
    assert page.locator("#layer-list .layer-name").all_inner_texts() == ["conv3", "conv2", "conv1"]
    sent = posts(page)
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(problem).to_contain_text("The network has no layer conv9. The nearest: conv3, conv2, conv1.")
    expect(field).to_be_focused()
    page.get_by_role("button", name="Tiles", exact=True).click()
    expect(page.locator("#question-problem")).to_contain_text("The network has no layer conv9.")
    assert sent == []
    field.fill("conv1")
    assert marked(page) == []
    row = page.locator("#layer-list label:has(:checked)")
    expect(row).to_contain_text("conv1")
    page.locator("#layer-list").scroll_into_view_if_needed()
    expect(row).to_be_in_viewport()
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.locator(".card h2").first).to_contain_text("vier")


def test_the_nearest_layers_are_there_to_choose(visit: Visit, onnx_file: Path) -> None:
    page = visit()
    drop(page, onnx_file)
    expect(page.locator("#layer-hint")).to_contain_text("8 layers")
    field = page.get_by_role("searchbox")
    field.fill("conv9")
    expect(page.locator("#layer-count")).to_have_text("None matches; the nearest are listed.")
    page.locator(".layer", has_text="conv2").click()
    expect(field).to_have_value("conv2")
    expect(page.locator("#unit-hint")).to_contain_text("32 × 32 units")
    assert marked(page) == []


def test_the_nearest_layers_of_a_spec_are_offered_by_its_refusal(visit: Visit) -> None:
    page = with_a_spec(visit)
    page.get_by_role("searchbox").fill("relu_99")
    page.get_by_role("button", name="Measure", exact=True).click()
    offered = page.locator("#view .problem").get_by_role("button").first
    expect(offered).to_be_visible()
    name = offered.inner_text()
    offered.click()
    expect(page.get_by_role("searchbox")).to_have_value(name)
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_units_are_not_offered_for_an_input_shape_at_which_they_are_not_known(visit: Visit, onnx_file: Path) -> None:
    page = visit()
    drop(page, onnx_file)
    expect(page.locator("#layer-hint")).to_contain_text("8 layers")
    page.get_by_role("searchbox").fill("conv1")
    expect(page.locator("#unit-hint")).to_contain_text("32 × 32 units; click one")
    page.get_by_text("More options").click()
    page.get_by_label("Input shape").fill("3, 48, 64")
    expect(page.locator("#unit-hint")).to_contain_text("at this input shape is known once it is measured")
    expect(page.locator("#unit-map")).to_be_hidden()
    assert "32 × 32" not in page.locator("#layer-list").inner_text()
    page.get_by_label("Input shape").fill("3, 32, 32")
    expect(page.locator("#unit-map")).to_be_visible()


def test_an_index_that_the_layer_does_not_have_is_not_sent(visit: Visit, onnx_file: Path) -> None:
    page = visit()
    drop(page, onnx_file)
    page.locator(".layer", has_text="relu1").click()
    page.get_by_text("Index", exact=True).click()
    expect(page.locator("#unit-words")).to_have_text("Row and column, counted from 0: 0 … 31, 0 … 31.")
    page.locator("#unit-index").fill("60, 3")
    sent = list[str]()
    page.on("request", lambda request: sent.append(request.method))
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.locator("#problem")).to_contain_text("no unit 60, 3: it has 32 × 32 units, 0 … 31, 0 … 31.")
    assert "POST" not in sent
    page.get_by_text("Grid", exact=True).click()
    expect(page.locator("#unit-words")).to_have_text("How many units along each axis, evenly spread: 3 × 3, 9 in all.")


def test_another_network_begins_with_auto_and_the_centre(visit: Visit) -> None:
    page = with_a_spec(visit)
    page.locator("#layer-name").fill("conv_2")
    page.get_by_text("Index", exact=True).click()
    page.get_by_label("Start from").select_option("plain-20-relu")
    expect(page.locator("#layer-name")).to_have_value("")
    assert page.evaluate("document.forms.form.elements.unit.value") == "center"
