"""The Suggest page in a real browser: whoever types sees four lists follow every keystroke."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from app.suggestions.demo import RUNS
from tests.e2e.browsing import chromium, needs_chromium, serious, served_demo, watched
from tests.e2e.hostile import INSTALLED

LETTERS = 0.067
"""Seconds between the letters of somebody who types 15 a second."""

SLOW = "zi"
DELAYED = (
    INSTALLED
    + f"""
import persarank, time
from app.suggestions.suggester import Suggester
answer = Suggester.suggest
def late(self, visit, typed, k=10):
    if typed == {SLOW!r}:
        time.sleep(1.5)
    return answer(self, visit, typed, k)
Suggester.suggest = late
persarank.main()
"""
)
"""The command, whose answer to one prefix comes late."""

expect.set_options(timeout=20_000)
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def address(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo, whose answer to one prefix comes late."""
    with served_demo(DELAYED, home, tmp_path_factory.mktemp("folder")) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


Visitor = Callable[..., Page]


@pytest.fixture
def visitor(address: str, browser: Browser) -> Iterator[Visitor]:
    """A new visitor on the page; requests to other machines, dialogs and console messages fail the test."""
    wrong: list[list[str]] = []
    pages: list[Page] = []

    def arrive(query: str = "", width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        wrong.append(watched(page, address))
        page.goto(f"{address}/{query}")
        pages.append(page)
        expect(box(page)).to_be_visible(timeout=60_000)
        return page

    yield arrive
    for page in pages:
        page.context.close()
    assert wrong == [[]] * len(pages)


def box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search as")


def options(page: Page) -> list[str]:
    return page.locator("[role=option]:visible .text").all_inner_texts()


ALL = ("For you", "For everyone", "By history", "By popularity")


def lists(page: Page, prefix: str, titles: Sequence[str] = ALL) -> dict[str, list[str]]:
    """The lists by title, when they answer a prefix."""
    found = {}
    for title in titles:
        shown = page.get_by_role("list", name=f"{title}: {prefix}", exact=True)
        expect(shown).to_be_visible()
        found[title] = shown.locator(".text").all_inner_texts()
    return found


def test_four_lists_follow_every_keystroke(visitor: Visitor) -> None:
    page = visitor()
    box(page).click()
    expect(page.get_by_role("option").first).to_be_visible()
    assert 0 < len(options(page)) <= 10, "own searches are offered before anything is typed"
    assert all("searched before" in text for text in page.get_by_role("option").all_inner_texts())
    seen = []
    for prefix in ("h", "ho", "how"):
        page.keyboard.type(prefix[-1])
        found = lists(page, prefix)
        assert {len(texts) for texts in found.values()} == {10}
        assert options(page) == found["For you"]
        assert all(len(set(texts)) == 10 for texts in found.values())
        assert all(text.startswith(prefix) for texts in found.values() for text in texts)
        seen.append(found)
    assert any(found["For you"] != found["For everyone"] for found in seen), (
        "the personal list is the global one"
    )
    expect(box(page)).to_be_focused()
    expect(box(page)).to_have_value("how")
    told = page.get_by_role("list", name="By popularity: how").locator("li")
    everyone = seen[-1]["For everyone"]
    for place, (line, text) in enumerate(zip(told.all(), seen[-1]["By popularity"], strict=True)):
        up = everyone.index(text) - place if text in everyone else None
        words = f"up {up}" if up and up > 0 else f"down {-up}" if up else ""
        assert (
            line.locator(".move").all_inner_texts()
            == [f"{sign} {words}" for sign in [{"n": "★", "u": "▲", "d": "▼"}[words[0]]] if words]
            if words
            else line.locator(".move").count() == 0
        )


FIFTY = "how to cook rice and carrots, or replace a carburet"


def test_fifty_letters_at_fifteen_a_second_are_not_lost(visitor: Visitor) -> None:
    assert len(FIFTY) >= 50
    page = visitor()
    box(page).click()
    for place, letter in enumerate(FIFTY):
        page.keyboard.type(letter)
        if place == 20:  # in the middle of the text, from where the caret must not jump
            for _ in range(4):
                page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(LETTERS * 1000)
    typed = FIFTY[:17] + FIFTY[21:] + FIFTY[17:21]
    expect(box(page)).to_have_value(typed)
    expect(box(page)).to_be_focused()
    caret = "document.activeElement.shadowRoot.activeElement.selectionStart"
    assert page.evaluate(caret) == len(typed) - 4
    page.wait_for_timeout(500)
    assert (box(page).input_value(), page.evaluate(caret)) == (typed, len(typed) - 4)


SEEN = """
() => { window.seen = [];
  const all = [...document.querySelectorAll('*')].map((element) => element.shadowRoot).filter(Boolean);
  const list = all.map((root) => root.querySelector('#options')).find(Boolean);
  new MutationObserver(() => seen.push(list.querySelector('.typed')?.textContent ?? ''))
    .observe(list, {childList: true}); }"""


def test_a_late_answer_is_never_shown_after_a_newer_one_and_nothing_is_taken_from_it(
    visitor: Visitor,
) -> None:
    page = visitor()
    box(page).click()
    page.keyboard.type("h")
    lists(page, "h")
    page.evaluate(SEEN)
    page.keyboard.press("Backspace")
    page.keyboard.type(SLOW)
    page.wait_for_timeout(300)
    assert SLOW not in page.evaluate("seen")
    assert options(page), "the old list stays until there is another"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.keyboard.type("ho")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box(page)).to_have_value("ho")
    expect(page.get_by_text("1 search has joined")).to_be_visible()
    lists(page, "ho")
    page.wait_for_timeout(1500)
    seen = page.evaluate("seen")
    assert seen[-1] == "ho"
    asked = iter(["h", "", SLOW[0], SLOW, SLOW[0], "", "h", "ho"])
    assert all(prefix in asked for prefix, _ in groupby(seen)), (
        f"an older answer came after a newer one: {seen}"
    )
    assert options(page) == [], "the list stays closed"


def test_the_url_tells_user_run_and_length(visitor: Visitor) -> None:
    page = visitor(f"?user=user+003&run=demo/{RUNS[0]}&k=3")
    expect(page.get_by_label("Search as user 003")).to_be_visible()
    box(page).click()
    page.keyboard.type("w")
    alone = [title for title in ALL if title != "For everyone"]
    assert {len(texts) for texts in lists(page, "w", alone).values()} == {3}
    expect(page.get_by_text("With fedavg nobody has a model of their own")).to_be_visible()
    page.get_by_role("combobox", name=re.compile("User")).click()
    page.get_by_role("option", name="user 004").click()
    expect(page.get_by_label("Search as user 004")).to_be_visible()
    query = parse_qs(urlsplit(page.url).query)
    assert query == {"user": ["user 004"], "run": [f"demo/{RUNS[0]}"], "k": ["3"]}
    expect(box(page)).to_have_value("w")
    assert len(lists(page, "w", alone)["For you"]) == 3, "what was typed is answered as the other user"


def test_what_the_url_says_wrongly_is_said_and_not_done(visitor: Visitor) -> None:
    page = visitor("?user=%3Cimg+src%3Dx%3E+%3Ared%5Bx%5D&run=..%2F..%2Fetc&k=999")
    expect(page.get_by_text("There is no user called <img src=x>")).to_be_visible()
    expect(page.get_by_text("There is no run called ../../etc here")).to_be_visible()
    expect(page.get_by_text("Lists cannot be 999 long")).to_be_visible()
    expect(page.get_by_label("Search as user 000")).to_be_visible()
    box(page).click()
    page.keyboard.type("ho")
    lists(page, "ho")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 search has joined")).to_be_visible()
    expect(page.get_by_text("Lists cannot be 999 long")).to_be_hidden()
    expect(box(page)).to_have_value("ho")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    expect(box(page)).to_have_value("ho")


def test_a_visit_is_accepted_learned_undone_and_explained(visitor: Visitor) -> None:
    page = visitor()
    box(page).click()
    page.keyboard.type("how")
    first = lists(page, "how")["For you"]
    for _ in range(7):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box(page)).to_have_value(first[6])
    expect(page.get_by_text("1 search has joined")).to_be_visible()
    assert lists(page, "how")["For you"].index(first[6]) < 6, "the features follow"
    page.get_by_role("button", name="Learn", exact=True).click()
    expect(page.get_by_text(re.compile("^Learned from"))).to_be_visible(timeout=30_000)
    expect(page.get_by_text("For you, when “how” is typed")).to_be_visible()
    page.get_by_role("button", name=re.compile(r"^Why is .* number 1\?$")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Exact Shapley values")).to_be_visible(timeout=30_000)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text(re.compile("^Learned from"))).to_be_hidden()
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_text("Search for something above")).to_be_visible()
    assert lists(page, "how")["For you"] == first


def test_two_visitors_never_see_what_the_other_does(visitor: Visitor) -> None:
    """Not as different users, and not as the same one."""
    ann, ben, cy = visitor(), visitor("?user=user+001"), visitor()
    secret = "how a secret is kept"
    box(ann).click()
    expect(ann.get_by_role("option").first).to_be_visible()
    deleted = options(ann)[0]
    ann.keyboard.press("ArrowDown")
    ann.keyboard.press("Shift+Delete")
    expect(ann.get_by_role("option", name=deleted)).to_have_count(0)
    ann.keyboard.type(secret)
    ann.keyboard.press("Enter")
    expect(ann.get_by_text("1 search has joined")).to_be_visible()
    ann.get_by_role("button", name="Learn", exact=True).click()
    expect(ann.get_by_text(re.compile("^Learned from"))).to_be_visible(timeout=30_000)
    for other in (ben, cy, visitor()):
        box(other).click()
        other.keyboard.type(secret[:4])
        found = lists(other, secret[:4])
        assert not any(secret in texts for texts in found.values())
        expect(other.get_by_text("Search for something above")).to_be_visible()
        other.keyboard.press("Escape")
        other.keyboard.press("Escape")
        if other is not ben:
            box(other).click()
            expect(other.get_by_role("option", name=deleted)).to_have_count(1)
    box(ann).fill(secret[:4])
    assert lists(ann, secret[:4])["For everyone"][0] == secret
    box(ann).fill(secret[:6])
    assert secret in lists(ann, secret[:6])["For you"]
    expect(ann.get_by_role("option", name=f"{secret} from this visit")).to_be_visible()


def test_hostile_text_is_only_text(visitor: Visitor) -> None:
    page = visitor()
    hostile = "<img src=x onerror=alert(1)> :red[x] **y** $z$"
    box(page).click()
    page.keyboard.type(hostile)
    expect(page.get_by_text("No search starts like this.").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("stMarkdown").filter(has_text="img src=x")).to_be_visible()
    page.get_by_role("button", name="Undo").hover()
    expect(page.get_by_text("Takes back: searched for “<img src=x onerror=alert(1)>")).to_be_visible()
    box(page).fill(hostile[:4])
    expect(page.get_by_role("option", name=hostile)).to_be_visible()
    assert page.locator("img[src=x]").count() == 0


def test_figures_are_numbers_and_say_what_they_mean(visitor: Visitor) -> None:
    page = visitor()
    for label in ("accuracy@10", "MRR@10", "NMRR"):
        metric = page.get_by_test_id("stMetric").filter(has_text=re.compile(rf"^{label}"))
        value = float(metric.get_by_test_id("stMetricValue").inner_text())
        assert 0 <= value <= 1
    page.get_by_text("What these figures mean").click()
    expect(page.get_by_text("One over the place of the search that was made")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_a_telephone_is_wide_enough(visitor: Visitor, scheme: str) -> None:
    page = visitor(width=360, scheme=scheme)
    box(page).click()
    page.keyboard.type("how")
    lists(page, "how")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert serious(page) == ""
    inside = page.evaluate("getComputedStyle(document.querySelector('.stApp')).colorScheme")
    assert inside == scheme
