"""The combobox key by key, as the ARIA Authoring Practices have it."""

import pytest

from tests.e2e.box.driven import Box
from tests.e2e.browsing import needs_chromium

pytestmark = needs_chromium


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


def test_keys_do_not_reach_the_page(box: Box) -> None:
    """Streamlit has commands on letters, and sees no input in a shadow root."""
    box.input.focus()
    box.press("r", "c", "Escape", "ArrowDown")
    assert box.page.evaluate("elsewhere") == []
