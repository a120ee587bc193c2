"""What a test does with a page without a browser: fields by their labels, and texts as people read them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

Started = list[tuple[list[str], Path]]
"""Commands that were started, and what they make."""


def labelled(elements: Iterable[Any], label: str) -> Any:
    """The first of some elements with this label."""
    return next(element for element in elements if element.label == label)


def press(app: AppTest, label: str) -> AppTest:
    """Press a button."""
    return labelled(app.button, label).click().run()


def options_of(app: AppTest, label: str) -> list[str]:
    """The names that can be chosen, without what is said of each."""
    return [option.partition(":")[0] for option in labelled(app.selectbox, label).options]


def read(markdown: str) -> str:
    """Literal text as people read it."""
    return markdown.replace("\\", "").replace(":small[]", "")


def html(app: AppTest) -> str:
    """All HTML of a page that is its own."""
    return " ".join(element.proto.body for element in app.get("html"))
