"""The demo in a real browser: somebody chooses a user, types, and both lists follow every keystroke."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from app.suggestions.demo import VERSION
from app.suggestions.preparation import prepare
from tests.e2e.hostile import CALL, OWN, lay, lay_settings, start, wait_for

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is not installed")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small demo, prepared and served by the command itself, in a folder that should not matter."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("folder")
    traces = lay(folder, OWN)
    lay_settings(folder / ".streamlit")
    prepare(home / f"demo-{VERSION}", users=20, updates=200)
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


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    """A tab on the page; any request to another machine fails the test."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 1000})
        elsewhere: list[str] = []
        own = (address, "data:", "blob:", address.replace("http", "ws"))
        tab.on("request", lambda r: None if r.url.startswith(own) else elsewhere.append(r.url))
        tab.goto(address)
        expect(tab.get_by_label("Search", exact=True)).to_be_visible(timeout=60_000)
        yield tab
        browser.close()
        assert not elsewhere, "the page asked other machines for something"


def typed(page: Page, text: str) -> tuple[list[str], list[str]]:
    """Type on, and wait for both lists to answer what now stands in the box."""
    page.keyboard.type(text)
    prefix = page.get_by_label("Search", exact=True).input_value()
    lists = []
    for name in ("personal", "global"):
        shown = page.get_by_label(f"{name} suggestions for {prefix}", exact=True)
        expect(shown).to_be_visible(timeout=15_000)
        lists.append(shown.locator(".pr-text").all_inner_texts())
    return lists[0], lists[1]


def test_lists_follow_every_keystroke(page: Page) -> None:
    page.get_by_label("Search", exact=True).click()
    seen = [typed(page, letter) for letter in "how"]
    for personal, common in seen:
        assert 0 < len(personal) <= 10
        assert len(common) == len(personal)
        assert len(set(personal)) == len(personal)
    prefixes = ["h", "ho", "how"]
    assert all(text.startswith(p) for p, lists in zip(prefixes, seen, strict=True) for text in lists[0])
    assert any(personal != common for personal, common in seen), "the personal list is the global one"
    box = page.get_by_label("Search", exact=True)
    assert box.input_value() == "how", "no letter was lost"
    expect(box).to_be_focused()
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect(box).to_have_value("h")


def test_another_user_sees_another_list(page: Page) -> None:
    page.get_by_label("Search", exact=True).click()
    before, _ = typed(page, "w")
    page.get_by_role("combobox").click()
    page.get_by_role("option", name="user 003").click()
    page.wait_for_url("**user=user*003*", timeout=15_000)
    page.wait_for_function(
        "before => [...document.querySelectorAll('[aria-label^=\"personal suggestions\"] .pr-text')]"
        ".map(e => e.innerText).join('|') !== before",
        arg="|".join(before),
        timeout=15_000,
    )


def test_hostile_text_is_only_text(page: Page) -> None:
    page.get_by_label("Search", exact=True).fill(
        "<img src=x onerror=document.title='owned'> :red[x] **y** $z$"
    )
    expect(page.get_by_text("No search starts like this.").first).to_be_visible(timeout=15_000)
    assert "owned" not in page.title()
    assert page.locator("img[src=x]").count() == 0


def test_figures_are_numbers(page: Page) -> None:
    for label in ("accuracy@10, personal", "NMRR, personal"):
        metric = page.get_by_test_id("stMetric").filter(has_text=label)
        value = float(metric.get_by_test_id("stMetricValue").inner_text())
        assert 0 <= value <= 1
