"""Fields of a page by their labels, as a person finds them."""

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
