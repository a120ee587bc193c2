"""What visitors have added, in their own browser session: a visit for each run and user, and the way back.

All of it is immutable, and kept as one value of the session that is replaced at once: a rerun that is cut
short has carried an act out, or has not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import streamlit as st

from app.suggestions.adaptation import Adaptation
from app.suggestions.suggester import Suggester, Suggestion
from app.suggestions.visit import Visit
from app.web.box import Act, Said

KEY = "visits"
STEPS = 20
"""That can be undone, the latest."""


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
    """Why nothing could be learned, and how far it would go all the same: values of a setting."""

    why: str
    strengths: tuple[float, ...]
    setting: str


@dataclass(frozen=True, eq=False)
class Trail:
    """One visit to one user's suggestions, and the way back.

    Attributes:
        visit: what the suggestion service knows of it.
        learned: what the last learning from it did, if it has not been undone: its weights are in use.
        refused: why learning without a choice of how far does nothing, once that was tried.
        before: what was done, each with the visit and the learning before it.
    """

    visit: Visit
    learned: Learned | None = None
    refused: Refused | None = None
    before: "tuple[tuple[str, Visit, Learned | None], ...]" = ()

    @property
    def pristine(self) -> bool:
        """Whether the visit has not added anything, so that there is nothing to forget."""
        visit = self.visit
        return not (self.before or visit.accepted or visit.forgotten or visit.own is not None)

    def step(self, what: str, visit: Visit, learned: Learned | None = None) -> "Trail":
        """After something was done, which can be undone."""
        before = (*self.before, (what, self.visit, self.learned))[-STEPS:]
        return Trail(visit, learned or self.learned, self.refused, before)

    def told(self, refused: Refused) -> "Trail":
        """After learning was tried in vain; what was learned before stays."""
        return replace(self, refused=refused)

    def back(self) -> "Trail":
        """Before the last thing that was done."""
        if not self.before:
            return self
        *before, (_, visit, learned) = self.before
        return Trail(visit, learned, self.refused, tuple(before))


@dataclass(frozen=True, eq=False)
class Visits:
    """All visits of one browser session.

    Attributes:
        mount, done: which mounting of the box spoke last, and how many of its acts were carried out.
        why: whose list, what had been typed, and which search on it is to be explained.
        trails: by whose list.
    """

    mount: str = ""
    done: int = 0
    why: tuple[str, str, str] | None = None
    trails: Mapping[str, Trail] = field(default_factory=dict)

    def doing(self, said: Said) -> int:
        """Number of the last act of this mounting that was carried out."""
        return self.done if said.mount == self.mount else 0

    def to_do(self, said: Said) -> tuple[Act, ...]:
        """What was done in the browser and is not carried out yet."""
        done = self.doing(said)
        return tuple(act for act in said.acts if act.number > done)


def visits() -> Visits:
    """Those of this session."""
    return cast("Visits", st.session_state.get(KEY) or Visits())


def current(service: Suggester, of: str, user: int) -> Trail:
    """The visit to this user's suggestions, begun if there is none."""
    found = visits()
    if of not in found.trails:
        used = {name: trail for name, trail in found.trails.items() if not trail.pristine}
        st.session_state[KEY] = replace(found, trails={**used, of: Trail(service.visit(user))})
    return visits().trails[of]


def keep(of: str, trail: Trail) -> None:
    """Replace one visit."""
    found = visits()
    st.session_state[KEY] = replace(found, trails={**found.trails, of: trail})


def not_why() -> None:
    """Nothing is to be explained any more."""
    st.session_state[KEY] = replace(visits(), why=None)


def carry_out(service: Suggester, of: str, user: int, said: Said) -> bool:
    """Do with the visit what was done in the browser, each act once; returns whether there was something.

    Acts on a list that was another user's, or another run's, are left out.
    """
    trail, found = current(service, of, user), visits()
    todo, why = found.to_do(said), found.why
    for act in todo:
        if act.of != of:
            continue
        if act.kind == "why":
            why = (of, act.typed, act.text)
        elif act.kind == "accept":
            trail = trail.step(
                f"searched for “{act.text}”", service.observe(trail.visit, act.text, act.typed)
            )
        else:
            trail = trail.step(f"deleted “{act.text}”", service.forget(trail.visit, act.text))
    if todo:
        done = max(act.number for act in todo)
        st.session_state[KEY] = Visits(said.mount, done, why, {**found.trails, of: trail})
    return bool(todo)
