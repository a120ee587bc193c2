"""The exported page in Chromium: the run's lists, without any request elsewhere, and how it is used."""

import shutil
import threading
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module")
def folder(suggesters: Suggesters, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page for everybody in the log."""
    out = tmp_path_factory.mktemp("page") / "out"
    with fresh(out):
        export_models(suggesters("all", "mlp"), out, WEB, everyone=True)
    return out


def test_it_suggests_keeps_searches_in_the_browser_and_forgets_them(
    suggesters: Suggesters, folder: Path, browser: Browser
) -> None:
    suggester = suggesters("all", "mlp")
    ours = [one.text for one in suggester.suggest(suggester.visit(3), "a", 8).personal]
    with served(folder) as address, opened(browser, address, "?user=user/3") as page:
        box, lines, status = (
            page.locator("#box"),
            page.locator("#list li"),
            page.get_by_role("status"),
        )
        box.press_sequentially("a")
        expect(lines).to_have_count(8)
        assert [line.locator("span").first.inner_text() for line in lines.all()] == ours
        assert serious(page) == ""
        for way, chosen in (("Down", 0), ("Down", 1), ("Up", 0), ("Up", None), ("Up", 7)):
            box.press(f"Arrow{way}")
            marks = [line.get_attribute("aria-selected") == "true" for line in lines.all()]
            assert marks == [at == chosen for at in range(8)]
            assert box.get_attribute("aria-activedescendant") == (None if chosen is None else f"line{chosen}")
        box.press("Enter")
        expect(status).to_contain_text(f"Searched for “{ours[7]}”")
        box.fill("zebra <b>crossing</b>")
        box.press("Enter")
        box.fill("a")
        lines.nth(1).click()
        expect(page.get_by_text("3 searches are kept in this browser.")).to_be_visible()
        box.fill("zeb")
        expect(lines).to_have_text(["zebra <b>crossing</b>searched before"])
        box.press("Escape")
        expect(lines.first).to_be_hidden()
        expect(box).to_have_value("zeb")
        box.press("Escape")
        expect(box).to_have_value("")
        box.click()
        expect(lines).to_have_count(8)
        page.get_by_role("heading").click()
        expect(lines.first).to_be_hidden()
        page.reload()
        expect(page.get_by_text("3 searches are kept in this browser.")).to_be_visible()
        for user, count in (("somebody new", 0), ("user/3", 1)):
            page.get_by_label("Ranked for").select_option(user)
            expect(status).to_contain_text("Ranked by")
            box.fill("zeb")
            expect(lines).to_have_count(count)
        box.press("Escape")
        page.get_by_role("button", name="Forget them").click()
        expect(page.get_by_text("kept in this browser")).to_be_hidden()
        box.fill("zeb")
        expect(lines).to_have_count(0)
        assert page.evaluate("localStorage.length") == 0


def test_two_tabs_and_quick_choices_do_not_mix_up_whose_searches_are_whose(
    folder: Path, browser: Browser
) -> None:
    context = browser.new_context()
    with served(folder) as address:
        first, second = context.new_page(), context.new_page()
        for page in (first, second):
            page.goto(f"{address}/index.html?user=user/3")
            expect(page.locator("#box")).to_be_enabled()
        for page, query in ((first, "from one tab"), (second, "from another")):
            page.locator("#box").fill(query)
            page.locator("#box").press("Enter")
            for other in (first, second):
                expect(other.get_by_text("kept in this browser.").last).to_be_visible()
        expect(first.get_by_text("2 searches are kept in this browser.")).to_be_visible()
        second.get_by_role("button", name="Forget them").click()
        expect(first.get_by_text("searches are kept")).to_be_hidden()
        assert first.evaluate("localStorage.length") == 0

        slow: list[Callable[[], None]] = []
        first.route("**/users/4.weights", lambda route: slow.append(route.continue_))
        first.get_by_label("Ranked for").select_option("user/4")
        first.get_by_label("Ranked for").select_option("user/5")
        expect(first.locator("#box")).to_be_enabled()
        for go_on in slow:
            go_on()
        first.locator("#box").fill("what five wants")
        first.locator("#box").press("Enter")
        (key,) = first.evaluate("Object.keys(localStorage)")
        assert key.endswith("user/5")
    context.close()


def test_what_is_missing_is_told(folder: Path, browser: Browser, tmp_path: Path) -> None:
    lame = Path(shutil.copytree(folder, tmp_path / "lame"))
    (lame / "users" / "4.weights").unlink()
    (lame / "users" / "5.weights").write_bytes(b"1234")
    page = browser.new_page()
    with served(lame) as address:
        page.goto(f"{address}/?user=nobody")
        status = page.get_by_role("status")
        expect(status).to_contain_text(
            "There is no model of “nobody” here. Ranked by the model that all share"
        )
        for user in ("user/4", "user/5"):
            page.get_by_label("Ranked for").select_option(user)
            expect(status).to_contain_text("missing or damaged")
            page.get_by_label("Ranked for").select_option("user/3")
            expect(page.locator("#box")).to_be_enabled()
        page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full') } }")
        page.locator("#box").fill("zebra")
        page.locator("#box").press("Enter")
        expect(status).to_contain_text("This browser keeps nothing")
        expect(page.get_by_text("kept in this browser")).to_be_hidden()
    page.goto((folder / "index.html").as_uri())
    expect(page.get_by_role("status")).to_contain_text("python -m http.server --bind 127.0.0.1")
    page.close()


def test_it_fits_a_small_screen(folder: Path, browser: Browser) -> None:
    with served(folder) as address, opened(browser, address) as page:
        page.set_viewport_size({"width": 320, "height": 300})
        user = page.get_by_label("Ranked for")
        user.evaluate("user => user.options[1].text = 'somebody with a long name '.repeat(3)")
        user.select_option(index=1)
        expect(page.get_by_role("status")).to_contain_text("Ranked by this")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        box = page.locator("#box")
        box.fill("a")
        for _ in range(8):
            box.press("ArrowDown")
        expect(page.locator("#list li").last).to_be_in_viewport()
