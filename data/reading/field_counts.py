"""Why a row of a delimited log has more or fewer fields than the header: the likely cause, and what to do."""

from collections.abc import Sequence

NAMED = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def likely_cause(
    rows: Sequence[Sequence[str]], at: int, width: int, delimiter: str, quotes: bool, raw: str, ended: bool
) -> str:
    """What to say behind "it has 4 fields, the header has 3: ".

    Args:
        rows: those of the chunk, blank ones too.
        at: the row that is not as long as the header.
        width: the header's fields.
        raw: the lines of the row as they are in the file.
        ended: the file ends with the last row.
    """
    row = rows[at]
    name = NAMED.get(delimiter, delimiter)
    others = [other for other in rows if len(other) > 1]
    longer = len(row) == width + 1 and all(len(other) == width + 1 for other in others)
    if longer and all(not other[-1].strip() for other in others):
        return f"every row ends in a {name} and the header does not: add one to the header."
    if longer and len({other[0] for other in others}) == len(others) > 1:  # names of rows are distinct
        return (
            "so has every row, as R writes them with the names of rows: add a name in front of the header, "
            "or write the file without them (row.names = FALSE)."
        )
    rest = [other for other in rows[at + 1 :] if len(other) > 1 or any(cell.strip() for cell in other)]
    if len(row) < width and ended and not rest and not raw.endswith(("\n", "\r")) and len(row) > 1:
        return "the file seems to be cut off here: fetch it again, or take the line out."
    if len(row) < width and ended and all(len(other) < width for other in rest):
        return "it seems to be a footer, or cut off: take the line out."
    if not quotes:
        return f"a field that holds a {name} or a line break cannot be read with --no-quotes."
    return (
        f"a field that holds a {name} or a line break must be enclosed in quotes, with quotes inside it "
        f"written twice{not_backslashes(raw)}."
    )


def not_backslashes(raw: str) -> str:
    """A reminder where a quote is written with a backslash."""
    return ' ("" and not \\")' if '\\"' in raw else ""
