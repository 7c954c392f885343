"""The way of a person through the page, from a dropped file to a comparison."""

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect
from tests.house.conftest import House
from tests.page.conftest import serious

Visit = Callable[..., Page]
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


def drop(page: Page, file: Path) -> None:
    """What a browser does when a file is let go over the page."""
    content = base64.b64encode(file.read_bytes()).decode()
    page.evaluate(
        """([content, name]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name));
            document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        [content, file.name],
    )


def finished(page: Page) -> None:
    """Waits until the map of a job is drawn."""
    expect(page.locator(".mapplace[aria-busy='false'] .stage > svg")).to_be_visible()


def job_of(page: Page) -> str:
    return page.url.rpartition("#/job/")[2]


def pixels(page: Page) -> str:
    """The map as it is painted now."""
    return str(page.locator(".stage image.map").first.get_attribute("href"))


def submit(house: House, **request: Any) -> str:
    """A finished job, sent past the page."""
    layers = [{"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}, {"type": "relu"}]
    spec = {"name": "small", "input": {"channels": 1, "size": [24, 24]}, "layers": layers * 2}
    body = {"model": {"architecture": {**spec, **request.pop("spec", {})}}, "average": {"inputs": 4}, **request}
    with httpx2.Client(base_url=house.url, timeout=60) as http:
        job: dict[str, Any] = http.post("/erf", json=body).raise_for_status().json()
        ended = http.get(f"/erf/{job['id']}", headers={"Prefer": "wait=60"}).json()
    assert ended["status"] == "succeeded", ended["error"]
    return str(job["id"])


def test_from_a_dropped_file_to_the_map_and_back_by_its_address(visit: Visit, house: House, onnx_file: Path) -> None:
    page = visit()
    drop(page, onnx_file)
    expect(page.locator("#file-hint")).to_contain_text("8 layers, input 3 × 32 × 32")
    page.get_by_role("searchbox").fill("relu")
    expect(page.locator(".layer")).to_have_count(4)
    row = page.locator(".layer", has_text="relu1")
    expect(row).to_contain_text("Relu · 8 × 32 × 32 · TRF 5 × 5")
    row.click()
    page.locator("#unit-map").click(position={"x": 3, "y": 3})
    expect(page.locator("#unit-index")).to_have_value("0, 0")
    page.locator("#unit-index").fill("10, 20")
    page.get_by_label("Samples", exact=True).fill("3000")
    page.get_by_role("button", name="Measure").click()

    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    expect(page.locator(".running")).to_contain_text("measuring")
    finished(page)
    expect(page.locator(".title .state")).to_have_text("succeeded")
    expect(page.locator(".tile", has_text="TRF size")).to_contain_text("5 × 5 px")
    expect(page.locator(".title")).to_contain_text("unit (10, 20)")

    stage = page.locator(".stage")
    stage.hover(position={"x": 200, "y": 200})
    expect(page.locator(".readout")).to_contain_text("of the maximum")
    stage.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#announcer")).to_contain_text("px from the centre")

    before = pixels(page)
    page.get_by_label("Scale", exact=True).select_option("linear")
    assert pixels(page) != before
    page.get_by_label("Colours", exact=True).select_option("cividis")
    page.get_by_label("Show", exact=True).select_option("near")

    with page.expect_download() as download:
        page.get_by_role("button", name="NPY").click()
    served = httpx2.get(f"{house.url}/erf/{job_of(page)}/map.npy").content
    assert download.value.path().read_bytes() == served

    page.reload()
    finished(page)
    expect(page.locator(".title")).to_contain_text("vier Fälle.onnx")
    expect(page.get_by_label("Scale", exact=True)).to_have_value("linear")


def test_two_jobs_are_compared_on_one_scale(visit: Visit, house: House) -> None:
    small, large = submit(house), submit(house, spec={"name": "large", "input": {"channels": 1, "size": [48, 48]}})
    page = visit()
    for name in ("small", "large"):
        page.get_by_role("checkbox", name=f"Mark {name}, last layer").first.check()
    page.get_by_role("button", name="Compare 2").click()
    expect(page.locator(".panel .stage image.map")).to_have_count(2)
    assert {small, large} <= set(page.url.rpartition("/")[2].split("+"))
    expect(page.get_by_role("row", name="TRF size")).to_contain_text("5 px")
    # A pixel of the input is as long in both: both figures span the larger input.
    widths = [image.bounding_box() for image in page.locator(".panel .stage image.map").all()]
    sides = sorted(box["width"] for box in widths if box)
    assert sides[1] == pytest.approx(2 * sides[0], rel=0.01)
    before = pixels(page)
    page.get_by_label("Values", exact=True).select_option("mass")
    expect(page.locator(".panel .stage image.map")).to_have_count(2)
    assert pixels(page) != before
    assert serious(page) == []


def test_grid_and_profile_lead_to_their_maps(visit: Visit, house: House) -> None:
    page = visit(f"/#/job/{submit(house, target={'unit': {'grid': [2, 2]}}, layers='all')}")
    finished(page)
    units = page.locator(".units button")
    expect(units).to_have_count(4)
    before = pixels(page)
    page.get_by_role("button", name="Unit (18, 18)").click()
    expect(page.get_by_role("heading", name="Map of unit (18, 18): ERF")).to_be_visible()
    finished(page)
    assert pixels(page) != before
    page.locator(".tall tbody button").first.click()
    expect(page.get_by_role("heading", name="Map of layer conv_0: ERF")).to_be_visible()
    finished(page)
    page.get_by_role("button", name="Back to the main map").click()
    finished(page)
    assert pixels(page) == before


def test_everyone_can_use_it_in_light_and_dark(visit: Visit, house: House) -> None:
    job = submit(house, target={"unit": {"grid": [2, 2]}}, layers="all")
    page, docs = visit(f"/#/job/{job}"), visit("/docs")
    finished(page)
    page.get_by_text("Layer spec", exact=True).click()
    expect(docs.get_by_role("heading", name="erf", exact=True)).to_be_visible()
    page.locator("summary").evaluate_all("(all) => all.forEach((one) => (one.parentElement.open = true))")
    docs.locator("details").evaluate_all("(all) => all.slice(0, 6).forEach((one) => (one.open = true))")
    for shown in (page, docs):
        for scheme in SCHEMES:
            shown.emulate_media(color_scheme=scheme)
            assert serious(shown) == [], scheme


def test_the_theme_can_be_chosen_and_stays(visit: Visit) -> None:
    page = visit(color_scheme="light")
    page.get_by_role("button", name="Switch to dark colours").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert serious(page) == []


def test_a_phone_shows_it_all(visit: Visit, house: House) -> None:
    page = visit(f"/#/job/{submit(house, layers='all')}", viewport={"width": 390, "height": 844}, has_touch=True)
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert serious(page) == []


@pytest.mark.parametrize("size", [[200], [12, 12, 12]])
def test_one_and_three_dimensions(visit: Visit, house: House, size: list[int]) -> None:
    page = visit(f"/#/job/{submit(house, spec={'input': {'channels': 1, 'size': size}})}")
    finished(page)
    if len(size) == 3:
        expect(page.locator(".headline")).to_contain_text("half of the influence lies within a cube of side")
        before = pixels(page)
        page.get_by_label("Slice", exact=True).fill("0")
        assert pixels(page) != before
        expect(page.get_by_text("z = 0")).to_be_visible()
    page.locator(".stage").hover()
    expect(page.locator(".readout")).to_contain_text("of the maximum")


def test_downloads(visit: Visit, house: House) -> None:
    page = visit(f"/#/job/{submit(house)}")
    finished(page)
    saved = {}
    for kind, ending in (("PNG", "png"), ("SVG", "svg"), ("CSV", "csv"), ("JSON", "json"), ("Report", "html")):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind, exact=True).click()
        assert download.value.suggested_filename == f"erf-small-relu_3.{ending}"
        saved[kind] = download.value.path().read_bytes()
    assert saved["PNG"].startswith(b"\x89PNG")
    assert "small · relu_3 · unit (12, 12) · input 1\u00a0×\u00a024\u00a0×\u00a024" in saved["SVG"].decode()
    with Image.open(BytesIO(saved["PNG"])) as picture:
        right = picture.convert("L").crop((picture.width - 60, 0, picture.width, picture.height))
    assert min(right.tobytes()) < 250, "an empty strip on the right"
    assert b"data:image/png;base64," in saved["SVG"]
    assert "5\u00a0×\u00a05\u202fpx" in saved["SVG"].decode()
    plot, *_ = ElementTree.fromstring(saved["SVG"]).findall("{*}svg")
    assert plot.get("text-anchor") == "middle"  # labels of the x axis lie below their ticks
    assert saved["CSV"].startswith(b"metric,value,stderr\ntrf_size,5.0,\n")
    assert b"<html" in saved["Report"]
    assert json.loads(saved["JSON"])["id"] == job_of(page)


def test_an_image_of_ones_own_under_the_map_stays_here(visit: Visit, house: House) -> None:
    page = visit(f"/#/job/{submit(house)}")
    finished(page)
    before, asked = pixels(page), list[str]()
    page.on("request", lambda request: asked.append(request.method))
    icon = Path(__file__).parents[2] / "docs" / "images" / "resnet50.png"
    page.get_by_label("Show over an image").set_input_files(icon)
    expect(page.get_by_role("button", name="Remove image")).to_be_visible()
    assert pixels(page) != before
    assert "POST" not in asked
    page.get_by_role("button", name="Remove image").click()
    assert pixels(page) == before


def test_the_image_under_a_map_does_not_stay_for_another_network(visit: Visit, house: House) -> None:
    first, same = submit(house), submit(house, average={"inputs": 2})
    other = submit(house, spec={"name": "other"})
    page = visit(f"/#/job/{first}")
    finished(page)
    icon = Path(__file__).parents[2] / "docs" / "images" / "resnet50.png"
    page.get_by_label("Show over an image").set_input_files(icon)
    for id, count in ((same, 1), (other, 0)):
        page.evaluate("(id) => { location.hash = `#/job/${id}`; }", id)
        expect(page.locator(f".entry[aria-current][href$='{id}']")).to_be_visible()
        finished(page)
        expect(page.get_by_role("button", name="Remove image")).to_have_count(count)


@pytest.mark.parametrize("colormap", ["viridis", "inferno", "gray"])
def test_the_crosshair_is_seen_on_dark_and_light_colours(visit: Visit, house: House, colormap: str) -> None:
    page = visit(f"/#/job/{submit(house)}")
    finished(page)
    page.get_by_label("Colours", exact=True).select_option(colormap)
    page.locator(".stage").hover(position={"x": 200, "y": 200})
    strokes = page.locator(".stage .cross path").evaluate_all("(all) => all.map((line) => line.getAttribute('stroke'))")
    assert strokes == ["#000", "#fff"]
    assert all(page.locator(".stage .cross path").evaluate_all("(all) => all.map((line) => line.getAttribute('d'))"))


def test_a_preset_that_is_repeated_is_still_the_preset(visit: Visit, house: House) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    for name in ("plain-5-ones", "wave-1d"):
        page.get_by_label("Start from").select_option(name)
        spec = page.get_by_label("Spec as JSON").input_value()
        page.get_by_label("Samples", exact=True).fill("2")
        before = page.url
        page.get_by_role("button", name="Measure", exact=True).click()
        page.wait_for_url(lambda url: url != before)  # noqa: B023  # it is called in this turn of the loop
        finished(page)
        page.reload()
        finished(page)
        page.get_by_role("button", name="Edit and repeat").click()
        expect(page.get_by_label("Start from")).to_have_value(name)
        expect(page.get_by_label("Spec as JSON")).to_have_value(spec)
    page.goto(f"{house.url}/#/job/{submit(house)}")
    finished(page)
    page.get_by_role("button", name="Edit and repeat").click()
    expect(page.get_by_label("Start from")).to_have_value("")
    layers = [{"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}, {"type": "relu"}]
    written = {"name": "small", "input": {"channels": 1, "size": [24, 24]}, "layers": layers * 2}
    assert json.loads(page.get_by_label("Spec as JSON").input_value()) == written


def test_the_history_tells_anew_how_long_ago_it_was(visit: Visit, house: House) -> None:
    submit(house)
    page = visit()
    page.clock.install()
    page.reload()
    expect(page.locator(".history time").first).to_have_text("just now")
    page.clock.fast_forward("03:00")
    expect(page.locator(".history time").first).to_have_text("3 minutes ago")


def test_a_preset_is_measured_and_its_question_changed(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    page.get_by_label("Samples", exact=True).fill("2")
    page.get_by_role("button", name="Measure").click()
    finished(page)
    expect(page.locator(".tile", has_text="TRF size")).to_contain_text("11 × 11 px")
    first = page.url
    page.get_by_role("button", name="Edit and repeat").click()
    expect(page.get_by_label("Samples", exact=True)).to_have_value("2")
    page.get_by_label("Statistic").select_option("rms")
    page.get_by_role("button", name="Measure").click()
    page.wait_for_url(lambda url: url != first)
    finished(page)
    expect(page.locator(".history a").first).to_contain_text("2 × rms")


def test_images_are_sent_and_measured_on(visit: Visit, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.effect_noise((40, 30), 60).convert("RGB").save(photo)
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-relu")
    page.get_by_text("More options").click()
    page.get_by_label("Input samples").select_option("images")
    page.get_by_role("button", name="Measure").click()
    expect(page.locator("#problem")).to_contain_text("Choose images first")
    page.get_by_label("Images:").set_input_files(photo)
    expect(page.locator("#images-hint")).to_contain_text("stored")
    page.get_by_label("Mean per channel").fill("0.5, 0.5, 0.5")
    page.get_by_label("Samples", exact=True).fill("1")
    page.get_by_role("button", name="Measure").click()
    finished(page)
    expect(page.locator(".history a").first).to_contain_text("images")


def test_a_job_can_be_canceled_and_removed(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-20-relu")
    page.get_by_label("Samples", exact=True).fill("100000")
    page.get_by_role("button", name="Measure").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".title .state")).to_have_text("canceled")
    expect(page.locator(".history a").first).to_contain_text("canceled")
    page.get_by_role("button", name="Remove plain-20-relu").first.click()
    expect(page.locator("#announcer")).to_contain_text("removed")


def test_what_is_wrong_is_said_where_it_is(visit: Visit) -> None:
    page = visit(forgiven=422)
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Spec as JSON").fill('{"layers": [{"type": "conv", "out_channels": 4, "kernel": 3}]}')
    page.get_by_role("button", name="Measure").click()
    alert = page.locator("#spec-problem")
    expect(alert).to_contain_text("The architecture spec is not valid")
    expect(alert).to_contain_text("Spec as JSON at /layers/0/kernel: there is no such field")
    expect(alert).to_contain_text("Spec as JSON at /layers/0/kernel_size: is required")
    expect(page.get_by_label("Spec as JSON")).to_be_focused()
    page.get_by_label("Spec as JSON").fill("{")
    page.get_by_role("button", name="Measure").click()
    expect(alert).to_contain_text("The spec is not JSON")
    assert serious(page) == []


def test_a_file_that_is_no_model(visit: Visit, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no ONNX at all")
    page = visit()
    drop(page, broken)
    expect(page.locator("#upload-problem")).to_contain_text("not a valid ONNX model")


def test_an_unknown_job_is_said(visit: Visit) -> None:
    page = visit("/#/job/nowhere", forgiven=404)
    expect(page.locator("#view .problem")).to_contain_text("There is no job 'nowhere'")


def test_following_a_job_outlives_a_service_that_is_busy(visit: Visit, house: House) -> None:
    """The stream and the looks are refused with 429; the page waits as it is told, and shows the end."""
    page, refused = visit(forgiven=429), list[str]()

    def busy(route: Route) -> None:
        if len(refused) < 3:
            refused.append(route.request.url)
            route.fulfill(status=429, headers={"Retry-After": "1"}, json={"title": "Too many requests", "status": 429})
        else:
            route.continue_()

    page.route("**/erf/*/events", busy)
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-relu")
    page.get_by_label("Samples", exact=True).fill("7")
    page.get_by_role("button", name="Measure").click()
    finished(page)
    assert refused
    assert page.locator("#view .problem:visible").count() == 0
