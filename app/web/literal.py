"""Text that is shown as it is: Streamlit takes labels and sentences for Markdown."""

import re

from app.reports.pages.blocks import visible

PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
MEANT = re.compile(r"(?<=[:@])|(?<=www)(?=\.)|(?<=[-<>=~])(?=[-<>=~])", re.IGNORECASE)
"""Where emoji, icons, addresses and arrows would begin, which Streamlit looks for after Markdown."""

NOTHING = ":small[]"
"""An empty element: what stands before it and behind it are two texts, and who copies both gets no more."""


def literal(text: str) -> str:
    """Markdown that shows just this text, to be copied too; what cannot be seen is shown as an escape."""
    pieces = MEANT.split(visible(text))
    return NOTHING.join(PUNCTUATION.sub(r"\\\1", piece) for piece in pieces)
