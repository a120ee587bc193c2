"""What a report is made of: headings, sentences, tables and charts, whatever they are drawn as."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HIDDEN = ("Cc", "Cs")
"""Characters that are no letters but, in names, line ends or bytes that are not UTF-8."""


@dataclass(frozen=True)
class Heading:
    """A question that a reader has; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list; each point may begin with a term, which stands out."""

    points: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes:
        caption: what it shows.
        headings: one a column.
        rows: as many cells each; the first names the row.
        words: so many columns at the left hold words, the others hold figures.
        folded: whether it is for those who ask for it.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        caption: what it shows.
        alternative: what it says, in words.
        specification: of its drawing, see `app.reports.pages.charts`.
        table: the figures in it.
        key: what the letters in it stand for.
    """

    caption: str
    alternative: str
    specification: dict[str, Any]
    table: Table
    key: str = ""


Block = Heading | Text | Points | Table | Chart


def visible(text: str) -> str:
    """The text with what cannot be seen, or not be written in UTF-8, as escapes."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in HIDDEN else c for c in text
    )


def figure(value: float | None) -> str:
    """A metric, as `evaluate` prints it."""
    return "–" if value is None else f"{value:.4f}"


def change(value: float | None) -> str:
    """A difference of metrics."""
    return "–" if value is None else f"{value:+.4f}"


def probability(p: float | None) -> str:
    """A p-value."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(number: float) -> str:
    """A whole number, with commas."""
    return f"{number:,.0f}"


def people(number: int) -> str:
    """So many users."""
    return "1 user" if number == 1 else f"{count(number)} users"
