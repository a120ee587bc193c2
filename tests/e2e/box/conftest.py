"""A box on an empty page, whose browser's console must stay empty."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Error, Page

from tests.e2e.box.driven import SEARCHES, Box
from tests.e2e.browsing import chromium


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page()


@pytest.fixture
def box(tab: Page) -> Iterator[Box]:
    heard: list[str] = []

    def console(message: ConsoleMessage) -> None:
        heard.append(message.text)

    def error(error: Error) -> None:
        heard.append(str(error))

    tab.goto("about:blank")
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.on("console", console)
    tab.on("pageerror", error)
    yield Box(tab, SEARCHES)
    tab.remove_listener("console", console)
    tab.remove_listener("pageerror", error)
    assert not heard
