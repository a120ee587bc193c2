"""What the combobox shows and says of the answers that it gets, whenever they come."""

import pytest

from tests.e2e.box.driven import SEARCHES, Box
from tests.e2e.browsing import needs_chromium

pytestmark = needs_chromium


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
