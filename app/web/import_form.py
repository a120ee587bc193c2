"""From an upload to the command that imports it: columns, how the file is read, and what is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app.reports.pages.blocks import Table
from app.web import uploads
from app.web.drawing import draw_table
from app.web.literal import literal
from app.web.server import LARGEST
from app.web.uploads import FEWEST, LEAST, SHOWN, Looked, UploadError, counted
from data.log_import import ImportOptions
from data.reading.proposal import propose
from data.reading.rows import Reading, quoted
from data.schema import DataError

NO_COLUMN = "–"
LONGEST_CELL = 60
"""Characters of a cell that a preview shows."""

ROLES = {
    "user": ("User", "Who searched."),
    "time": ("Time", "When: dates as text, or Unix time."),
    "query": ("Query", "What was searched for."),
    "group": ("Group (if there is one)", "Of users, e.g. a team."),
}
FORMAT = "time-format"
ORDERS = {
    "as the log shows": "",
    "day first: 03/04 is the third of April": "day-first",
    "month first: 03/04 is the fourth of March": "month-first",
    "in a format of their own": FORMAT,
}
"""How dates may be written, and the option of the command that says so."""

FILE_OPTIONS = ("--encoding", "--no-quotes", "--keep-copies")
"""Options that say how a file is read."""

KEPT, LOOKED, TAKEN = "upload", "looked", "uploads taken"
"""What a visitor's session keeps: the upload, what was last seen in it, and how many were imported."""

COUNTS = {
    "all searches of their training periods": (),
    "only what had been done before": ("--strict-time",),
    "only searches that several users share": ("--public-counts", "federated"),
}
"""What pools and public counts hold, and the options that say so."""


@dataclass(frozen=True)
class Upload:
    """An upload of this session: Streamlit's number of it, its name, and where it is kept."""

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
        max_upload_size=LARGEST,
        help=f"CSV, TSV, JSON lines, JSON or Parquet; text may be compressed ({uploads.PACKED}).",
        key=f"file {st.session_state.get(TAKEN, 0)}",
    )
    st.caption(f"Up to {LARGEST} MB. It is kept in the app's folder, in {uploads.FOLDER}/.")
    kept: Upload | None = st.session_state.get(KEPT)
    if kept is not None and (given is None or given.file_id != kept.number):
        uploads.discard(kept.place)
        kept = st.session_state[KEPT] = None
    if given is not None and kept is None:
        kept = Upload(given.file_id, given.name, uploads.keep(folder, given.name, given.getvalue()))
        st.session_state[KEPT] = kept
    return kept


def taken() -> None:
    """The upload is being imported: it stays, and the form is there for another one."""
    st.session_state[KEPT] = None
    st.session_state[TAKEN] = st.session_state.get(TAKEN, 0) + 1


def import_words(kept: Upload, shown: str) -> list[str] | None:
    """Draw the form for an upload; returns the words of `data import` but for --out.

    None if something is missing or wrong, which is then said.

    Args:
        kept: the upload.
        shown: its place, as a word of the command.
    """
    place, words, wrong = st.container(), None, ""
    try:
        words = _words(kept, shown)
    except (DataError, UploadError) as error:
        wrong = _told(error, kept)
        st.error(literal(wrong))
        if "--" in wrong:
            st.caption("The options that this sentence names can be chosen above.")
    with place:
        _file_fields(expanded=any(name in wrong for name in FILE_OPTIONS))
    return words


def _words(kept: Upload, shown: str) -> list[str] | None:
    """The same, but for how the file is read, which is drawn when it is known whether that went well.

    Raises:
        DataError, UploadError: it cannot be read, or nothing can be made of it.
    """
    file_words, as_file = _file()
    names, rows = uploads.preview(kept.place, Reading(**as_file))
    columns = _columns(names, rows, kept)
    time_words, as_times = _dates()
    _preview(names, rows)
    if columns is None:
        return None
    looked = _looked(kept, columns, Reading(**as_file, **as_times))
    place = st.container()
    fewest, options = _options()
    looked.require(fewest)
    with place:
        _understood(looked, fewest)
    chosen = [option(role, column) for role, column in columns.items() if column is not None]
    return [shown, *(word for pair in chosen for word in pair), *time_words, *file_words, *options]


def option(name: str, value: str) -> list[str]:
    """An option of a command; a value that looks like an option is joined to its name."""
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]


def _told(error: Exception, kept: Upload) -> str:
    """What is wrong, with the name that the visitor knows the file by."""
    return str(error).replace(str(kept.place), kept.name)


def _file() -> tuple[list[str], dict[str, Any]]:
    """How the file is read: as options of the command, and as arguments of `Reading`."""
    chosen = st.session_state
    encoding = str(chosen.get("encoding") or "").strip()
    no_quotes, copies = bool(chosen.get("quotes")), bool(chosen.get("copies"))
    words = option("encoding", encoding) if encoding else []
    words += _flags({"no-quotes": no_quotes, "keep-copies": copies})
    return words, {"encoding": encoding or None, "quotes": not no_quotes, "keep_copies": copies}


def _file_fields(expanded: bool) -> None:
    """The fields that `_file` reads."""
    with st.expander("How the file is read", expanded=expanded):
        left, right = st.columns(2)
        left.text_input(
            "Encoding", "", placeholder="UTF-8, or what the file says", max_chars=40, key="encoding"
        )
        right.checkbox("Double quotes are ordinary characters", key="quotes")
        right.checkbox("Keep rows that repeat a user, time and query", key="copies")


def _dates() -> tuple[list[str], dict[str, Any]]:
    """The same of how times are read."""
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    order = left.selectbox("Dates are written", list(ORDERS), key="order")
    word = ORDERS.get(order or "", "")
    written = None
    if word == FORMAT:
        written = middle.text_input("Format of every time", "%d.%m.%Y %H:%M", max_chars=100, key="format")
    any_time = right.checkbox("Accept times before 1990 and after tomorrow", key="any-time")
    words = option(FORMAT, written) if written is not None else [f"--{word}"] if word else []
    return [*words, *_flags({"any-time": any_time})], {
        "time_format": written,
        "day_first": word == "day-first",
        "month_first": word == "month-first",
        "any_time": any_time,
    }


def _flags(chosen: dict[str, bool]) -> list[str]:
    return [f"--{name}" for name, on in chosen.items() if on]


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
        key = f"{role} of {kept.number} {len(options)}"
        column = where.selectbox(label, options, index=usual, help=about, key=key)
        chosen[role] = column if column in known else None
    missing = [ROLES[role][0].lower() for role in ("user", "time", "query") if chosen[role] is None]
    if missing:
        st.warning(f"Choose a column for {', '.join(missing)}.")
        return None
    return chosen


def _preview(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first rows, as they are written: cells are data of a table, which Streamlit does not interpret."""
    width = len(names)
    table = [[*row[:width], *[""] * (width - len(row))] for row in rows[:SHOWN]]
    shown = [[quoted(cell, LONGEST_CELL) for cell in row] for row in table]
    caption = f"The first {len(table)} rows, as they are written"
    draw_table(Table(caption, [quoted(name, LONGEST_CELL) for name in names], shown, words=width))


def _looked(kept: Upload, columns: dict[str, str | None], reading: Reading) -> Looked:
    """The whole log under these columns; kept, since every click draws the page anew.

    Raises:
        DataError: it cannot be read for certain.
    """
    asked = (kept, tuple(columns.items()), reading)
    last: Any = st.session_state.get(LOOKED)
    if last is None or last[0] != asked:
        with st.spinner("Reading the log …"):
            try:
                last = (asked, uploads.look(kept.place, columns, reading), "")
            except DataError as error:
                last = (asked, None, str(error))
        st.session_state[LOOKED] = last
    _, looked, wrong = last
    if looked is None:
        raise DataError(wrong)
    found: Looked = looked
    return found


def _understood(looked: Looked, fewest: int) -> None:
    """What the log says, how its dates are understood, and what will be left out."""
    st.success(
        literal(
            f"{counted(looked.events, 'search', 'searches')} of {counted(looked.users, 'user', 'users')}, "
            f"{looked.queries:,} of them different, from {looked.first} to {looked.last}."
        )
    )
    st.markdown(f"**Dates as understood:** {literal(looked.times)}. Times without a zone are taken for UTC.")
    rows = [(quoted(text), understood) for text, understood in looked.examples]
    draw_table(Table("The first times", ("as written", "as understood"), rows, words=2))
    left_out = [f"{count:,} {reason}" for reason, count in looked.left_out.items()]
    if few := looked.users_below(fewest):
        left_out.append(f"{counted(few, 'user', 'users')} with fewer than {fewest} searches")
    if left_out:
        st.caption(literal(f"Left out or changed: {', '.join(left_out)}."))


def _options() -> tuple[int, list[str]]:
    """What is made of the log: how many searches a user must have, and the options of the command."""
    usual = ImportOptions()
    with st.expander("What is made of it"):
        left, right = st.columns(2)
        fewest = left.number_input(FEWEST, LEAST, 10**6, usual.min_events, key="fewest")
        typed = right.number_input(
            "Characters typed in every search", 1, 100, None, placeholder="1 to 6, drawn", key="length"
        )
        counts = left.selectbox("What is known of everyone's searches", list(COUNTS), key="counts")
        drop = right.checkbox("Leave out searches that are not among their suggestions", key="drop")
    words = [] if fewest == usual.min_events else ["--min-events", str(fewest)]
    words += [] if typed is None else ["--typed", str(typed)]
    return fewest, [*words, *COUNTS.get(counts, ()), *_flags({"drop-missed": drop})]
