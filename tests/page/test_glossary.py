"""What the words of the field mean is told where they are read, by mouse and keyboard, in the contract's words."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page, Route, expect
from tests.house.conftest import House
from tests.page.conftest import serious
from tests.page.test_page import finished, submit

from erfscope_contract.meanings import TABLE, TERMS

Visit = Callable[..., Page]


def panel(page: Page) -> Locator:
    return page.locator("#explanation")


def test_a_number_is_explained_from_the_keyboard(visit: Visit, house: House) -> None:
    page = visit(f"/#/job/{submit(house)}")
    finished(page)
    term = page.locator(".tile").get_by_role("button", name="ERF size", exact=True)
    term.focus()
    page.keyboard.press("Enter")
    expect(panel(page)).to_be_visible()
    expect(panel(page)).to_contain_text(TABLE["erf_size"].words)
    expect(panel(page)).to_contain_text(TERMS["ERF"])
    expect(page.locator("#announcer")).to_contain_text(TERMS["ERF"])
    assert serious(page) == []
    page.locator(".tile").get_by_role("button", name="Sigma, first principal axis").click()
    expect(panel(page)).to_be_visible()
    expect(panel(page)).to_contain_text(TERMS["sigma"])
    expect(panel(page)).not_to_contain_text(TERMS["ERF"])
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()


def test_the_whole_glossary_is_in_the_header(visit: Visit) -> None:
    page = visit(viewport={"width": 390, "height": 844})
    page.get_by_role("button", name="Glossary").click()
    expect(panel(page)).to_be_visible()
    assert panel(page).locator("dt").all_inner_texts() == list(TERMS)
    assert panel(page).locator("dd").all_inner_texts() == list(TERMS.values())
    panel(page).get_by_role("searchbox", name="Search the glossary").fill("kurtosis")
    assert panel(page).locator("dt:visible").all_inner_texts() == ["kurtosis"]
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = panel(page).bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.get_by_role("button", name="Glossary").click()
    expect(panel(page)).to_be_hidden()


def test_heads_of_tables_and_the_first_words_are_explained(visit: Visit) -> None:
    page = visit()
    page.locator(".empty").get_by_role("button", name="TRF", exact=True).click()
    expect(panel(page)).to_contain_text(TERMS["TRF"])
    page.keyboard.press("Escape")
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    page.get_by_role("button", name="Tiles", exact=True).click()
    page.get_by_role("columnheader", name="Halo before + after").get_by_role("button").click()
    expect(panel(page)).to_contain_text(TERMS["halo"])


def test_notes_call_metrics_as_the_table_does(visit: Visit, house: House) -> None:
    id, page = submit(house), visit()
    note = (
        "erf_size is 3 px, erf_size_peak 9 px; cite mass_50_side. `lattice` tells how gridded the map is, as a lattice."
    )

    def answered(route: Route) -> None:
        job = route.fetch().json()
        job["result"]["provenance"]["notes"] = [note]
        route.fulfill(json=job)

    page.route(f"**/erf/{id}", answered)
    page.goto(f"{house.url}/#/job/{id}")
    finished(page)
    expect(page.locator(".notes")).to_contain_text(
        "“ERF size (4.55 % of the centre)” is 3 px, “ERF size (4.55 % of the peak)” 9 px; cite “Side of the box with "
        "50 % of the mass”. “Gridding (spectral energy at the stride)” tells how gridded the map is, as a lattice."
    )
