"""What visitors have added, in their own browser session: a visit for each run and user, and the way back.

All of it is immutable, and kept as one value of the session that is replaced at once: a rerun that is cut
short has carried an act out, or has not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import streamlit as st

from app.suggestions.suggester import Suggester
from app.suggestions.visit import Visit
from app.web.box import Act, Said

KEY = "visits"
STEPS = 20
"""That can be undone, the latest."""


@dataclass(frozen=True, eq=False)
class Kept:
    """One visit to one user's suggestions.

    Attributes:
        visit: what the suggestion service knows of it.
        learned: what the last learning from it did, if it has not been undone, or why it did nothing.
        before: what was done, each with the visit and the learning before it.
    """

    visit: Visit
    learned: Any = None
    before: "tuple[tuple[str, Visit, Any], ...]" = ()

    def step(self, what: str, visit: Visit, learned: Any = None) -> "Kept":
        """After something was done, which can be undone."""
        before = (*self.before, (what, self.visit, self.learned))[-STEPS:]
        return Kept(visit, learned or self.learned, before)

    def told(self, learned: Any) -> "Kept":
        """After learning was tried in vain."""
        return replace(self, learned=learned)

    def back(self) -> "Kept":
        """Before the last thing that was done."""
        if not self.before:
            return self
        *before, (_, visit, learned) = self.before
        return Kept(visit, learned, tuple(before))


@dataclass(frozen=True, eq=False)
class Visits:
    """All visits of one browser session.

    Attributes:
        mount, done: which mounting of the box spoke last, and how many of its acts were carried out.
        why: whose list, what had been typed, and which search on it is to be explained.
        kept: by whose list.
    """

    mount: str = ""
    done: int = 0
    why: tuple[str, str, str] | None = None
    kept: Mapping[str, Kept] = field(default_factory=dict)

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


def current(service: Suggester, of: str, user: int) -> Kept:
    """The visit to this user's suggestions, begun if there is none."""
    found = visits()
    if of not in found.kept:
        used = {name: kept for name, kept in found.kept.items() if kept.before}
        st.session_state[KEY] = replace(found, kept={**used, of: Kept(service.visit(user))})
    return visits().kept[of]


def keep(of: str, kept: Kept) -> None:
    """Replace one visit."""
    found = visits()
    st.session_state[KEY] = replace(found, kept={**found.kept, of: kept})


def not_why() -> None:
    """Nothing is to be explained any more."""
    st.session_state[KEY] = replace(visits(), why=None)


def carry_out(service: Suggester, of: str, user: int, said: Said) -> bool:
    """Do with the visit what was done in the browser, each act once; returns whether there was something.

    Acts on a list that was another user's, or another run's, are left out.
    """
    kept, found = current(service, of, user), visits()
    todo, why = found.to_do(said), found.why
    for act in todo:
        if act.of != of:
            continue
        if act.kind == "why":
            why = (of, act.typed, act.text)
        elif act.kind == "accept":
            kept = kept.step(f"searched for “{act.text}”", service.observe(kept.visit, act.text, act.typed))
        else:
            kept = kept.step(f"deleted “{act.text}”", service.forget(kept.visit, act.text))
    if todo:
        done = max(act.number for act in todo)
        st.session_state[KEY] = Visits(said.mount, done, why, {**found.kept, of: kept})
    return bool(todo)
