"""The page as people meet it: headless Chromium on a real `erfscope up`, and models small enough to watch."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from onnx import TensorProto, helper, numpy_helper
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright
from tests.house.conftest import House

SIDE = 32
PATIENCE = 30_000  # milliseconds after which a test gives up on a machine under load


@pytest.fixture(scope="session")
def chromium() -> str:
    """Playwright's own Chromium, else the system's; without one these tests are skipped, unless they must not be."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    names = ("chromium", "chromium-browser", "google-chrome")
    program = own if Path(own).exists() else next(filter(None, map(shutil.which, names)), None)
    if program is None:
        reason = "there is no browser on this machine: make browser"
        assert os.environ.get("ERFSCOPE_REQUIRE_BROWSER") != "1", reason
        pytest.skip(reason)
    return program


@pytest.fixture(scope="module")  # no longer: while it is open, an event loop runs in this thread
def browser(chromium: str) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs a user namespace, which root in a container has none of.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def house(chromium: str, house: House) -> House:
    """The shared one; without a browser it is not started."""
    return house


class Watch:
    """What a page must not do: complain on the console, throw, or ask another host for anything."""

    def __init__(self, page: Page, host: str) -> None:
        self.host, self.errors, self.strangers = host, list[str](), list[str]()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} at {message.location}")

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.host, "blob:", "data:")):
            self.strangers.append(request.url)

    def forgive(self, status: int) -> None:
        """Chromium logs every refused request; a refusal that the test provoked is no fault of the page."""
        self.errors = [error for error in self.errors if f"status of {status}" not in error]


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Callable[..., Page]]:
    """Opens a page of the house; at the end nothing may have gone wrong on any of them."""
    opened: list[tuple[Page, Watch]] = []

    def visit(path: str = "/", url: str = house.url, forgiven: int = 0, **context: Any) -> Page:
        page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}).new_page()
        page.set_default_timeout(PATIENCE)
        watch = Watch(page, url)
        opened.append((page, watch))
        page.goto(url + path)
        page.context.on("close", lambda _: watch.forgive(forgiven) if forgiven else None)
        return page

    yield visit
    for page, watch in opened:
        page.context.close()
        assert watch.errors == []
        assert watch.strangers == []


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four 3×3 convolutions of stride 1, each with a ReLU, on 32×32: fields of 3, 5, 7 and 9 pixels."""
    rng = np.random.default_rng(3)
    nodes, weights, last = [], [], "image"
    for index, (taken, given) in enumerate([(3, 8), (8, 8), (8, 8), (8, 4)]):
        name, bank = f"conv{index}", rng.standard_normal((given, taken, 3, 3)).astype(np.float32) / (3 * taken**0.5)
        weights.append(numpy_helper.from_array(bank, f"{name}.weight"))
        nodes.append(
            helper.make_node("Conv", [last, f"{name}.weight"], [name], name, kernel_shape=[3, 3], pads=[1] * 4)
        )
        nodes.append(helper.make_node("Relu", [name], [f"relu{index}"], f"relu{index}"))
        last = f"relu{index}"
    shapes = {name: [1, channels, SIDE, SIDE] for name, channels in (("image", 3), (last, 4))}
    image, output = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph(nodes, "four-convolutions", [image], [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("model") / "vier Fälle.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def serious(page: Page) -> list[str]:
    """What axe-core finds serious or critical on the page as it is now: rule, and the elements."""
    found = Axe().run(page).response["violations"]
    grave = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    return [f"{rule['id']}: {[node['html'][:120] for node in rule['nodes'][:3]]}" for rule in grave]
