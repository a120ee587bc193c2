"""Lays out what is printed for people, for terminals of any width: words may be wrapped, figures never cut.

A table that is too wide becomes several with fewer columns, and in the end lines. What is no terminal gets
whole sentences, one a line.
"""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Sequence[str]


def say(console: Console, sentence: str) -> None:
    """A sentence, wrapped between words on a terminal."""
    for line in sentence.splitlines() or [""]:
        whole = not console.is_terminal or _longest_word(line) > console.width
        console.print(Text(line), soft_wrap=whole)


def paste(console: Console, sentence: str) -> None:
    """A sentence with a command in it, which the terminal alone may break: so it can be pasted."""
    console.print(Text(sentence), soft_wrap=True)


def draw(
    console: Console, headings: Row, rows: Sequence[Row], *, title: str = "", figures: bool = False
) -> None:
    """A table.

    Args:
        headings: one a column; those of a table without a heading are empty.
        rows: as many cells each.
        title: printed above.
        figures: whether all columns but the first hold figures, which stand on the right.
    """
    if title:
        say(console, title)
    _draw(console, headings, rows, figures)


def _draw(console: Console, headings: Row, rows: Sequence[Row], figures: bool) -> None:
    columns = list(zip(headings, *rows, strict=True))
    widths = _widths(columns, console.width - 3 * len(columns) - 1)
    if widths:
        table = Table(show_header=any(headings), show_lines=any(headings) and not figures)
        for number, (heading, width) in enumerate(zip(headings, widths, strict=True)):
            table.add_column(Text(heading), width=width, justify="right" if figures and number else "left")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    elif len(columns) > 2:
        middle = 1 + len(columns) // 2
        for part in (range(1, middle), range(middle, len(columns))):
            some = [[row[0], *(row[i] for i in part)] for row in (headings, *rows)]
            _draw(console, some[0], some[1:], figures)
    else:
        if headings[-1]:
            say(console, headings[-1])
        for name, value in rows:
            say(console, f"{name}: {value}")


def _widths(columns: Sequence[Row], room: int) -> list[int] | None:
    """How wide each column is made, so that no word is broken; None if there is not room enough."""
    widths = [max(map(_longest_word, cells)) for cells in columns]
    wanted = [max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in columns]
    if sum(widths) > room:
        return None
    for _ in range(min(room, sum(wanted)) - sum(widths)):
        neediest = max(range(len(widths)), key=lambda i: wanted[i] - widths[i])
        widths[neediest] += 1
    return widths


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=1)
