"""The page Data: look at a dataset, import a log, simulate users."""

from pathlib import Path
from typing import Any

import streamlit as st

from app.reports.distributions import Bars, distributions
from app.reports.pages.blocks import Table
from app.reports.tables import plain
from app.web.charts import bars
from app.web.data_choice import choose_dataset
from app.web.drawing import draw_chart, draw_table
from app.web.import_form import import_words, option, taken, upload
from app.web.job_list import job_list, shown_place
from app.web.literal import literal
from app.web.opened import SEARCHES, datasets, opened
from app.web.starting import new_place, start_button
from app.web.uploads import UploadError
from data import feature_sets
from data.schema import DataError, Dataset
from data.storage import read_manifest

MOST_USERS = 2000  # that are simulated from a page; the command simulates any number

NAME = "Name of the dataset"
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
    newest = st.session_state.get(NEWEST)
    made = next((name for name, place in known.items() if place == newest), next(iter(known)))
    name = choose_dataset("Dataset", known, made)
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
    row = st.container(horizontal=True, gap="medium")
    for label, value in shown.items():
        row.metric(label, value, help=meanings.get(label), width="content")
    first, last = (
        figures[name].replace("T", " ").replace("Z", " UTC") for name in ("first_event", "last_event")
    )
    left_out = [f"{count:,} {reason}" for reason, count in figures["left_out"].items() if count]
    told = f"From {first} to {last}."
    st.markdown(literal(told + (f" Left out: {', '.join(left_out)}." if left_out else "")))


def run(label: str, folder: Path, words: list[str], out: Path, wrong: str | None) -> bool:
    """Offer a command that makes a dataset, which is shown when it is there; whether it has been started."""
    started = start_button(label, folder, words, out, wrong)
    if started:
        st.session_state[COMING] = out
    return started


def import_log(folder: Path) -> None:
    """Upload a log, say what its columns hold, and import it."""
    st.markdown("A log says who searched for what, and when. It stays on the machine that runs this app.")
    try:
        kept = upload(folder)
        if kept is None:
            return
        wish = Path(kept.name).name.split(".")[0]
        out, wrong = new_place(NAME, folder / SEARCHES, wish, "searches")
        words = import_words(kept, shown_place(kept.place, folder))
    except (UploadError, DataError) as error:
        st.error(literal(f"This cannot be read: {error}"))
        return
    if words is None:
        return
    out_words = option("out", shown_place(out, folder))
    if run("Import", folder, ["data", "import", words[0], *out_words, *words[1:]], out, wrong):
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
    out, wrong = new_place(NAME, folder / SEARCHES, f"simulated-{users}", "simulated")
    words = ["data", "simulate", "--out", shown_place(out, folder), "--users", str(users)]
    words += ["--seed", str(seed), "--strength", f"{strength:g}"]
    if run("Simulate", folder, words, out, wrong):
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
