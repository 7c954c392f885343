"""A comparison shows every input whole, keeps ranks apart, can be shared, and explains its marks."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect
from tests.house.conftest import House
from tests.page.test_page import submit

Visit = Callable[..., Page]
CUT = {"name": "cut", "input": {"channels": 1, "size": [4, 4]}}


def compared(visit: Visit, *ids: str) -> Page:
    page = visit(f"/#/compare/{'+'.join(ids)}")
    expect(page.locator(".panel .stage > svg")).to_have_count(len(ids))
    return page


def inside(part: Locator, whole: Locator) -> bool:
    inner, outer = part.bounding_box(), whole.bounding_box()
    assert inner
    assert outer
    return (
        outer["x"] - 1 <= inner["x"]
        and outer["y"] - 1 <= inner["y"]
        and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1
        and inner["y"] + inner["height"] <= outer["y"] + outer["height"] + 1
    )


def test_no_map_is_cut_and_a_view_can_be_chosen(visit: Visit, house: House) -> None:
    aside = submit(house, target={"unit": [3, 20]}, spec={"name": "aside"})
    page = compared(visit, aside, submit(house))
    panel = page.locator(".panel").first
    image = panel.locator("image.map")
    assert inside(image, panel.locator("svg:has(> image.map)"))
    before = image.bounding_box()
    page.get_by_label("Show", exact=True).select_option("trf")
    near = image.bounding_box()
    assert before
    assert near
    assert near["width"] > 1.5 * before["width"]


def test_ranks_do_not_share_a_scale(visit: Visit, house: House) -> None:
    sound = submit(house, spec={"name": "sound", "input": {"channels": 1, "size": [200]}})
    page = compared(visit, sound, submit(house))
    panel = page.locator(".panel", has_text="small")
    frame, image = panel.locator("svg:has(> image.map)").bounding_box(), panel.locator("image.map").bounding_box()
    assert frame
    assert image
    assert abs(frame["height"] - image["height"]) < 2
    expect(page.get_by_text("distance from the projected centre (samples)")).to_be_visible()
    expect(page.get_by_text("distance from the projected centre (px)")).to_be_visible()


def test_marks_are_explained_and_the_link_can_be_copied(visit: Visit, house: House) -> None:
    page = compared(visit, submit(house, spec=CUT), submit(house))
    expect(page.get_by_role("button", name="Copy link")).to_be_visible()
    page.locator("summary", has_text="metrics").click()
    assert "†" in page.locator("table").last.inner_text()
    expect(page.locator(".marks")).to_contain_text("† a share of an input that cuts the field")


def test_names_tell_what_was_asked_differently(visit: Visit, house: House) -> None:
    wide = {"name": "wide", "input": {"channels": 1, "size": [24, 24]}}
    plain, larger = (submit(house, spec=wide, input=given) for given in ({}, {"shape": [1, 20, 32]}))
    page = compared(visit, plain, larger)
    names = page.locator(".panel h3")
    expect(names).to_have_text(["input 1 × 24 × 24", "input 1 × 20 × 32"])
    expect(page.locator(".card h2")).to_have_text("Comparison of 2: wide")
    other = submit(house, spec=wide, target={"unit": [3, 4]}, average={"inputs": 2, "seed": 7})
    page = compared(visit, plain, other)
    assert page.locator(".panel h3").all_inner_texts() == [
        "unit (12, 12) · 4 samples · seed 0",
        "unit (3, 4) · 2 samples · seed 7",
    ]
    page = compared(visit, plain, submit(house, target={"unit": [3, 3]}))
    assert page.locator(".panel h3").all_inner_texts() == ["wide · unit (12, 12)", "small · unit (3, 3)"]
