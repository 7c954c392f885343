"""The page before a service that asks for keys."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.house.conftest import House
from tests.page.conftest import serious
from tests.service.conftest import running_service

from erfscope_jobs import keys
from erfscope_jobs.keys import Scope
from erfscope_jobs.ledger import Ledger
from erfscope_service.settings import ServiceSettings


@pytest.fixture(scope="module")
def locked(house: House) -> Iterator[tuple[str, str]]:
    """A second front to the house's ledger and workers that wants a key, and a key."""
    settings = ServiceSettings(redis_url=house.redis_url, data_dir=house.data_dir, keys="on")
    key, text = keys.issue("reader", None, Scope.JOBS)
    with running_service(settings) as url, Ledger(settings) as ledger:
        assert ledger.run(keys.add(settings.namespace, key))
        yield url, text


def test_a_key_is_asked_for_once_and_forgotten_on_demand(visit: Callable[..., Page], locked: tuple[str, Any]) -> None:
    url, text = locked
    page = visit(url=url, forgiven=401)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("wants an API key")
    assert serious(page) == []
    dialog.get_by_label("Key", exact=True).fill(text)
    dialog.get_by_role("button", name="Use this key").click()
    expect(page.locator("#history")).to_contain_text("Nothing has been measured yet")
    page.get_by_text("Layer spec", exact=True).click()
    page.get_by_label("Start from").select_option("plain-5-ones")
    page.get_by_label("Samples", exact=True).fill("2")
    page.get_by_role("button", name="Measure").click()
    expect(page.locator(".mapplace[aria-busy='false'] .stage image.map")).to_be_visible()
    page.reload()
    expect(page.locator(".mapplace[aria-busy='false'] .stage image.map")).to_be_visible()
    page.get_by_role("button", name="Forget key").click()
    page.reload()
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#view .problem, #history-problem").first).to_be_visible()
