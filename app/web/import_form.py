"""From an upload to the command that imports it: columns, how the file is read, and what is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app.web import uploads
from app.web.literal import literal
from app.web.uploads import SHOWN, Looked, UploadError
from data.log_import import ImportOptions
from data.reading.proposal import propose
from data.reading.rows import Reading
from data.schema import DataError

NO_COLUMN = "–"
ROLES = {
    "user": ("User", "Who searched."),
    "time": ("Time", "When: dates as text, or Unix time."),
    "query": ("Query", "What was searched for."),
    "group": ("Group (if there is one)", "Of users, e.g. a team."),
}
ORDERS = {
    "as found": [],
    "day first: 03/04 is the third of April": ["--day-first"],
    "month first: 03/04 is the fourth of March": ["--month-first"],
    "in a format of its own": ["--time-format"],
}
KEPT, LOOKED = "upload", "looked"
"""What a visitor's session keeps: the upload, and what was last seen in it."""


@dataclass(frozen=True)
class Upload:
    """An upload of this session: Streamlit's number of it, its name at the visitor's, and where it is kept."""

    number: str
    name: str
    place: Path


def upload(folder: Path) -> Upload | None:
    """Let the visitor choose a file, and keep it; one that takes its place removes it again.

    Raises:
        UploadError: it is not taken.
    """
    given = st.file_uploader(
        "A search log",
        max_upload_size=uploads.LARGEST,
        help="CSV, TSV, JSON lines, JSON or Parquet; text may be compressed (.gz, .zst, .bz2, .xz).",
        key="file",
    )
    st.caption(
        f"Up to {uploads.LARGEST} MB. The file goes to this computer's folder {uploads.FOLDER}/, and nowhere else."
    )
    kept: Upload | None = st.session_state.get(KEPT)
    if kept is not None and (given is None or given.file_id != kept.number):
        if not kept.place.with_suffix(".imported").exists():
            uploads.discard(kept.place)
        kept = st.session_state[KEPT] = None
    if given is not None and kept is None:
        kept = Upload(given.file_id, given.name, uploads.keep(folder, given.name, given.getvalue()))
        st.session_state[KEPT] = kept
    return kept


def import_words(kept: Upload, shown: str) -> list[str] | None:
    """Draw the form for an upload; returns the words of `data import` but for --out, None if it cannot be read.

    Args:
        kept: the upload.
        shown: its place, as a word of the command.
    """
    words, reading = _reading()
    try:
        names, rows = uploads.preview(kept.place, reading)
    except (DataError, UploadError) as error:
        st.error(literal(_told(error, kept)))
        return None
    columns = _columns(names, rows, kept)
    _preview(names, rows)
    if columns is None:
        return None
    looked = _looked(kept, columns, reading)
    if looked is None:
        return None
    _understood(looked)
    for role, column in columns.items():
        words = [*option(role, column), *words] if column is not None else words
    return [shown, *words, *_options(looked)]


def option(name: str, value: str) -> list[str]:
    """An option of a command; a value that looks like an option is joined to its name."""
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]


def _told(error: Exception, kept: Upload) -> str:
    """What is wrong, with the name that the visitor knows the file by."""
    return str(error).replace(str(kept.place), kept.name)


def _reading() -> tuple[list[str], Reading]:
    """How the file is read: the options of the command, and the same for the preview.

    Raises:
        DataError: a time format or an encoding that cannot be.
    """
    with st.expander("How the file is read"):
        left, right = st.columns(2)
        order = left.selectbox("Dates are written", list(ORDERS), key="order") or "as found"
        words = list(ORDERS.get(order, []))
        written = None
        if words == ["--time-format"]:
            written = left.text_input("Format of every time", "%d.%m.%Y %H:%M", max_chars=100, key="format")
            words = option("time-format", written)
        encoding = right.text_input(
            "Encoding", "", placeholder="UTF-8, or what the file says", max_chars=40, key="encoding"
        ).strip()
        words += option("encoding", encoding) if encoding else []
        flags = {
            "any-time": left.checkbox("Accept times before 1990 and after tomorrow", key="any-time"),
            "keep-copies": right.checkbox("Keep rows that repeat a user, time and query", key="copies"),
            "no-quotes": right.checkbox("Double quotes are ordinary characters", key="quotes"),
        }
    words += [f"--{name}" for name, chosen in flags.items() if chosen]
    return words, Reading(
        time_format=written,
        day_first="--day-first" in words,
        month_first="--month-first" in words,
        any_time=flags["any-time"],
        keep_copies=flags["keep-copies"],
        encoding=encoding or None,
        quotes=not flags["no-quotes"],
    )


def _columns(
    names: Sequence[str], rows: Sequence[Sequence[str]], kept: Upload
) -> dict[str, str | None] | None:
    """Which column holds what; None if something is still missing, which is said."""
    known = [name for name in dict.fromkeys(names) if name.strip() and "\0" not in name]
    proposed = propose(names, rows)
    st.markdown("**Which column holds what?**")
    chosen: dict[str, str | None] = {}
    for where, (role, (label, about)) in zip(st.columns(len(ROLES)), ROLES.items(), strict=True):
        options = [NO_COLUMN, *known]
        usual = options.index(proposed[role]) if proposed.get(role) in known else 0
        number = where.selectbox(
            label,
            range(len(options)),
            usual,
            format_func=lambda at, options=options: options[at],
            help=about,
            key=f"{role} of {kept.number} {len(options)}",
        )
        chosen[role] = options[number] if number else None
    missing = [ROLES[role][0].lower() for role in ("user", "time", "query") if chosen[role] is None]
    if missing:
        st.warning(f"Choose a column for {', '.join(missing)}.")
        return None
    return chosen


def _preview(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first rows, as they are written: cells are data of a table, which Streamlit does not interpret."""
    width = len(names)
    table = [[*row[:width], *[""] * (width - len(row))] for row in rows[:SHOWN]]
    labels = [f"{at + 1}" for at in range(width)]
    columns = {label: [row[at] for row in table] for at, label in enumerate(labels)}
    shown = {
        label: st.column_config.TextColumn(literal(name) or "(no name)")
        for label, name in zip(labels, names, strict=True)
    }
    st.dataframe(columns, hide_index=True, column_config=shown)
    st.caption(f"The first {len(table)} rows, as they are written.")


def _looked(kept: Upload, columns: dict[str, str | None], reading: Reading) -> Looked | None:
    """The whole log under these columns; what was seen last is kept, since every click draws the page anew."""
    asked = (kept, tuple(columns.items()), reading)
    last: Any = st.session_state.get(LOOKED)
    if last is None or last[0] != asked:
        with st.spinner("Reading the log …"):
            try:
                last = (asked, uploads.look(kept.place, columns, reading), "")
            except DataError as error:
                last = (asked, None, _told(error, kept))
        st.session_state[LOOKED] = last
    _, looked, wrong = last
    if looked is None:
        st.error(literal(wrong))
        st.caption(
            "Options that a sentence names, like --day-first, are above, under “How the file is read”."
        )
        return None
    found: Looked = looked
    return found


def _understood(looked: Looked) -> None:
    """What the log says, and how its dates are understood."""
    st.success(
        literal(
            f"{looked.events:,} searches of {looked.users:,} users, {looked.queries:,} different ones, "
            f"from {looked.first} to {looked.last}."
        )
    )
    st.markdown(f"**Dates as understood:** {literal(looked.times)}. Times without a zone are taken for UTC.")
    written = {"as written": [], "as understood": []}  # type: dict[str, list[str]]
    for text, understood in looked.examples:
        written["as written"].append(text)
        written["as understood"].append(understood)
    st.dataframe(written, hide_index=True)
    if looked.left_out:
        told = ", ".join(f"{count:,} {reason}" for reason, count in looked.left_out.items())
        st.caption(literal(f"Left out or changed: {told}."))


def _options(looked: Looked) -> list[str]:
    """What is made of the log."""
    usual = ImportOptions()
    with st.expander("What is made of it"):
        left, right = st.columns(2)
        fewest = left.number_input(
            "Leave out users with fewer searches than", 3, 10**6, usual.min_events, key="fewest"
        )
        typed = right.number_input(
            "Characters typed in every search", 1, 100, None, placeholder="1 to 6, drawn", key="length"
        )
        strict = left.checkbox("Pools and counts hold only what had been done before", key="strict")
        drop = right.checkbox("Leave out searches that are not among their suggestions", key="drop")
    words = [] if fewest == usual.min_events else ["--min-events", str(fewest)]
    words += [] if typed is None else ["--typed", str(typed)]
    return [*words, *(["--strict-time"] if strict else []), *(["--drop-missed"] if drop else [])]
