"""Learning from a visit: what joined it, a button that adapts the user's own model, and the way back."""

from dataclasses import dataclass

import streamlit as st

from app.reports.pages.blocks import Table
from app.suggestions.adaptation import Adaptation, NotAdaptable
from app.suggestions.suggester import Suggester, Suggestion
from app.web.box.answers import moved
from app.web.drawing import draw_table
from app.web.literal import literal
from app.web.suggesting.visits import Kept, current, keep

SHOWN = 5
"""Searches of the visit that are listed, the latest."""


@dataclass(frozen=True)
class Learned:
    """What a learning did.

    Attributes:
        adaptation: to the user's own model.
        typed: at the latest search of the visit.
        before: what was suggested then, and ``after``.
    """

    adaptation: Adaptation
    typed: str
    before: tuple[Suggestion, ...]
    after: tuple[Suggestion, ...]


@dataclass(frozen=True)
class Refused:
    """Why nothing could be learned, and how far it would go all the same."""

    why: str
    strengths: tuple[float, ...]


def show(service: Suggester, of: str, user: int, k: int) -> None:
    """Draw the visit, the buttons, and what the last learning did."""
    kept = current(service, of, user)
    st.subheader("Learn from this visit", anchor=False)
    _tell(kept)
    strength = _strength(of, kept)
    learn, undo, restart = st.columns(3)
    if learn.button(
        "Learn",
        key="learn",
        type="primary",
        width="stretch",
        disabled=not kept.visit.accepted,
        help="Adapts this user's own model to their past and this visit, as the run's algorithm does.",
    ):
        keep(of, _learn(service, kept, strength, k))
        st.rerun()
    last = kept.before[-1][0] if kept.before else ""
    help = f"Takes back: {literal(last)}." if last else "There is nothing to take back."
    if undo.button("Undo", key="undo", width="stretch", disabled=not kept.before, help=help):
        keep(of, kept.back())
        st.rerun()
    if restart.button(
        "Start over", key="restart", width="stretch", disabled=not kept.before, help="Forgets this visit."
    ):
        keep(of, Kept(service.visit(user)))
        st.rerun()
    if isinstance(kept.learned, Learned):
        _draw(kept.learned)


def _learn(service: Suggester, kept: Kept, strength: float | None, k: int) -> Kept:
    """The visit after learning from it, or the sentence that says why not."""
    typed = kept.visit.accepted[-1].typed if kept.visit.accepted else ""
    with st.spinner("Learning …"):
        try:
            visit, adaptation = service.adapt(kept.visit, strength)
        except NotAdaptable as error:
            return kept.told(Refused(str(error), error.strengths))
        lists = (tuple(service.suggest(one, typed, k).personal) for one in (kept.visit, visit))
    return kept.step("learning from this visit", visit, Learned(adaptation, typed, *lists))


def _tell(kept: Kept) -> None:
    """What is in the visit."""
    accepted, forgotten = kept.visit.accepted, len(kept.visit.forgotten)
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


def _strength(of: str, kept: Kept) -> float | None:
    """How far to go where the run would not by itself; None: as the run does."""
    refused = kept.learned
    if not isinstance(refused, Refused):
        return None
    st.info(literal(refused.why[:1].upper() + refused.why[1:]))
    if not refused.strengths:
        return None
    named = {"∞" if value == float("inf") else f"{value:g}": value for value in refused.strengths}
    chosen = st.selectbox("How far the own model goes", list(named), key="strength")
    return named.get(chosen, refused.strengths[0])


def _draw(learned: Learned) -> None:
    """What changed: figures, and the lists before and after."""
    done = learned.adaptation
    earlier = "1 earlier search" if done.past == 1 else f"{done.past} earlier searches"
    unused = f" {done.unused} of the visit showed no choice among suggestions." if done.unused else ""
    st.markdown(f"Learned from {earlier} and {done.visit} of this visit ({literal(done.called)}).{unused}")
    left, right = st.columns(2)
    if done.nmrr_before is not None and done.nmrr_after is not None:
        change = f"{done.nmrr_after - done.nmrr_before:+.3f} from {done.nmrr_before:.3f}"
        left.metric(
            "NMRR when held out",
            f"{done.nmrr_after:.3f}",
            change,
            help=f"On {done.held_out} held-out searches of this user; 1 is the best.",
        )
    right.metric(
        "Distance from everyone's",
        f"{done.distance_after:.3f}",
        f"{done.distance_after - done.distance_before:+.3f} from {done.distance_before:.3f}",
        delta_color="off",
        help="How far the weights of this user's model are from those of the model for everyone (L2).",
    )


def show_lists(service: Suggester, of: str, user: int) -> None:
    """Draw the lists before and after the last learning, if there was one."""
    learned = current(service, of, user).learned
    if isinstance(learned, Learned) and learned.after:
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
