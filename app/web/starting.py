"""How every page starts a command: what it makes gets a name, its words are shown, and a button runs it."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from app.runs.shell import command
from app.web import jobs
from app.web.literal import literal
from app.web.names import LONGEST, free_name, what_is_wrong


def new_place(label: str, room: Path, wish: str, otherwise: str) -> tuple[Path, str | None]:
    """Where something new will lie, and what is wrong with its name; see `free_name` for the arguments."""
    usual = free_name(room, wish, otherwise)
    name = st.text_input(label, usual, max_chars=LONGEST, key=f"{label} {otherwise} {usual}").strip() or usual
    return room / name, what_is_wrong(room, name)


def start_button(label: str, folder: Path, words: Sequence[str], place: Path, wrong: str | None) -> bool:
    """Show a command, and a button that runs it; whether it has been started.

    Args:
        label: of the button.
        folder: the app's own.
        words: arguments of `persarank`.
        place: what the command makes.
        wrong: why it cannot be run, if so.
    """
    if wrong:
        st.error(literal(wrong))
        return False
    st.markdown("This is what will be run, and what you can run in a terminal:")
    st.code(command(*words), language=None, wrap_lines=True)
    if not st.button(label, type="primary", icon=":material/play_arrow:"):
        return False
    try:
        jobs.start(folder, words, place)
    except jobs.JobError as error:
        st.error(literal(str(error)))
        return False
    return True
