"""Learning from a visit: what joined it, a button that adapts the user's own model, and the way back."""

import streamlit as st

from app.reports.pages.blocks import Table
from app.suggestions.adaptation import NotAdaptableError, called, further
from app.suggestions.suggester import Suggester
from app.web.box.answers import moved
from app.web.drawing import draw_table
from app.web.literal import literal
from app.web.suggesting.figures import measure
from app.web.suggesting.visits import Learned, Refused, Trail, current, keep

SHOWN = 5
"""Searches of the visit that are listed, the latest."""


def show(service: Suggester, of: str, user: int, k: int) -> None:
    """Draw the visit, the buttons, and what the last learning did."""
    trail = current(service, of, user)
    st.subheader("Learn from this visit", anchor=False)
    # What comes and goes has places of its own. Otherwise the buttons below would move, and Streamlit would
    # show them twice, where they were and where they are, until the page is drawn.
    with st.container():
        _tell(trail)
    with st.container():
        strength = _strength(of, trail)
    learn, undo, restart = st.columns(3)
    if learn.button(
        "Learn",
        key="learn",
        type="primary",
        width="stretch",
        disabled=not trail.visit.accepted,
        help="Adapts this user's own model to their past and this visit, as the run's algorithm does.",
    ):
        keep(of, _learn(service, trail, strength, k))
        st.rerun()
    last = trail.before[-1][0] if trail.before else ""
    help = f"Takes back: {literal(last)}." if last else "There is nothing to take back."
    if undo.button("Undo", key="undo", width="stretch", disabled=not trail.before, help=help):
        keep(of, trail.back())
        st.rerun()
    if restart.button(
        "Start over", key="restart", width="stretch", disabled=trail.pristine, help="Forgets this visit."
    ):
        keep(of, Trail(service.visit(user)))
        st.rerun()
    if trail.learned:
        _draw(trail.learned)


def _learn(service: Suggester, trail: Trail, strength: float | None, k: int) -> Trail:
    """The visit after learning from it, or the sentence that says why not."""
    typed = trail.visit.accepted[-1].typed if trail.visit.accepted else ""
    with st.spinner("Learning …"):
        try:
            visit, adaptation = service.adapt(trail.visit, strength)
        except NotAdaptableError as error:
            return trail.told(Refused(str(error), error.strengths, error.setting))
        lists = (tuple(service.suggest(one, typed, k).personal) for one in (trail.visit, visit))
    return trail.step("learning from this visit", visit, Learned(adaptation, typed, *lists))


def _tell(trail: Trail) -> None:
    """What is in the visit."""
    accepted, forgotten = trail.visit.accepted, len(trail.visit.forgotten)
    if not accepted and not forgotten:
        st.caption(
            "Search for something above: it joins this user's past in this browser tab, and the suggestions "
            "follow. Nothing of it is written to the run, and no other visitor sees it."
        )
        return
    searches = "1 search has" if len(accepted) == 1 else f"{len(accepted)} searches have"
    deleted = f" {forgotten} {'was' if forgotten == 1 else 'were'} deleted." if forgotten else ""
    st.caption(f"{searches} joined this user's past in this browser tab.{deleted} Nobody else sees that.")
    lines = [f"{number}. {literal(one.text)}" for number, one in enumerate(accepted, 1)]
    if len(lines) > SHOWN:
        st.caption(f"The latest {SHOWN}:")
    st.markdown("\n".join(lines[-SHOWN:]))


def _strength(of: str, trail: Trail) -> float | None:
    """How far to go where the run would not by itself; None: as the run does."""
    refused, learned = trail.refused, trail.learned
    if refused is None:
        return None
    if not (refused.strengths and learned):  # whoever has chosen how far knows why there is a choice
        st.info(literal(refused.why))
    if not refused.strengths:
        return None
    named = {called(refused.setting, value): value for value in refused.strengths}
    last = called(refused.setting, learned.adaptation.strength) if learned else ""
    chosen = st.selectbox(
        "How far the own model goes",
        list(named),
        index=list(named).index(last) if last in named else 0,
        key="strength",
        help=f"{further(refused.setting)}.",
    )
    return named.get(chosen, refused.strengths[0])


def _draw(learned: Learned) -> None:
    """What changed: figures, and the lists before and after."""
    done = learned.adaptation
    earlier = "1 earlier search" if done.past == 1 else f"{done.past} earlier searches"
    others = "1 other" if done.unused == 1 else f"{done.unused} others"
    why = "nothing had been typed, or what was searched was not among the suggestions"
    unused = f" {others} of it taught nothing: {why}." if done.unused else ""
    st.markdown(f"Learned from {earlier} and {done.visit} of this visit ({literal(done.called)}).{unused}")
    left, right = st.columns(2)
    if done.nmrr_before is not None and done.nmrr_after is not None:
        searches = "1 search" if done.held_out == 1 else f"{done.held_out} searches"
        measure(
            left,
            "NMRR on held-out searches",
            done.nmrr_after,
            done.nmrr_before,
            words=f" from {done.nmrr_before:.3f}",
            help=f"On {searches} of this user that no model has learned from; 1 is the best.",
        )
    measure(
        right,
        "Distance from everyone's",
        done.distance_after,
        done.distance_before,
        words=f" from {done.distance_before:.3f}",
        neutral=True,
        help="How far the weights of this user's model are from those of the model for everyone (L2).",
    )


def show_lists(service: Suggester, of: str, user: int) -> None:
    """Draw the lists before and after the last learning, if there was one."""
    learned = current(service, of, user).learned
    if learned and learned.after:
        draw_table(_lists(learned))


def _lists(learned: Learned) -> Table:
    """The lists before and after, and how far each suggestion moved."""
    moves = Suggester.moves(learned.after, learned.before)
    rows = [
        (f"{place}", before.text, after.text, moved(moves[after.text])[1] or "stays")
        for place, (before, after) in enumerate(zip(learned.before, learned.after, strict=True), 1)
    ]
    when = f"“{learned.typed}” is typed" if learned.typed else "nothing is typed"
    headings = ("place", "before learning", "after learning", "which has moved")
    return Table(f"For you, when {when}", headings, rows, words=4)
