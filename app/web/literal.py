"""Text that is shown as it is: Streamlit takes labels and sentences for Markdown."""

import re

from app.reports.pages.blocks import visible

PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
MEANT = re.compile(r"(?<=[:@])|(?<=www)(?=\.)|(?<=[-<>=~])(?=[-<>=~])", re.IGNORECASE)
"""Where emoji, icons, addresses and arrows would begin, which Streamlit looks for after Markdown."""

JOINER = "\u2060"
"""The word joiner: neither seen nor a place for a line break."""


def literal(text: str) -> str:
    """Markdown that shows just this text; what cannot be seen is shown as an escape."""
    return PUNCTUATION.sub(r"\\\1", MEANT.sub(JOINER, visible(text)))
