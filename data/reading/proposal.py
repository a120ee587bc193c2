"""Which columns of a log may hold users, times and queries: a proposal, for somebody to look at."""

import re
from collections.abc import Sequence

import pyarrow as pa

from data.reading.rows import Places, Reading
from data.reading.times.column import Times
from data.schema import DataError

NAMES = {
    "time": r"time|date|when|stamp|moment|\bts\b|created|zeit|datum",
    "user": r"user|account|client|person|member|visitor|customer|author|\bwho\b|\buid\b|konto|nutzer",
    "query": r"quer|search|term|text|keyword|command|phrase|typed|\bq\b|such",
}
"""Words in the names of columns, in the order in which columns are proposed."""


def propose(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """A column each for time, user and query, as far as one can be told; no column is proposed twice.

    Args:
        names: of the columns.
        rows: some of the log's first rows, as text.
    """
    cells = {
        name: [row[at].strip() for row in rows if at < len(row)]
        for at, name in enumerate(names)
        if name.strip() and names.count(name) == 1
    }
    left = [name for name, column in cells.items() if any(column)]
    found: dict[str, str] = {}
    for role, words in NAMES.items():
        able = [name for name in left if role != "time" or _holds_times(name, cells[name])]
        named = [name for name in able if re.search(words, re.sub(r"[_\W]+", " ", name), re.IGNORECASE)]
        if named or able:
            found[role] = named[0] if named else _by_content(role, able, cells)
            left.remove(found[role])
    return found


def _by_content(role: str, able: Sequence[str], cells: dict[str, list[str]]) -> str:
    """Users come again and again, and of what is searched there is most to read."""
    if role == "time":
        return able[0]
    if role == "user":
        several = [name for name in able if len(set(cells[name])) > 1] or able
        return min(several, key=lambda name: len(set(cells[name])))
    return max(able, key=lambda name: sum(map(_letters, set(cells[name]))))


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _holds_times(name: str, cells: Sequence[str]) -> bool:
    """Whether some rows in succession can be read as times: a column may hold one that cannot."""
    written = [cell for cell in cells if cell]
    return any(_are_times(name, written[at : at + 10]) for at in range(0, min(len(written), 30), 10))


def _are_times(name: str, cells: Sequence[str]) -> bool:
    """Whether all these cells can be read as times, with the day or the month first where that is open."""
    written = pa.array(cells, pa.string())
    places = Places("", "row", range(1, len(written) + 1))
    for reading in (Reading(), Reading(day_first=True), Reading(month_first=True)):
        try:
            times = Times(name, reading)
            times.add(written, places)
            times.finish()
        except DataError:
            continue
        return True
    return False
