"""Lengths on the page are in the unit of the input: px, samples or voxels, and singular for one."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from tests.house.conftest import House
from tests.page.test_page import finished, submit

Visit = Callable[..., Page]
FOREIGN = {1: ("px", "pixel", "voxel", "image of"), 3: ("px", "pixel", "sample of sound")}


def opened(page: Page) -> str:
    """What the answer shows, its sections open."""
    page.locator("#view summary").evaluate_all("(all) => all.forEach((one) => (one.parentElement.open = true))")
    return page.locator("#view").inner_text()


@pytest.mark.parametrize("rank", [1, 3])
def test_a_result_has_no_pixels_where_its_input_has_none(visit: Visit, house: House, rank: int) -> None:
    spec = {"input": {"channels": 1, "size": [12] * rank}}
    page = visit(f"/#/job/{submit(house, spec=spec, layers='all')}")
    finished(page)
    words = opened(page)
    for foreign in FOREIGN[rank]:
        assert foreign not in words
    unit = {1: "samples", 3: "voxels"}[rank]
    assert f"({unit})" in page.locator(".stage").inner_text()
    expect(page.get_by_role("row", name="Effective number of")).to_contain_text(f"number of {unit}")
    assert f"distance from the projected centre ({unit})" in words
    if rank == 3:
        assert "TRF 5 × 5 voxels" in " ".join(page.locator(".stage").inner_text().split())
    else:
        expect(page.locator(".facts", has_text="projected centre")).to_contain_text("1 sample")
        assert not re.search(r"(?<![\d.])1\s+samples", words)


def test_questions_about_sound_are_in_samples(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    expect(page.get_by_label("Tile size in px")).to_be_visible()
    page.get_by_label("Start from").select_option("wave-1d")
    for field in ("Tile size", "Object sizes", "Size of the objects"):
        expect(page.get_by_label(f"{field} in samples")).to_be_visible()
    page.get_by_role("button", name="Tiles", exact=True).click()
    expect(page.get_by_text("tiles of an input of 768 samples")).to_be_visible()
    expect(page.locator(".title")).to_contain_text("512 samples")
    for foreign in FOREIGN[1]:
        assert foreign not in opened(page)


def test_one_is_singular(visit: Visit) -> None:
    page = visit("/docs")
    told = page.evaluate("""async () => {
        const { counted, inUnit, withError } = await import("/page/format.js");
        return [inUnit("1", "samples"), withError(1, null, "voxels"), inUnit("1 × 1", "px"), withError(2, 0, "samples"),
            counted(1, "layer"), counted(3, "layer")];
    }""")
    expected = ["1 sample", "1 voxel", "1 × 1 px", "2 samples", "1 layer", "3 layers"]
    assert [words.replace("\u202f", " ") for words in told] == expected


def test_small_files_are_not_empty(visit: Visit) -> None:
    sizes = "async (all) => { const { mebibytes } = await import('/page/format.js'); return all.map(mebibytes); }"
    assert visit("/docs").evaluate(sizes, [1, 40, 1024, 2**21]) == ["1 byte", "40 bytes", "1.0 KiB", "2.0 MiB"]
