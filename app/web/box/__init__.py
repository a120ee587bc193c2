"""The combobox of the Suggest page, a component of our own: what its browser side says, and how it is drawn.

`box.html`, `box.css` and `box.js` beside this file are given to Streamlit as they are, and live in one shadow
root. Everything that changes with a keystroke goes to the browser as this one component's data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import streamlit as st
from pydantic import Field, TypeAdapter, ValidationError

Number = Annotated[int, Field(ge=0, lt=2**53)]
Text = Annotated[str, Field(max_length=10_000)]


@dataclass(frozen=True)
class Act:
    """Something that a visitor did with a search.

    Attributes:
        number: counts up within one mounting of the component.
        kind: it was accepted, is to be forgotten, or its place is to be explained.
        text: the search.
        typed: what had been typed.
        of: whose list it was on, as `mount` was told.
    """

    number: Number
    kind: Literal["accept", "forget", "why"]
    text: Text
    typed: Text
    of: Text


@dataclass(frozen=True)
class Said:
    """What the browser says: the newest question, and what was done that is not yet known to be carried out.

    Attributes:
        mount: names one mounting of the component; "" before anything was said.
        seq: number of the question, which its answer must carry.
        text: what stood in the box.
        acts: in the order in which they were done.
    """

    mount: Text = ""
    seq: Number = 0
    text: Text = ""
    acts: tuple[Act, ...] = ()


def _file(ending: str) -> str:
    return (Path(__file__).parent / f"box.{ending}").read_text(encoding="utf-8")


_component = st.components.v2.component("persarank_box", html=_file("html"), css=_file("css"), js=_file("js"))
_said = TypeAdapter(Said)


def said(key: str) -> Said:
    """What the browser has said so far; if it is not as `box.js` says it, nothing."""
    state = st.session_state.get(key)
    try:
        return (
            _said.validate_python(state["said"]) if isinstance(state, Mapping) and "said" in state else Said()
        )
    except ValidationError:
        return Said()


def mount(key: str, said: Said, done: int, answer: dict[str, Any]) -> None:
    """Draw the box.

    Args:
        key: of the component; its state is there in the session.
        said: the question that is answered.
        done: number of the last act that was carried out.
        answer: what `app.web.box.answers.answer` makes.
    """
    _component(
        key=key,
        data={"mount": said.mount, "seq": said.seq, "done": done, **answer},
        on_said_change=_nothing,
    )


def _nothing() -> None:
    """Streamlit keeps only states that have a callback."""
