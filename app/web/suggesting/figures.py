"""How good a run is for one user: their figures on held-out searches, personal beside global."""

from pathlib import Path
from typing import Any

import streamlit as st

from app.runs.directory import REPORT, RunError, open_run
from app.runs.evaluation import evaluate, save_report, saved_users
from app.runs.shell import command
from app.suggestions.lists import Models
from app.web.literal import literal
from app.web.opened import moved_data, run_named

MEANINGS = {
    "accuracy": (
        "How many of the searches that belong on top are there, among the first {k}; the first places count "
        "most. 1 is the best."
    ),
    "mrr": (
        "One over the place of the search that was made, averaged: 1 if it always was the first suggestion, "
        "0.5 if it always was the second. Beyond place {k} it counts 0."
    ),
    "nmrr": (
        "The same over all the searches that belong on top, however far down, as a share of what the best "
        "order would get."
    ),
}
"""Of the figures, by what their names begin with."""


def show(run: str, user: str, models: Models) -> None:
    """Draw one user's figures, beside everyone's if there are two models, or say what makes them."""
    st.subheader("How good are these lists?", anchor=False)
    directory = run_named(run)
    try:
        rows = _rows(directory)
    except RunError as error:
        st.warning(literal(str(error)))
        rows = None
    if rows is None:
        _offer(directory)
    elif user not in rows:
        st.caption("No search of this user was held out, so there is nothing to judge these lists by.")
    else:
        _draw(rows[user], models)


def _draw(row: dict[str, Any], models: Models) -> None:
    held_out = "1 held-out search" if row["slates"] == 1 else f"{row['slates']} held-out searches"
    st.caption(f"For this user, on {held_out} that no model has learned from. 1 is the best, 0 the worst.")
    personal, common = row["personal"], row["global"] if models.differ else {}
    for name, column in zip(personal, st.columns(len(personal)), strict=True):
        against = common.get(name)
        measure(column, _title(name), personal[name], against, help=_meaning(name))
        if against is not None:
            column.caption(f"for everyone: {against:.3f}")
    with st.expander("What these figures mean"):
        for name in personal:
            st.markdown(f"**{_title(name)}**: {_meaning(name)}")
        if common:
            st.markdown(
                "The large figure is that of the list “For you”; what it gains over “For everyone” is below."
            )


def measure(
    place: st.delta_generator.DeltaGenerator,
    label: str,
    now: float,
    before: float | None,
    *,
    help: str,
    words: str = "",
    neutral: bool = False,
) -> None:
    """Draw a figure, and how far it is from another one; where that rounds to nothing, without an arrow.

    Args:
        place: where to.
        label: what is measured.
        now: the figure.
        before: the other one; None: there is none.
        help: what it means.
        words: after the change.
        neutral: neither more nor less is better.
    """
    if before is None:
        place.metric(label, f"{now:.3f}", help=help)
        return
    change = f"{now - before:+.3f}"
    same = float(change) == 0
    place.metric(
        label,
        f"{now:.3f}",
        "no change" if same else change + words,
        delta_color="off" if same or neutral else "normal",
        delta_arrow="off" if same else "auto",
        help=help,
    )


def _title(name: str) -> str:
    stem, at, k = name.partition("@")
    return (stem if stem == "accuracy" else stem.upper()) + at + k


def _meaning(name: str) -> str:
    stem, _, k = name.partition("@")
    return MEANINGS[stem].format(k=k)


def _offer(directory: Path) -> None:
    """What judges the run, and a button that does it here."""
    st.markdown("No report tells that yet. In a terminal, this command judges the run on held-out searches:")
    data = moved_data(directory)
    where = [] if data is None else [f"--data={data}"]
    st.code(command("evaluate", directory, *where), language="bash", wrap_lines=True)
    if st.button("Judge it here", key="judge", help="Scores every held-out search; it can take a minute."):
        with st.spinner("Judging every held-out search …"):
            save_report(*evaluate([directory], data, "test"))
        st.rerun()


def _rows(directory: Path) -> dict[str, Any] | None:
    """Rows of the run's report by user; None if it has none.

    Raises:
        RunError: the report is damaged, or of other data.
    """
    path = directory / REPORT
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return _read(directory, changed, open_run(directory).fingerprint)


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(directory: Path, changed: int, fingerprint: str) -> dict[str, Any]:
    """Read anew whenever ``changed`` is another."""
    return saved_users(directory, fingerprint)
