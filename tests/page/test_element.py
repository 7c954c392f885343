"""One element by its full index, verified: how the form asks for it, and what a result says of its place and origin."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from playwright.sync_api import Page, Route, expect
from tests.client.conftest import modern_result_json
from tests.house.conftest import House
from tests.page.conftest import serious
from tests.page.test_page import drop, finished, submit

from erfscope_contract.metrics import metrics_of
from erfscope_contract.result import ErfResult

Visit = Callable[..., Page]


def asked(page: Page) -> dict[str, Any]:
    """The request as the page would send it."""
    body: dict[str, Any] = json.loads(page.locator("#request-json").inner_text())
    return body


def test_an_element_and_a_verification_are_asked_for(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_text("This request as JSON").click()
    page.get_by_text("More options").click()
    assert "verify" not in asked(page)
    page.get_by_text("Element", exact=True).click()
    expect(page.locator("#request-json")).to_contain_text("Type one number per axis of the layer's tensor")
    page.get_by_label("Full index of the element").fill("3, 7, 7")
    page.get_by_label("Verify one sample by plain autograd").check()
    expect(page.locator("#request-json")).to_contain_text("verify")
    assert (asked(page)["target"], asked(page)["verify"]) == ({"unit": {"index": [3, 7, 7]}}, True)
    page.get_by_text("Grid", exact=True).click()
    assert asked(page)["target"] == {"unit": {"grid": [3, 3]}}
    expect(page.get_by_label("Full index of the element")).to_be_hidden()


def test_an_element_of_a_network_without_axes_of_space_is_measured(visit: Visit, tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((5, 3), np.float32), "weights")
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n]) for name, n in (("x", 5), ("y", 3))]
    node = helper.make_node("MatMul", ["x", "weights"], ["y"], "y")
    graph = helper.make_graph([node], "flat", infos[:1], infos[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "flat.onnx").write_bytes(model.SerializeToString())
    page = visit()
    drop(page, tmp_path / "flat.onnx")
    expect(page.locator("#upload-problem")).to_contain_text("An element of any layer can be measured")
    expect(page.locator("#layer-hint")).to_contain_text("choose Element as the unit")
    measure = page.get_by_role("button", name="Measure", exact=True)
    expect(measure).to_be_disabled()
    page.get_by_text("Element", exact=True).click()
    page.get_by_role("searchbox").fill("y")
    page.get_by_label("Full index of the element").fill("1")
    page.get_by_label("Samples", exact=True).fill("2")
    measure.click()
    expect(page.locator(".title .state")).to_have_text("succeeded")
    expect(page.locator(".title")).to_contain_text("y · unit (1)")


def told(page: Page, house: House, request: dict[str, Any], result: dict[str, Any]) -> Page:
    """The page of a real job whose answer has these fields as well, as another engine would have found them."""
    id = submit(house)

    def answered(route: Route) -> None:
        job = route.fetch().json()
        job["request"] |= request
        for name, part in result.items():
            job["result"][name] = {**(job["result"].get(name) or {}), **part}
        job["metrics"] = [row.model_dump() for row in metrics_of(ErfResult.model_validate(job["result"]))]
        route.fulfill(json=job)

    page.route(f"**/erf/{id}", answered)
    page.goto(f"{house.url}/#/job/{id}")
    finished(page)
    return page


def test_a_result_says_where_its_unit_sits_and_how_it_was_found(visit: Visit, house: House) -> None:
    request = {"target": {"layer": "auto", "unit": {"index": [3, 7, 7]}, "channels": "auto"}, "verify": True}
    modern = {name: modern_result_json()[name] for name in ("verify",)}
    trf = {name: modern_result_json()["trf"][name] for name in ("global", "widened_by", "local_box", "local_without")}
    layer = {"passed_over": [{"name": "<b>head</b>", "why": "none of its axes follows the input"}]}
    autograd = {"autograd": [{"operator": "aten.stft", "why": "complex windows"}]}
    page = told(visit(), house, request, {**modern, "trf": trf, "layer": layer, "provenance": autograd})
    page.locator("summary").evaluate_all("(all) => all.forEach((one) => (one.parentElement.open = true))")
    view = page.locator("#view")
    expect(view.locator(".notes")).to_contain_text(
        "through norm_1, norm_2; it sees 5 × 5 px without the statistics of norm_1"
    )
    expect(view.locator(".notes")).to_contain_text("a table below says why it passed over 1 tensor.")
    expect(view.get_by_role("row", name="Difference to plain autograd")).to_contain_text("3.1 × 10⁻⁷")
    expect(view.get_by_role("row", name="<b>head</b>")).to_contain_text("none of its axes follows the input")
    expect(view.get_by_role("row", name="aten.stft")).to_contain_text("complex windows")
    expect(view.locator(".facts", has_text="projected centre")).to_contain_text("local field")
    assert "[object" not in view.inner_text()
    assert serious(page) == []
    page.get_by_role("button", name="Edit and repeat").click()
    expect(page.get_by_label("Full index of the element")).to_have_value("3, 7, 7")
    expect(page.get_by_label("Verify one sample by plain autograd")).to_be_checked()


def test_r_of_the_script_is_marked_where_the_input_limits_it(visit: Visit, house: House) -> None:
    page = told(
        visit(),
        house,
        {"protocol": "replknet"},
        {"replknet": {"0.20": 0.1, "0.99": 23**2 / 24**2}, "trf": {"clipped": True}},
    )
    section = page.locator(".section", has_text="RepLKNet script")
    section.locator("summary").click()
    expect(section.locator("tbody tr").nth(0)).to_have_text(re.compile(r"20 %\s*0\.1"))
    expect(section.locator("tbody tr").nth(1)).to_contain_text("†")
