"""Small journeys that a person makes on the page: a wrong file, an example, a removal taken back, a phone."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect
from tests.house.conftest import House, wait_until
from tests.page.conftest import serious
from tests.page.test_page import drop, finished, submit

Visit = Callable[..., Page]


def posts(page: Page) -> list[str]:
    """The addresses that the page posts to from now on."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("net.pth", b"\x80\x02", "is a PyTorch file. Load it in Python and export the network"),
        ("net.h5", b"\x89HDF", "is a Keras file. Load it in Python and export the network: model.export("),
        ("cat.png", b"\x89PNG", "cat.png is an image, not a network. Images to measure on go to More options"),
        ("net.onnx", b"\x89PNG", "net.onnx is an image, not a network."),
        ("paper.pdf", b"%PDF", "paper.pdf is a PDF document, not a network. A model is a network as an ONNX file"),
        ("nets.zip", b"PK\x03\x04", "nets.zip is a zip archive. Unpack it"),
        ("net.onnx", b"PK\x03\x04data.pkl", "net.onnx is a PyTorch file."),
        ("net.safetensors", b"\x10", "a file of weights alone, without a network. Load them into the network"),
        ("net.onnx", b"", "net.onnx has no bytes."),
    ],
)
def test_files_of_another_kind_are_not_sent(
    visit: Visit, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    page = visit()
    sent = posts(page)
    drop(page, tmp_path / name)
    expect(page.locator("#upload-problem")).to_contain_text(words)
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_disabled()
    assert sent == []


def test_a_file_beyond_the_services_limit_is_not_sent(visit: Visit, onnx_file: Path) -> None:
    page = visit()
    limits = {"max_model_bytes": 1024, "max_data_bytes": 1024, "max_file_bytes": 1024}
    page.route("**/page/limits.json", lambda route: route.fulfill(json=limits))
    sent = posts(page)
    drop(page, onnx_file)
    expect(page.locator("#upload-problem")).to_contain_text("this service takes 1.0 KiB at most")
    assert sent == []


def test_the_limits_are_the_settings(house: House) -> None:
    assert httpx2.get(f"{house.url}/page/limits.json").json()["max_model_bytes"] == 512 * 2**20


def test_a_rejected_file_cannot_be_measured(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no ONNX at all, whatever its name says")
    page = visit()
    drop(page, tmp_path / "broken.onnx")
    expect(page.locator("#upload-problem")).to_contain_text("not a valid ONNX model")
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Tiles", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Choose a network first")).to_be_visible()


def test_an_example_is_measured_by_one_click(visit: Visit) -> None:
    page = visit()
    assert serious(page) == []
    page.get_by_role("button", name="WaveNet's dilations").click()
    finished(page)
    expect(page.locator(".tile", has_text="TRF size")).to_contain_text("256 samples")
    expect(page.locator(".headline")).to_contain_text("The unit can see 256 samples and listens to")
    expect(page.get_by_label("Start from")).to_have_value("wave-1d")


def test_the_map_stands_first_and_the_metrics_beside_it(visit: Visit, house: House) -> None:
    page = visit(f"/#/job/{submit(house)}")
    finished(page)
    picture, tile = page.locator(".stage > svg").bounding_box(), page.locator(".tile").first.bounding_box()
    assert picture
    assert tile
    assert picture["y"] + picture["height"] <= 900
    assert tile["x"] >= picture["x"] + picture["width"]
    assert tile["y"] <= picture["y"] + 50


def test_a_removal_can_be_taken_back_until_the_page_is_left(visit: Visit, house: House) -> None:
    id = submit(house, spec={"name": "regretted", "input": {"channels": 1, "size": [24, 24]}}, average={"inputs": 3})
    page = visit()
    remove = page.get_by_role("button", name="Remove regretted")
    remove.click()
    expect(remove).to_have_count(0)
    undo = page.get_by_role("button", name="Undo: bring regretted")
    expect(undo).to_be_focused()
    undo.click()
    expect(remove).to_be_visible()
    remove.click()
    expect(undo).to_be_visible()
    page.reload()
    wait_until("the job's removal", lambda: httpx2.get(f"{house.url}/erf/{id}").status_code == 404)


def test_a_running_job_tells_how_long_it_takes(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-20-relu")
    page.get_by_label("Samples", exact=True).fill("99999")
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.locator(".running")).to_contain_text("left")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".title .state")).to_have_text("canceled")


def test_on_a_phone_the_form_comes_first_and_a_result_is_scrolled_to(visit: Visit, house: House) -> None:
    page = visit(f"/#/job/{submit(house)}", viewport={"width": 390, "height": 844})
    finished(page)
    form, view = page.locator("#form").bounding_box(), page.locator("#view").bounding_box()
    assert form
    assert view
    assert form["y"] < view["y"]
    expect(page.locator(".card h2")).to_be_in_viewport()


def test_a_comparison_is_taken_away(visit: Visit, house: House) -> None:
    ids = submit(house), submit(house, spec={"name": "=large", "input": {"channels": 1, "size": [48, 48]}})
    page = visit(f"/#/compare/{'+'.join(ids)}")
    expect(page.locator(".panel .stage image.map")).to_have_count(2)
    saved = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind, exact=True).click()
        saved[kind] = download.value.path().read_bytes()
    assert saved["PNG"].startswith(b"\x89PNG")
    assert saved["SVG"].count(b'class="map"') == 2
    heads, *lines = csv.reader(saved["CSV"].decode().splitlines())
    assert heads == ["metric", "small", "stderr of small", "'=large", "stderr of =large"]
    assert {name: values for name, *values in lines}["trf_size"] == ["5", "", "5", ""]


def test_the_report_is_read_on_a_phone_without_scrolling_sideways(visit: Visit, house: House) -> None:
    page = visit(f"/erf/{submit(house)}/report.html", viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    metrics = page.locator("table.metrics").first
    assert metrics.evaluate("(table) => table.scrollWidth <= table.parentElement.clientWidth")
    expect(page.get_by_text("Side of the box that can reach the unit")).to_be_visible()
    assert serious(page) == []


SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => shifts.push(entry.value)))
    .observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_while_a_result_arrives(visit: Visit, house: House, width: int) -> None:
    id, page = submit(house), visit(viewport={"width": width, "height": 844})
    page.add_init_script(SHIFTS)
    page.goto(f"{house.url}/#/job/{id}")
    page.reload()
    finished(page)
    expect(page.locator("#history a").first).to_be_visible()
    assert sum(page.evaluate("shifts")) < 0.02


def test_the_verdict_comes_before_the_map_and_tells_where_half_of_the_mass_is(visit: Visit, house: House) -> None:
    spec = {"name": "deep", "input": {"channels": 1, "size": [61, 61]}, "init": "ones"}
    layers = [{"type": "conv", "out_channels": 1, "kernel_size": 3, "padding": 1}] * 20
    page = visit(f"/#/job/{submit(house, spec={**spec, 'layers': layers}, average={'inputs': 1})}")
    finished(page)
    expect(page.locator(".headline")).to_contain_text(
        re.compile(r"\); half of the influence lies within a box of side [\d.]+\s*px\.$")
    )
    verdict, picture = page.locator(".headline").bounding_box(), page.locator(".stage > svg").bounding_box()
    assert verdict
    assert picture
    assert verdict["y"] + verdict["height"] <= picture["y"]


def test_no_tile_spills_and_a_box_out_of_view_is_not_called_dashed(visit: Visit, house: House) -> None:
    spec = {"name": "cut", "input": {"channels": 1, "size": [3, 3]}}
    for width in (1280, 390):
        page = visit(f"/#/job/{submit(house, spec=spec)}", viewport={"width": width, "height": 844})
        finished(page)
        expect(page.locator(".tile", has_text="limited by the input")).to_be_visible()
        spilled = page.locator(".tile dd").evaluate_all("(all) => all.filter((dd) => dd.scrollWidth > dd.clientWidth)")
        assert spilled == []
        caption = " ".join(page.locator(".stage").inner_text().split())
        assert "Dashed box" not in caption
        assert "The TRF of 5 × 5 px reaches beyond this view on all sides." in caption


def test_on_a_phone_a_job_that_ends_stays_in_sight(visit: Visit) -> None:
    """Its card grows by screens when it ends, and the history lies below it."""
    phone: Any = {"viewport": {"width": 390, "height": 844}}
    page = visit(**phone)
    page.get_by_role("button", name="20 convolutions, as in the article").click()
    finished(page)
    expect(page.locator("#view h1, #view h2").first).to_be_in_viewport()


def test_a_link_leads_to_the_history_on_a_phone(visit: Visit, house: House) -> None:
    page = visit(f"/#/job/{submit(house)}", viewport={"width": 390, "height": 844})
    finished(page)
    address = page.url
    page.get_by_role("link", name="History", exact=True).click()
    expect(page.get_by_role("heading", name="History")).to_be_in_viewport()
    assert page.url == address
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_header_stays_in_sight_after_a_question_from_below(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    page.get_by_role("button", name="Tiles", exact=True).click()
    expect(page.locator(".title .state")).to_contain_text("succeeded")  # "from the store" where another test asked
    expect(page.locator("header")).to_be_in_viewport()


def test_a_centre_unit_beside_the_middle_is_explained(visit: Visit, house: House) -> None:
    conv = {"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1, "stride": 4}
    input = {"channels": 1, "size": [28, 28]}
    page = visit(f"/#/job/{submit(house, spec={'name': 'coarse', 'input': input, 'layers': [conv, {'type': 'relu'}]})}")
    finished(page)
    expect(page.locator(".notes")).to_contain_text(
        "The centre unit (3, 3) of the layer (2 × 7 × 7) sits at 12, 12 px, not in the middle of the input at "
        "13.5, 13.5 px"
    )


def test_a_phone_begins_with_examples_and_shows_every_meaning(visit: Visit, house: House) -> None:
    phone: Any = {"viewport": {"width": 390, "height": 844}}
    page = visit(**phone)
    for example in page.locator(".examples button").all():
        expect(example).to_be_in_viewport(ratio=1)
    page = visit(f"/#/job/{submit(house, spec={'input': {'channels': 1, 'size': [128, 128]}})}", **phone)
    finished(page)
    tiles, plot = page.locator(".tiles").bounding_box(), page.locator(".stage").bounding_box()
    assert tiles
    assert plot
    assert tiles["y"] < plot["y"]
    page.get_by_label("Show", exact=True).select_option("input")
    expect(page.get_by_text("Side of the box that can reach the unit")).to_be_visible()
    ticks, name = (
        page.locator(".stage text", has_text=re.compile("^100$")),
        page.locator(".stage text", has_text="y (px)"),
    )
    tick, axis = ticks.first.bounding_box(), name.bounding_box()
    assert tick
    assert axis
    assert axis["x"] + axis["width"] <= tick["x"]
