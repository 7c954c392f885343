"""What the page offers and concludes: a spec of one's own, a proposal in the form, which field is larger."""

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.house.conftest import House
from tests.page.test_comparison import compared
from tests.page.test_gaps import SPEC
from tests.page.test_page import Visit, drop, submit

CONV = {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}


def with_a_spec(visit: Visit) -> Page:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    return page


def test_presets_are_grouped_and_a_spec_of_ones_own_begins_small(visit: Visit) -> None:
    page = with_a_spec(visit)
    groups = page.locator("#preset optgroup")
    expect(groups.first).to_have_attribute("label", "Well-known networks")
    expect(groups.first.locator("option[value=vgg16]")).to_have_count(1)
    page.get_by_label("Start from").select_option("vgg16")
    page.get_by_label("Start from").select_option("my own spec")
    assert [one["type"] for one in json.loads(page.get_by_label("Spec as JSON").input_value())["layers"]] == [
        "conv", "relu",
    ]  # fmt: skip
    expect(page.locator("#preset-about")).to_contain_text("The least that a spec needs")
    page.get_by_label("Profile along depth").check()
    expect(page.locator("#all-layers-hint")).to_contain_text("about 2 times as long as one")


def test_a_proposal_goes_into_the_form(visit: Visit) -> None:
    page = with_a_spec(visit)
    page.get_by_label("Start from").select_option("plain-5-relu")
    page.get_by_label("Size of the objects").fill("10")
    page.get_by_role("button", name="Advise", exact=True).click()
    before = page.get_by_label("Spec as JSON").input_value()
    page.get_by_role("button", name="Change 1", exact=True).click(timeout=120_000)
    expect(page.get_by_label("Spec as JSON")).not_to_have_value(before)
    expect(page.get_by_label("Spec as JSON")).to_be_focused()


def test_a_comparison_tells_which_field_is_larger(visit: Visit, house: House) -> None:
    small = submit(house, spec={"name": "three", "layers": [CONV]})
    large = submit(house, spec={"name": "seven", "layers": [CONV] * 3, "init": "ones"})
    page = compared(visit, small, large)
    words = page.locator(".headline")
    expect(words).to_have_count(1)
    expect(words).to_contain_text(re.compile(r"^ERF size: [\d.]+\s*px of seven against 3\s*px of three: [\d.]+ times"))
    assert page.locator(".panel h3").all_inner_texts() == ["three", "seven"]
    page = compared(visit, small, submit(house, spec=SPEC))
    expect(page.locator(".headline").first).to_contain_text("Side of the box with 99 % of the mass: ")
    expect(page.locator(".headline").last).to_contain_text("Gaps are in the map of dilated.")


def test_no_value_of_a_comparison_breaks_within_a_number_on_a_phone(visit: Visit, house: House) -> None:
    page = visit(viewport={"width": 390, "height": 844})
    page.goto(f"{house.url}/#/compare/{submit(house)}+{submit(house, spec=SPEC)}")
    expect(page.locator(".panel .stage > svg")).to_have_count(2)
    cells = page.locator("table.compared").first.locator("td")
    assert cells.evaluate_all("(all) => all.filter((cell) => cell.scrollWidth > cell.clientWidth + 1).length") == 0


def test_the_metric_of_a_series_fits_into_its_card_and_whole_numbers_have_whole_ticks(visit: Visit) -> None:
    page = with_a_spec(visit)
    layer = {"type": "conv", "out_channels": 4, "kernel_size": 3, "dilation": 1, "padding": "same"}
    page.get_by_label("Spec as JSON").fill(json.dumps({"input": {"channels": 1, "size": [24, 24]}, "layers": [layer]}))
    page.get_by_label("Spec as JSON").blur()
    page.get_by_label("Parameter of the spec").fill("/layers/0/dilation")
    page.get_by_label("Its values").fill("1, 2, 3")
    page.get_by_role("button", name="Series", exact=True).click()
    expect(page.locator(".title .state")).to_have_text("succeeded")
    card, pick = page.locator(".card").bounding_box(), page.get_by_label("Metric", exact=True).bounding_box()
    assert card
    assert pick
    assert pick["x"] + pick["width"] < card["x"] + card["width"]
    expect(page.locator(".plot svg").first).to_contain_text("123")
    assert page.locator(".scroll").evaluate("(place) => place.scrollWidth <= place.clientWidth")


def test_a_text_file_and_a_broken_network_are_told_apart(visit: Visit, tmp_path: Path) -> None:
    for name, words in (("notes.txt", "is a text file, not a network"), ("broken.onnx", "not a valid ONNX model")):
        page = visit()
        (tmp_path / name).write_bytes(b"words, whatever the name says")
        drop(page, tmp_path / name)
        expect(page.locator("#upload-problem")).to_contain_text(words)
    expect(page.locator("#layer-hint")).to_have_text("There are no layers to list: the file cannot be measured.")
