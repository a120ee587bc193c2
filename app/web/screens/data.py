"""The page Data: look at a dataset, import a log, simulate users."""

from pathlib import Path
from typing import Any

import streamlit as st

from app.reports.distributions import Bars, distributions
from app.reports.pages.blocks import Table
from app.reports.tables import plain
from app.runs.shell import command
from app.web import jobs
from app.web.drawing import draw_chart, draw_table
from app.web.import_form import import_words, option, taken, upload
from app.web.job_list import job_list, shown_place
from app.web.literal import literal
from app.web.names import LONGEST, free_name, what_is_wrong
from app.web.opened import SEARCHES, datasets, opened
from app.web.pictures import bars
from app.web.uploads import UploadError
from data import feature_sets
from data.schema import DataError, Dataset
from data.storage import read_manifest

MOST_USERS = 2000  # that are simulated from a page; the command simulates any number

LOOK, IMPORT, SIMULATE = "Your data", "Import a log", "Simulate users"
# Kept in a visitor's session: which part of the page is open, a dataset in the making, and the last made
WHAT, COMING, NEWEST = "what", "coming", "newest"


@st.cache_data(max_entries=8, show_spinner="Reading the dataset …")
def seen(directory: str, fingerprint: str) -> tuple[dict[str, Any], list[Bars]]:
    """The card of a dataset and its pictures; read anew whenever its fingerprint changes."""
    found = feature_sets.open_data(Path(directory))
    return distributions(found) if isinstance(found, Dataset) else (feature_sets.card(found), [])


def look(known: dict[str, Path]) -> None:
    """One dataset: its figures, its pictures, and the rest of its card."""
    if not known:
        st.info("There is no data yet: import a log, or simulate users.")
        return
    asked = st.query_params.get("data")
    if asked is not None and asked not in known:
        st.warning("There is no dataset of the name in the address: choose one from the list.")
    names = list(known)
    made = next((name for name, place in known.items() if place == st.session_state.get(NEWEST)), names[0])
    usual = names.index(asked if asked in known else made)
    name = st.selectbox("Dataset", names, index=usual, key=f"dataset {asked} {made} {names}")
    name = name if name is not None and name in known else names[usual]
    place = known[name]
    figures, pictures = seen(str(place), str(read_manifest(place)["fingerprint"]))
    if pictures:
        facts(figures)
    st.page_link(
        "screens/train.py",
        label="Train on this",
        icon=":material/model_training:",
        query_params={"data": name},
    )
    for one, other in zip(pictures[::2], pictures[1::2], strict=True):
        for column, picture in zip(st.columns(2, gap="large"), (one, other), strict=True):
            with column:
                draw_chart(bars(picture))
    rows = [(key.replace("_", " "), plain(value)) for key, value in figures.items()]
    draw_table(Table("The whole card", ("", "value"), rows, words=2, folded=bool(pictures)))
    st.caption(f"It lies in {literal(str(place))}.")


def facts(figures: dict[str, Any]) -> None:
    """What a person asks of a log first."""
    shown = {
        "Users": f"{figures['users']:,}",
        "Searches": f"{figures['events']:,}",
        "Different queries": f"{figures['distinct_queries']:,}",
        "Searched again": f"{figures['repeat_rate']:.0%}",
        "Hit rate": f"{figures['pool_recall']:.0%}",
    }
    meanings = {
        "Searched again": "Searches that the same user had made before.",
        "Hit rate": "Searches whose query is on offer; all others score 0 with every ranker.",
    }
    row = st.container(horizontal=True, gap="large")
    for label, value in shown.items():
        row.metric(label, value, help=meanings.get(label), width="content")
    first, last = (
        figures[name].replace("T", " ").replace("Z", " UTC") for name in ("first_event", "last_event")
    )
    left_out = [f"{count:,} {reason}" for reason, count in figures["left_out"].items() if count]
    told = f"From {first} to {last}."
    st.markdown(literal(told + (f" Left out: {', '.join(left_out)}." if left_out else "")))


def new_name(folder: Path, wish: str, key: str) -> tuple[Path, str | None]:
    """The place of a new dataset, and what is wrong with its name."""
    room = folder / SEARCHES
    usual = free_name(room, wish, "searches")
    name = (
        st.text_input("Name of the dataset", usual, max_chars=LONGEST, key=f"{key} {usual}").strip() or usual
    )
    return room / name, what_is_wrong(room, name)


def run(folder: Path, words: list[str], out: Path, wrong: str | None, label: str) -> bool:
    """Show a command, and a button that runs it; whether it has been started."""
    if wrong:
        st.error(literal(wrong))
        return False
    st.markdown("This is what will be run, and what you can run in a terminal:")
    st.code(command(*words), language=None, wrap_lines=True)
    if not st.button(label, type="primary", icon=":material/play_arrow:"):
        return False
    try:
        jobs.start(folder, words, out)
    except jobs.JobError as error:
        st.error(literal(f"Nothing was started: {error}"))
        return False
    st.session_state[COMING] = out
    return True


def import_log(folder: Path) -> None:
    """Upload a log, say what its columns hold, and import it."""
    st.markdown("A log says who searched for what, and when. Nothing of it leaves this machine.")
    try:
        kept = upload(folder)
        if kept is None:
            return
        out, wrong = new_name(folder, Path(kept.name).name.split(".")[0], "log")
        words = import_words(kept, shown_place(kept.place, folder))
    except (UploadError, DataError) as error:
        st.error(literal(f"This cannot be read: {error}"))
        return
    if words is None:
        return
    out_words = option("out", shown_place(out, folder))
    if run(folder, ["data", "import", words[0], *out_words, *words[1:]], out, wrong, "Import"):
        taken()
        st.rerun()


def simulate(folder: Path) -> None:
    """Simulate a dataset."""
    st.markdown(
        "Made-up users with tastes of their own: to try things out, and to see what could be gained at best."
    )
    left, middle, right = st.columns(3)
    users = left.number_input("Users", 3, MOST_USERS, 200)
    seed = middle.number_input("Seed of the simulation", 0, 2**32 - 1, 0)
    strength = right.number_input(
        "How far tastes differ", 0.0, 10.0, 0.25, step=0.05, help="0 makes all users alike."
    )
    out, wrong = new_name(folder, f"simulated-{users}", "simulated")
    words = ["data", "simulate", "--out", shown_place(out, folder), "--users", str(users)]
    words += ["--seed", str(seed), "--strength", f"{strength:g}"]
    if run(folder, words, out, wrong, "Simulate"):
        st.rerun()


def main() -> None:
    """Draw the page."""
    st.title("Data", anchor=False)
    folder, known = opened().folder, datasets()
    shown = {
        LOOK: lambda: look(known),
        IMPORT: lambda: import_log(folder),
        SIMULATE: lambda: simulate(folder),
    }
    if st.session_state.get(COMING) in known.values():  # it is there now
        st.session_state[NEWEST] = st.session_state.pop(COMING)
        st.session_state[WHAT] = LOOK
    st.session_state.setdefault(WHAT, LOOK if known else IMPORT)
    chosen = st.segmented_control("What to do", list(shown), key=WHAT, label_visibility="collapsed")
    shown.get(chosen or LOOK, shown[LOOK])()
    st.subheader("Imports and simulations", anchor=False)
    job_list(folder, [("data",)])


main()
