"""The combobox alone in Chromium, key by key: `box.js` with a page of the test in Python's place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Error, Page, sync_playwright

from app.suggestions.suggester import RANKINGS, Suggestion, Suggestions
from app.web.box import answers
from tests.e2e.test_browser import CHROMIUM, FLAGS

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is not installed")

FOLDER = Path(answers.__file__).parent
OPENED = """
async ([html, css, js]) => {
  document.title = 'box';
  const host = document.body.appendChild(document.createElement('div'));
  const root = host.attachShadow({mode: 'open'});
  root.innerHTML = html;
  root.appendChild(document.createElement('style')).textContent = css;
  const {default: draw} = await import(URL.createObjectURL(new Blob([js], {type: 'text/javascript'})));
  window.root = root;
  window.said = [];
  window.elsewhere = [];
  document.addEventListener('keydown', (event) => window.elsewhere.push(event.key));
  const setStateValue = (key, value) => window.said.push(JSON.parse(JSON.stringify({key, ...value})));
  window.feed = (data) => draw({parentElement: root, data, setStateValue});
}"""
SEARCHES = ["hotel", "how are you", "how to cook", "hut"]
OWN = {"how to cook": "visit", "hut": "earlier"}


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_page()
        browser.close()


class Box:
    """A box on an empty page; answers come when the test says so."""

    def __init__(self, page: Page, searches: list[str]) -> None:
        self.page, self.searches = page, searches
        page.set_content("<!doctype html><html lang=en><body style='margin:0'></body></html>")
        page.evaluate(OPENED, [(FOLDER / f"box.{ending}").read_text() for ending in ("html", "css", "js")])
        self.input = page.get_by_role("combobox")
        self.feed(self.answer("", "", 0))

    def answer(self, typed: str, mount: str, seq: int, done: int = 0, of: str = "ann") -> dict[str, Any]:
        """What Python says to a question, with all that starts like it."""
        shown = [
            Suggestion(text, 1.0, text in OWN, OWN.get(text) == "visit")
            for text in self.searches
            if text.startswith(typed) and (typed or text in OWN)
        ]
        lists = {name: shown if typed or name == "personal" else [] for name in RANKINGS}
        told = answers.answer(Suggestions(typed, lists, len(shown)), of, of)
        return {"mount": mount, "seq": seq, "done": done, **told}

    def feed(self, data: dict[str, Any]) -> None:
        self.page.evaluate("data => window.feed(data)", data)

    def said(self) -> dict[str, Any]:
        """What the box said last."""
        told = self.page.evaluate("window.said.at(-1)")
        assert told["key"] == "said"
        return dict(told)

    def reply(self, done: int | None = None) -> None:
        """Answer what was said last."""
        told = self.said()
        last = max((act["number"] for act in told["acts"]), default=0) if done is None else done
        self.feed(self.answer(told["text"].strip(), told["mount"], told["seq"], last))

    def type(self, text: str) -> None:
        """Type, and let the last answer come."""
        self.input.focus()
        self.page.keyboard.type(text)
        self.reply()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def options(self) -> list[str]:
        """The texts of the options that can be seen."""
        return [text.inner_text() for text in self.page.locator("[role=option]:visible .text").all()]

    def active(self) -> str | None:
        """The text of the option that the input names as active, which must be the one that is selected."""
        name = self.input.get_attribute("aria-activedescendant")
        selected = self.page.locator("[role=option][aria-selected=true]")
        if name is None:
            assert selected.count() == 0
            return None
        assert selected.get_attribute("id") == name
        return selected.locator(".text").inner_text()

    def caret(self) -> tuple[str, int]:
        """What stands in the box, and where the caret is; the focus must not have left."""
        told = self.page.evaluate(
            "(() => { const i = root.activeElement; return [i.value, i.selectionStart] })()"
        )
        return told[0], told[1]

    def expanded(self) -> bool:
        return self.input.get_attribute("aria-expanded") == "true"


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


def test_down_and_up_move_and_wrap(box: Box) -> None:
    box.type("ho")
    assert box.options() == ["hotel", "how are you", "how to cook"]
    assert box.active() is None, "nothing is chosen by itself"
    seen = []
    for key in ["ArrowDown"] * 4 + ["ArrowUp"] * 2:
        box.press(key)
        seen.append(box.active())
    assert seen == ["hotel", "how are you", "how to cook", "hotel", "how to cook", "how are you"]
    assert box.caret() == ("ho", 2)


@pytest.mark.parametrize(("key", "at"), [("ArrowDown", "hotel"), ("ArrowUp", "how to cook")])
def test_down_and_up_open_and_go_to_the_first_or_the_last(box: Box, key: str, at: str) -> None:
    box.type("ho")
    box.press("Escape")
    assert not box.expanded()
    box.press(key)
    assert (box.expanded(), box.active()) == (True, at)


def test_alt_down_opens_without_moving(box: Box) -> None:
    box.type("ho")
    box.press("Escape", "Alt+ArrowDown")
    assert (box.expanded(), box.active()) == (True, None)
    box.press("Alt+ArrowUp")
    assert not box.expanded()


def test_enter_takes_the_option_and_closes(box: Box) -> None:
    box.type("ho")
    box.press("ArrowDown", "ArrowDown", "Enter")
    assert box.caret() == ("how are you", 11)
    assert not box.expanded()
    said = box.said()
    assert said["acts"] == [
        {"number": 1, "kind": "accept", "text": "how are you", "typed": "ho", "of": "ann"}
    ]
    assert (said["text"], said["seq"]) == ("ho", 2), "one sees what it has changed in the lists"
    box.reply()
    assert not box.expanded(), "the answer opens nothing"
    box.page.keyboard.type("r")
    assert box.said()["acts"] == [], "what was done is not said again"


def test_an_opened_box_is_asked_of_what_stands_in_it(box: Box) -> None:
    box.type("ho")
    box.press("ArrowDown", "ArrowDown", "Enter")
    box.reply()
    box.press("ArrowDown")
    assert (box.said()["text"], box.active()) == ("how are you", None)
    box.reply()
    assert (box.options(), box.active()) == (["how are you"], "how are you")


def test_enter_that_is_held_down_is_one_search(box: Box) -> None:
    box.type("ho")
    for _ in range(3):  # without a release between them: the browser says that they repeat
        box.page.keyboard.down("Enter")
    box.page.keyboard.up("Enter")
    box.press("Enter")
    assert [act["number"] for act in box.said()["acts"]] == [1, 2]


def test_enter_without_an_option_takes_what_is_typed(box: Box) -> None:
    box.type("Ho")
    box.press("Enter")
    assert [act["text"] for act in box.said()["acts"]] == ["Ho"]
    assert box.caret() == ("Ho", 2)


def test_enter_in_an_empty_box_does_nothing(box: Box) -> None:
    box.input.focus()
    box.press("Enter")
    assert box.page.evaluate("said.length") == 0


def test_escape_closes_and_then_clears(box: Box) -> None:
    box.type("ho")
    box.press("ArrowDown", "Escape")
    assert (box.expanded(), box.active(), box.caret()) == (False, None, ("ho", 2))
    box.press("Escape")
    assert box.caret() == ("", 0)
    assert box.said()["text"] == ""


@pytest.mark.parametrize(
    ("key", "becomes"),
    [
        ("ArrowLeft", ("ho", 1)),
        ("ArrowRight", ("ho", 2)),
        ("Home", ("ho", 0)),
        ("End", ("ho", 2)),
        ("w", ("how", 3)),
        ("Backspace", ("h", 1)),
        ("Delete", ("ho", 2)),
    ],
)
def test_other_keys_return_to_the_box_and_act_there(box: Box, key: str, becomes: tuple[str, int]) -> None:
    box.type("ho")
    box.press("ArrowDown")
    assert box.active() == "hotel"
    box.press(key)
    assert box.active() is None
    assert box.caret() == becomes


def test_tab_leaves_and_takes_nothing(box: Box) -> None:
    box.type("ho")
    box.press("ArrowDown", "Tab")
    assert not box.expanded()
    assert box.input.input_value() == "ho"
    assert box.said()["acts"] == []
    assert box.page.evaluate("root.activeElement !== root.querySelector('#text')")


def test_a_click_takes_an_option_and_the_focus_stays(box: Box) -> None:
    box.type("ho")
    box.page.get_by_role("option", name="how to cook").click()
    assert box.caret() == ("how to cook", 11)
    assert [act["text"] for act in box.said()["acts"]] == ["how to cook"]


def test_own_searches_are_offered_before_anything_is_typed_and_marked(box: Box) -> None:
    box.input.click()
    assert box.options() == ["how to cook", "hut"]
    assert box.page.locator(".rest").count() == 0, "nothing is completed"
    names = [option.inner_text().split("\n") for option in box.page.get_by_role("option").all()]
    assert [name[-1] for name in names] == ["from this visit", "searched before"]
    box.type("ho")
    assert box.page.get_by_role("option", name="how to cook from this visit").count() == 1
    assert box.page.get_by_role("option", name="hotel", exact=True).count() == 1


def test_typed_part_and_completion_are_told_apart(box: Box) -> None:
    box.type("ho")
    option = box.page.get_by_role("option").first
    assert option.locator(".typed").inner_text() == "ho"
    assert option.locator(".rest").inner_text() == "tel"


@pytest.mark.parametrize("how", ["keys", "mouse"])
def test_own_searches_are_deleted_and_only_they(box: Box, how: str) -> None:
    box.type("ho")
    if how == "keys":
        box.press("ArrowDown", "Shift+Delete")
        assert box.said()["acts"] == [], "this one is not one's own"
        assert box.active() is None
        box.press("ArrowUp", "Shift+Delete")
    else:
        assert box.page.get_by_role("button", name="Delete", exact=False).count() == 1
        box.page.get_by_role("button", name="Delete how to cook from the searches").click()
    forgets = {"number": 1, "kind": "forget", "text": "how to cook", "typed": "ho", "of": "ann"}
    assert box.said()["acts"] == [forgets]
    assert box.caret() == ("ho", 2)
    if how == "keys":
        box.press("Enter")
        assert box.said()["acts"][-1]["text"] == "ho", "what is being deleted is not taken"
    else:
        box.searches = ["hotel", "how are you"]
        box.reply()
        assert box.options() == ["hotel", "how are you"]


def test_the_list_holds_nothing_but_options_and_ids_are_of_one_root(box: Box) -> None:
    box.type("h")
    box.press("ArrowDown")
    inside = box.page.evaluate("[...root.querySelector('[role=listbox]').children].map(e => e.role)")
    assert inside == ["option"] * len(SEARCHES)
    for attribute in ("aria-controls", "aria-activedescendant", "aria-describedby"):
        assert box.page.evaluate(
            "name => !!root.getElementById(root.querySelector('#text').getAttribute(name))", attribute
        )
    assert box.input.get_attribute("aria-autocomplete") == "list"
    assert box.page.get_by_label("Search as ann").get_attribute("role") == "combobox"


def test_an_older_answer_never_replaces_a_newer_one(box: Box) -> None:
    box.input.focus()
    box.page.keyboard.type("ho")
    said = box.page.evaluate("said")
    assert [one["text"] for one in said] == ["h", "ho"]
    late, newer = (box.answer(one["text"], one["mount"], one["seq"]) for one in said)
    box.feed(newer)
    assert box.options() == ["hotel", "how are you", "how to cook"]
    box.feed(late)
    assert box.options() == ["hotel", "how are you", "how to cook"]
    box.feed(box.answer("", "another mounting", 99))
    assert box.options() == ["hotel", "how are you", "how to cook"]


def test_the_old_list_stays_until_the_new_one_is_there_and_enter_takes_nothing_of_it(box: Box) -> None:
    box.type("ho")
    box.page.keyboard.type("w")
    assert box.options() == ["hotel", "how are you", "how to cook"]
    box.press("ArrowDown")
    assert box.active() is None, "what will stand there is not known yet"
    box.press("Enter")
    assert [act["text"] for act in box.said()["acts"]] == ["how"]


def test_arrows_that_are_faster_than_the_answer_move_in_it(box: Box) -> None:
    box.type("h")
    box.page.keyboard.type("ow")
    box.press("ArrowDown", "ArrowDown")
    box.reply()
    assert box.active() == "how to cook"
    box.reply()
    assert box.active() == "how to cook", "the same answer again moves nothing"


def test_enter_of_an_input_method_takes_nothing(box: Box) -> None:
    box.type("ho")
    box.press("ArrowDown")
    for composed in ({"isComposing": True}, {"keyCode": 229}):
        prevented = box.page.evaluate(
            """how => !root.querySelector('#text').dispatchEvent(new KeyboardEvent(
              'keydown', {key: 'Enter', bubbles: true, cancelable: true, composed: true, ...how}))""",
            composed,
        )
        assert not prevented, "the input method gets its key"
    assert box.said()["acts"] == []
    session = box.page.context.new_cdp_session(box.page)
    session.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
    assert box.said()["text"] == "hoに", (
        "also what is being composed is answered: telephones compose all words"
    )
    session.send("Input.insertText", {"text": "日"})
    assert (box.said()["text"], box.said()["acts"]) == ("ho日", [])


def test_an_answer_moves_neither_text_nor_caret(box: Box) -> None:
    box.type("hot")
    box.press("ArrowLeft", "ArrowLeft")
    box.page.keyboard.type("x")
    assert box.caret() == ("hxot", 2)
    box.reply()
    assert box.caret() == ("hxot", 2)


def test_the_number_of_suggestions_is_announced_late_and_once(box: Box) -> None:
    box.page.evaluate(
        """() => { window.heard = [];
          new MutationObserver(() => heard.push(root.querySelector('.heard').textContent))
            .observe(root.querySelector('.heard'), {childList: true}) }"""
    )
    box.input.focus()
    for letter in "how":
        box.page.keyboard.type(letter)
        box.reply()
        box.page.wait_for_timeout(100)
    assert box.page.evaluate("heard") == []
    box.page.wait_for_timeout(1000)
    assert box.page.evaluate("heard") == ["2 suggestions."]
    assert box.page.locator("[aria-live=polite]").count() == 1


def test_keys_do_not_reach_the_page(box: Box) -> None:
    """Streamlit has commands on letters, and sees no input in a shadow root."""
    box.input.focus()
    box.press("r", "c", "Escape", "ArrowDown")
    assert box.page.evaluate("elsewhere") == []


def test_what_is_not_yet_carried_out_is_said_again(box: Box) -> None:
    box.type("hotel")
    box.press("Enter")
    box.page.keyboard.type("s")
    assert [act["number"] for act in box.said()["acts"]] == [1]
    box.press("Enter")
    assert [(act["number"], act["text"]) for act in box.said()["acts"]] == [(1, "hotel"), (2, "hotels")]
    box.reply(done=1)
    box.page.keyboard.type("!")
    assert [act["number"] for act in box.said()["acts"]] == [2]


def test_why_is_asked_of_a_line(box: Box) -> None:
    box.type("ho")
    why = box.page.get_by_role("button", name="Why is how are you number 2?")
    why.click()
    asks = {"number": 1, "kind": "why", "text": "how are you", "typed": "ho", "of": "ann"}
    assert box.said()["acts"] == [asks]


def test_an_open_list_does_not_swallow_a_click_below_it(box: Box) -> None:
    """The press takes the focus away; the list closes only after the release, so both are on one button."""
    box.page.set_viewport_size({"width": 400, "height": 900})
    box.type("ho")
    why = box.page.get_by_role("button", name="Why is how are you number 2?")
    place = why.bounding_box()
    assert place is not None
    box.page.mouse.move(place["x"] + 4, place["y"] + 4)
    box.page.mouse.down()
    assert why.bounding_box() == place
    assert box.expanded()
    box.page.mouse.up()
    assert [act["text"] for act in box.said()["acts"]] == ["how are you"]
    box.page.wait_for_function("root.querySelector('.popup').hidden")
    assert not box.expanded()
    box.input.click()
    assert box.expanded()
    box.press("Tab")
    assert not box.expanded(), "the keyboard leaves at once"


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "h:red[x] **y** $z$",
    "h\u202eevil",
    "h" + "ä" * 180,
    "h" + "w " * 80 + "w",
]


def test_hostile_text_is_literal_everywhere(box: Box) -> None:
    box.searches = HOSTILE
    data = box.answer("", "", 0, of="<b onclick=alert(2)>ann</b>")
    data["options"] = [
        {"text": text, "own": True, "recent": False, "mark": "searched before"} for text in HOSTILE
    ]
    rows = [{"text": text, "way": "up", "move": "▲ up 1"} for text in HOSTILE]
    data["lists"] = [{"title": "For you", "what": "<i>x</i>", "why": True, "rows": rows}]
    before = box.page.evaluate("root.querySelectorAll('img, i, b[onclick], script').length")
    box.feed(data)
    box.input.click()
    assert box.options() == HOSTILE
    assert box.page.evaluate("root.querySelectorAll('img, i, b[onclick], script').length") == before == 0
    assert "<b onclick" in box.page.locator("label").inner_text()
    box.page.get_by_role("option").first.click()
    assert box.input.input_value() == HOSTILE[0]


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_page(box: Box, width: int) -> None:
    box.page.set_viewport_size({"width": width, "height": 800})
    box.searches = [*SEARCHES, *HOSTILE[1:]]
    box.type("h")
    assert len(box.options()) == len(SEARCHES) + 4
    assert box.page.evaluate("document.documentElement.scrollWidth") <= width
    tall = box.page.evaluate(
        "Math.min(...[...root.querySelectorAll('[role=option]')].map(e => e.offsetHeight))"
    )
    assert tall >= 30, "a finger needs room"
    rows = box.page.evaluate(
        """[...root.querySelectorAll('[role=option]')].map((e, i) =>
          Math.abs(e.offsetTop - root.querySelectorAll('.deletes > *')[i].offsetTop))"""
    )
    assert max(rows) < 4, "a × stands beside its search"
