"""The app in a real browser: every page, the way from a comparison to a user, and no other machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlparse

import pytest
from playwright.sync_api import Browser, Page, expect

from app.suggestions.demo import VERSION
from tests.e2e.browsing import DRAWN, chromium, needs_chromium, serious, served_demo, watched
from tests.e2e.hostile import CALL

PAGES = {"Suggest": "", "Compare": "compare", "Train": "train", "Data": "data", "About": "about"}
HOSTILE = ":red[x] **y** $z$ `c` <img src=x onerror=alert(1)> www.example.org a@example.org --> :smile:"
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's own."""
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def address(home: Path, folder: Path) -> Iterator[str]:
    with served_demo(CALL, home, folder) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(params=["light"])
def page(address: str, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab on the first page; a request to another machine, a dialog or a console message fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=request.param)
    tab = context.new_page()
    heard = watched(tab, address)
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


def test_every_page_is_accessible_and_fits_a_phone(page: Page) -> None:
    for name in PAGES:
        if name != "Suggest":
            go(page, name)
        assert serious(page) == "", name
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
        assert serious(page, COLOURS) == "", name


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
