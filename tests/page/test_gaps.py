"""Maps with gaps, as dilations leave them: what the page draws and says of them, and of weights that were drawn."""

import io
from typing import Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Page, expect
from tests.client.conftest import result_json
from tests.house.conftest import House
from tests.page.test_page import Visit, finished, submit

from erfscope_contract.gridding import is_gridded
from erfscope_contract.result import ErfResult

LAYERS = [{"type": "conv", "out_channels": 4, "kernel_size": 3, "dilation": 2, "padding": "same"}, {"type": "relu"}] * 3
SPEC = {"name": "dilated", "input": {"channels": 1, "size": [48, 64]}, "init": "kaiming_normal", "layers": LAYERS}

# How far the filled area of a marginal reaches at each pixel of its axis, as a share of its own largest reach.
REACH = """([name, rows]) => {
    const plot = document.querySelector(".stage > svg");
    const marginal = plot.querySelector(`svg.${name}`);
    const path = marginal.querySelector("path");
    const [width, height] = ["width", "height"].map((side) => Number(marginal.getAttribute(side)));
    const [length, depth] = name === "by-row" ? [height, width] : [width, height];
    const [low, high] = rows;
    const reach = (place) => {
        let far = 0;
        for (let step = 0.5; step < depth; step += 0.5) {
            const at = ((place + 0.5 - low) / (high - low)) * length;
            const [x, y] = name === "by-row" ? [step, at] : [at, depth - step];
            if (path.isPointInFill(new DOMPoint(x, y))) far = step;
        }
        return far;
    };
    return Array.from({ length: high - low }, (_, i) => reach(low + i)).map((far) => far / depth);
}"""


@pytest.fixture
def dilated(visit: Visit, house: House) -> Page:
    page = visit(f"/#/job/{submit(house, spec=SPEC)}")
    finished(page)
    return page


@pytest.mark.parametrize(("name", "axis"), [("by-column", 1), ("by-row", 0)])
def test_a_drawn_marginal_is_the_sum_of_the_map_along_an_axis(
    dilated: Page, house: House, name: str, axis: int
) -> None:
    dilated.get_by_label("Show", exact=True).select_option("input")
    identity = dilated.url.rpartition("#/job/")[2]
    drawn_map = np.load(io.BytesIO(httpx2.get(f"{house.url}/erf/{identity}/map.npy").content)).astype(np.float64)
    sums = drawn_map.sum(axis=1 - axis)
    drawn = dilated.evaluate(REACH, [name, [0, drawn_map.shape[axis]]])
    assert np.count_nonzero(drawn) == np.count_nonzero(sums) == 7
    assert drawn == pytest.approx(sums / sums.max(), abs=0.05)


def test_the_headline_tells_how_far_a_map_with_gaps_reaches(dilated: Page) -> None:
    words = dilated.locator(".headline")
    expect(words).to_contain_text(
        "The unit can see 13 × 13 px, with gaps: half of the influence lies within a box of side"
    )
    expect(words).to_contain_text("counts the pixels without the gaps.")
    expect(dilated.locator(".stage svg").first).to_contain_text("No contours: the map has gaps")
    expect(dilated.locator(".tile").first).to_contain_text("Side of the box with 50 % of the mass")


def test_a_small_field_is_shown_with_its_surroundings_alone(dilated: Page) -> None:
    expect(dilated.get_by_label("Show", exact=True)).to_have_value("auto")
    expect(dilated.locator(".stage svg").first).to_contain_text("A part of the input of 48 × 64 px.")
    dilated.get_by_label("Show", exact=True).select_option("input")
    expect(dilated.locator(".stage svg").first).not_to_contain_text("A part of the input")


def test_drawn_weights_are_told_at_the_headline_and_in_provenance(dilated: Page) -> None:
    expect(dilated.locator(".drawn")).to_have_text("Random weights (kaiming_normal), not trained.")
    dilated.get_by_role("heading", name="Provenance").click()
    row = dilated.locator(".facts dt", has_text="weights").last.locator("+ dd")
    expect(row).to_have_text("drawn: random weights (kaiming_normal), not trained")


@pytest.mark.parametrize(
    ("lattice", "frequency", "sigmas"),
    [(None, [0.5, 0.0], [3.0, 3.0]), (0.1, [0.5, 0.0], [3.0, 3.0]), (0.9, [0.5, 0.0], [3.0, 0.1]),
     (0.9, [0.5, 0.0], [1.0, 3.0]), (0.9, None, [3.0, 3.0]), (0.9, [0.0, 0.25], [0.1, 4.0])],
)  # fmt: skip
def test_the_page_and_the_service_call_the_same_maps_gridded(
    visit: Visit, lattice: float | None, frequency: list[float] | None, sigmas: list[float]
) -> None:
    body: dict[str, Any] = result_json()
    body["shape"] = {**body["shape"], "lattice": lattice, "lattice_frequency": frequency}
    body["gaussian"] = {**body["gaussian"], "sigma_axis": sigmas}
    result = ErfResult.model_validate(body)
    script = """async (result) => (await import("/page/gaps.js")).hasGaps(result)"""
    assert visit("/docs").evaluate(script, body) is is_gridded(result.shape, result.gaussian)
