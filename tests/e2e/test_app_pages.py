"""The app in a real browser: every page, the way from a comparison to a user, and no other machine."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.suggestions.demo import VERSION
from tests.e2e.hostile import CALL, OWN, lay, lay_settings, start, wait_for
from tests.e2e.test_browser import CHROMIUM, FLAGS

PAGES = {"Suggest": "", "Compare": "compare", "Train": "train", "Data": "data", "About": "about"}
HOSTILE = ":red[x] **y** $z$ `c` <img src=x onerror=alert(1)> www.example.org a@example.org --> :smile:"
DRAWN = "[...document.querySelectorAll('.stVegaLiteChart')].every(chart => chart.querySelector('svg'))"
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's own."""
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def address(home: Path, folder: Path) -> Iterator[str]:
    """The demo, served by the command itself, in a folder whose other files should not matter."""
    traces = lay(folder, OWN)
    lay_settings(folder / ".streamlit")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start(
        CALL, "demo", "--headless", "--port", port, cwd=folder, path=str(folder), PERSARANK_HOME=str(home)
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/_stcore/health", server)
        yield url
    finally:
        server.terminate()
        server.communicate(timeout=20)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server outlived its command"
        assert not traces.exists(), traces.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=["light"])
def page(address: str, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab on the first page; a request to another machine, a dialog or a console message fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=request.param)
    tab = context.new_page()
    heard: list[str] = []
    own = (address, "data:", "blob:", address.replace("http", "ws"))
    tab.on("request", lambda r: None if r.url.startswith(own) else heard.append(r.url))
    tab.on("console", lambda message: heard.append(message.text))
    tab.on("pageerror", lambda error: heard.append(str(error)))
    tab.on("dialog", lambda dialog: heard.append(dialog.message))
    tab.goto(address)
    settled(tab)
    yield tab
    context.close()
    assert not heard


def settled(page: Page) -> None:
    """Until the script has run, and all charts are drawn."""
    page.wait_for_selector("[data-test-script-state=notRunning]", timeout=60_000)
    expect(page.get_by_role("heading", level=1)).to_have_count(1, timeout=60_000)
    page.wait_for_function(DRAWN, timeout=15_000)


def go(page: Page, name: str) -> None:
    """To another page, as people do."""
    page.get_by_role("link", name=name, exact=True).first.click()
    page.wait_for_url(f"**/{PAGES[name]}", timeout=15_000)
    settled(page)


def serious(page: Page, options: dict[str, Any] | None = None) -> list[str]:
    """What axe finds that keeps people from using the page."""
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:300]}" for v in found if v["impact"] in ("serious", "critical")
    ]


def test_every_page_is_accessible_and_fits_a_phone(page: Page) -> None:
    for name in PAGES:
        if name != "Suggest":
            go(page, name)
        assert not serious(page), name
        for problem in ("stException", "stAlertContentError"):
            assert page.get_by_test_id(problem).count() == 0, name
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(300)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390, name
        page.set_viewport_size({"width": 1280, "height": 1000})


@pytest.mark.parametrize("page", ["dark"], indirect=True)
def test_in_the_dark_everything_can_be_read(page: Page) -> None:
    for name in PAGES:
        if name != "Suggest":
            go(page, name)
        assert not serious(page, COLOURS), name


def test_from_a_comparison_to_a_user(page: Page) -> None:
    """One of five is chosen in the table, then another in the chart, and the later choice counts."""
    go(page, "Compare")
    link = page.get_by_role("link", name="Type as user")
    grid = page.get_by_test_id("stDataFrame")
    grid.scroll_into_view_if_needed()
    grid.click(position={"x": 20, "y": 55})  # the first box to tick: the table is drawn as one picture
    expect(link).to_be_visible(timeout=15_000)
    first = link.inner_text()
    chart = page.get_by_test_id("stVegaLiteChart").filter(has_text="change of NMRR")
    chart.locator(".mark-symbol path").nth(2).click()
    expect(link).not_to_have_text(first, timeout=15_000)
    settled(page)
    user = link.inner_text().split("Type as ")[1]
    link.click()
    page.wait_for_url(lambda url: urlparse(url).path == "/", timeout=15_000)
    settled(page)
    for label, value in (("Run", "demo/persa-fl-ditto"), ("User", user)):
        expect(page.get_by_role("combobox", name=label, exact=True)).to_have_value(value, timeout=15_000)


@pytest.fixture
def damaged(home: Path, folder: Path) -> Iterator[str]:
    """A run of the folder that cannot be opened, by its name."""
    run = folder / "runs" / HOSTILE
    shutil.copytree(home / f"demo-{VERSION}" / "fedavg", run)
    (run / "model.safetensors").write_bytes(b"")
    yield f"runs/{HOSTILE}"
    shutil.rmtree(run)


def test_a_hostile_name_is_only_text(page: Page, damaged: str) -> None:
    page.goto(f"{page.url}?{urlencode({'run': damaged})}")
    settled(page)
    shown = page.get_by_test_id("stAlertContentError")
    expect(shown).to_be_visible(timeout=15_000)
    assert HOSTILE in shown.inner_text()
    go(page, "Compare")
    page.get_by_role("combobox", name="Runs").click()
    page.get_by_role("option", name="demo/fedavg").click()
    expect(page.get_by_text("1 of 2 runs are left out.")).to_be_visible(timeout=30_000)
    cell = page.locator(".scroll table tbody th").first
    assert cell.inner_text() == damaged
    for made in ("img[src=x]", "a[href*='example.org']", ".katex"):
        assert page.locator(made).count() == 0, made
