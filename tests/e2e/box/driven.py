"""The combobox alone in Chromium: `box.js` with a test in Python's place."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from app.suggestions.suggester import RANKINGS, Suggestion, Suggestions
from app.web.box import answers

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
