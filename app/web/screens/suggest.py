"""The page Suggest: choose a user, type, and see at every keystroke what four rankings would offer."""

import streamlit as st

from app.suggestions.suggester import Suggester
from app.web import opened
from app.web.box import mount, said
from app.web.box.answers import answer
from app.web.guard import guarded
from app.web.literal import literal
from app.web.suggesting import figures, learning, reasons
from app.web.suggesting.visits import carry_out, current, visits

Place = st.delta_generator.DeltaGenerator
BOX = "box"
LENGTHS = range(1, 21)
"""Of the lists."""


def main() -> None:
    """Draw the page."""
    st.title("Suggestions that know you", anchor=False)
    # What the address says wrongly is said until something is chosen. The container stays after that: were it
    # to go, Streamlit would draw the box anew, without what stands in it.
    told = st.container()
    left, middle, right = st.columns([2, 2, 1])
    run = choice(told, left, "Run", "run", list(opened.runs()))
    service = opened.service(run)
    name = choice(told, middle, "User", "user", service.users)
    k = length(told, right)
    user, of = service.users.index(name), f"{opened.checksum(opened.run_named(run))} {name}"
    suggestions(service, of, user, k)
    reasons.show(service, of, user)
    one, other = st.columns(2, gap="large")
    with one, guarded():
        learning.show(service, of, user, k)
    with other, guarded():
        figures.show(run, name, service.models(service.visit(user)))
    learning.show_lists(service, of, user)


@st.fragment
def suggestions(service: Suggester, of: str, user: int, k: int) -> None:
    """The box and the lists. Only this reruns while somebody types, and it draws nothing else."""
    with guarded():
        asked = said(BOX)
        if carry_out(service, of, user, asked):
            st.rerun()
        found = service.suggest(current(service, of, user).visit, asked.text, k)
        mount(BOX, asked, visits().doing(asked), answer(found, service.users[user], of))


def choice(told: Place, place: Place, label: str, key: str, names: list[str]) -> str:
    """One of some names, which the URL tells too; a name that is not among them is said to be none."""
    given = st.query_params.get(key)
    if given is not None and given not in names:
        told.warning(
            f"There is no {label.lower()} called {literal(given[:80])} here: choose one from the list."
        )
    chosen = place.selectbox(label, names, key=key, bind="query-params")
    return chosen if chosen in names else names[0]


def length(told: Place, place: Place) -> int:
    """How long the lists are, which the URL tells too; what they cannot be is said."""
    given = st.query_params.get("k")
    if given is not None and given not in map(str, LENGTHS):
        told.warning(
            f"Lists cannot be {literal(given[:80])} long: choose a number from {LENGTHS[0]} to {LENGTHS[-1]}."
        )
    chosen = place.number_input(
        "Suggestions", LENGTHS[0], LENGTHS[-1], 10, key="k", bind="query-params", help="Length of each list."
    )
    return chosen if chosen in LENGTHS else 10


main()
