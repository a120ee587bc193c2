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

BOX = "box"
LENGTHS = range(1, 21)
"""Of the lists."""


def main() -> None:
    """Draw the page."""
    st.title("Suggestions that know you", anchor=False)
    left, middle, right = st.columns([2, 2, 1])
    run = choice(left, "Run", "run", list(opened.runs()))
    service = opened.service(run)
    name = choice(middle, "User", "user", service.users)
    k = length(right)
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


def choice(place: st.delta_generator.DeltaGenerator, label: str, key: str, names: list[str]) -> str:
    """One of some names, which the URL tells too; a name that is not among them is said to be none."""
    told = st.query_params.get(key)
    if told is not None and told not in names:
        st.warning(f"There is no {label.lower()} called {literal(told[:80])} here: choose one from the list.")
    chosen = place.selectbox(label, names, key=key, bind="query-params")
    return chosen if chosen in names else names[0]


def length(place: st.delta_generator.DeltaGenerator) -> int:
    """How long the lists are, which the URL tells too; what they cannot be is said."""
    told = st.query_params.get("k")
    if told is not None and told not in map(str, LENGTHS):
        st.warning(
            f"Lists cannot be {literal(told[:80])} long: choose a number from {LENGTHS[0]} to {LENGTHS[-1]}."
        )
    chosen = place.number_input(
        "Suggestions", LENGTHS[0], LENGTHS[-1], 10, key="k", bind="query-params", help="Length of each list."
    )
    return chosen if chosen in LENGTHS else 10


main()
