"""The exported page in Chromium: the run's lists, without any request elsewhere, and how it is used."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.devices.export import WEB, export_models
from data.storage import fresh
from tests.app.devices.conftest import Suggesters
from tests.app.devices.conftest import log as log
from tests.app.devices.conftest import suggesters as suggesters
from tests.app.devices.moments import moments
from tests.e2e.browsing import chromium, needs_chromium, serious, watched

pytestmark = needs_chromium
LISTS = """async ([user, steps]) => {
  const { load, manifest } = await import("./ranker.js");
  const said = await manifest();
  const ranker = await load(said, said.models.find((model) => model.user === user));
  const found = [];
  for (const { observe, typed } of steps) {
    if (observe !== undefined) ranker.observe(observe);
    else found.push(ranker.suggest(typed, 100).map(({ text, score, own }) => [text, score, own]));
  }
  return found;
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, served as `python -m http.server` does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@contextmanager
def opened(browser: Browser, address: str, query: str = "") -> Iterator[Page]:
    """The page, once it can be used; it must ask for nothing elsewhere, and complain of nothing."""
    page = browser.new_page()
    heard = watched(page, address)
    page.goto(f"{address}/{query}")
    expect(page.get_by_role("combobox", name="Search")).to_be_enabled()
    yield page
    assert heard == []
    page.close()


@pytest.mark.parametrize(
    ("data", "ranker", "each"),
    [
        ("simulated", "mlp", 100),
        ("simulated", "mlp-cnn", 100),
        ("all", "mlp", 40),
        ("bounded", "mlp-cnn", 40),
        ("simulated bounded", "mlp", 40),
    ],
)
def test_its_lists_are_those_of_the_run(
    data: str, ranker: str, each: int, suggesters: Suggesters, browser: Browser, tmp_path: Path
) -> None:
    """1,000 moments on simulated users for each network, of somebody new and of nine users."""
    suggester = suggesters(data, ranker)
    with fresh(tmp_path / "out"):
        export_models(suggester, tmp_path / "out", WEB, everyone=True)
    users = [None, *suggester.users[:9]]
    with served(tmp_path / "out") as address, opened(browser, address) as page:
        for user, steps in zip(users, moments(suggester, users, each, seed=4), strict=True):
            lists = [step["list"] for step in steps if "list" in step]
            found = page.evaluate(LISTS, [user, [{k: v for k, v in s.items() if k != "list"} for s in steps]])
            for theirs, ours in zip(found, lists, strict=True):
                assert [(text, own) for text, _, own in theirs] == [(text, own) for text, _, own in ours]
                scores = [score for _, score, _ in ours]
                assert [score for _, score, _ in theirs] == pytest.approx(scores, rel=1e-5, abs=1e-5)


def test_it_suggests_keeps_searches_in_the_browser_and_forgets_them(
    suggesters: Suggesters, browser: Browser, tmp_path: Path
) -> None:
    suggester = suggesters("all", "mlp")
    with fresh(tmp_path / "out"):
        export_models(suggester, tmp_path / "out", WEB, everyone=True)
    with served(tmp_path / "out") as address, opened(browser, address, "?user=user/3") as page:
        box, lines = page.get_by_role("combobox", name="Search"), page.locator("#list li")
        ours = [one.text for one in suggester.suggest(suggester.visit(3), "a", 8).personal]
        box.press_sequentially("a")
        expect(lines).to_have_count(8)
        assert [line.locator("span").first.inner_text() for line in lines.all()] == ours
        assert serious(page) == ""
        box.press("ArrowDown")
        expect(lines.first).to_have_attribute("aria-selected", "true")
        box.press("Enter")
        expect(page.get_by_role("status")).to_contain_text(f"Searched for “{ours[0]}”")
        box.fill("zebra <b>crossing</b>")
        box.press("Enter")
        page.reload()
        expect(page.get_by_text("2 searches are kept in this browser.")).to_be_visible()
        box.fill("zeb")
        expect(lines).to_have_text(["zebra <b>crossing</b>searched before"])
        page.get_by_label("Ranked for").select_option("somebody new")
        box.fill("zeb")
        expect(lines).to_have_count(0)
        page.get_by_label("Ranked for").select_option("user/3")
        page.get_by_role("button", name="Forget them").click()
        expect(page.get_by_text("kept in this browser")).to_be_hidden()
        expect(box).to_be_enabled()
        box.fill("zeb")
        expect(lines).to_have_count(0)
        assert page.evaluate("localStorage.length") == 0
