"""The search page: choose a user, type, and see your own list beside everyone's at every keystroke."""

import os
from html import escape
from pathlib import Path

import streamlit as st

from app.suggestions.demo import home
from app.suggestions.showcase import Showcase, ShowcaseError, open_showcase, version
from app.suggestions.suggester import Suggestion
from app.suggestions.visit import Visit
from data.files import expanded

TOP = 10
STYLE = """<style>
.stMainBlockContainer {padding-top: 3.5rem}
.pr-list {list-style: none; margin: 0 !important; padding: 0 !important; font-size: 1.02rem}
.pr-list li {display: flex; gap: .7rem; align-items: baseline; margin: 0; padding: .38rem .7rem;
  border-radius: .5rem; margin: 0 !important}
.pr-list li:nth-child(odd) {background: rgba(128, 128, 128, .08)}
.pr-rank {opacity: .55; width: 1.4rem; text-align: right; flex: none; font-variant-numeric: tabular-nums}
.pr-text {flex: 1; overflow-wrap: anywhere; white-space: pre-wrap}
.pr-note {flex: none; font-size: .8rem; opacity: .75; white-space: nowrap}
.pr-up {color: #15803d; opacity: 1; font-weight: 600}
.pr-down {color: #b45309; opacity: 1}
</style>"""


@st.cache_resource(max_entries=2, show_spinner="Loading the models …")
def load(directory: str, checksum: str) -> Showcase:
    """The prepared models; ``checksum`` changes with their files, and the cache with it."""
    return open_showcase(Path(directory))


def ranked_list(shown: list[Suggestion], prefix: str, other: list[Suggestion], name: str) -> str:
    """One list as HTML; everything that anyone typed is escaped. Notes say how it moved against ``other``."""
    places = {suggestion.text: place for place, suggestion in enumerate(other)}
    rows = []
    for place, suggestion in enumerate(shown):
        head, tail = suggestion.text[: len(prefix)], suggestion.text[len(prefix) :]
        notes = '<span class="pr-note">searched before</span>' if suggestion.own else ""
        if name == "personal" and places.get(suggestion.text, TOP) > place:
            up = places.get(suggestion.text, TOP) - place
            new = suggestion.text not in places
            notes += f'<span class="pr-note pr-up">{"new" if new else f"▲ {up}"}</span>'
        elif name == "personal" and places[suggestion.text] < place:
            notes += f'<span class="pr-note pr-down">▼ {place - places[suggestion.text]}</span>'
        rows.append(
            f'<li><span class="pr-rank">{place + 1}</span>'
            f'<span class="pr-text">{escape(head)}<b>{escape(tail)}</b></span>{notes}</li>'
        )
    label = escape(f"{name} suggestions for {prefix}")
    return f'{STYLE}<ol class="pr-list" aria-label="{label}">{"".join(rows)}</ol>'


def show_scores(showcase: Showcase, user: int) -> None:
    """The user's own figures on held-out searches, personal against global."""
    scores = showcase.scores[user]
    columns = st.columns(4)
    figures = [(name, both) for name, both in scores.items() if name != "slates"]
    for column, (name, (personal, common)) in zip(columns, figures, strict=False):
        label = name if "@" in name else name.upper()
        column.metric(
            f"{label}, personal", f"{personal:.3f}", f"{personal - common:+.3f} against global {common:.3f}"
        )
    columns[2].metric("Held-out searches", scores["slates"])
    visit = current_visit(showcase, user)
    columns[3].metric("Searches so far", showcase.suggester.searches(visit))


def current_visit(showcase: Showcase, user: int) -> Visit:
    """The visit as this user, kept in this browser session only."""
    kept = st.session_state.get("visit")
    if kept is None or kept[0] != (showcase.checksum, user):
        kept = ((showcase.checksum, user), showcase.suggester.visit(user))
        st.session_state["visit"] = kept
    return kept[1]


@st.fragment
def search(showcase: Showcase, user: int) -> None:
    """The input and both lists; only this reruns while somebody types."""
    typed = st.text_input(
        "Search", type="search", live="150ms", max_chars=200, placeholder="Type a letter …", key="typed"
    )
    visit = current_visit(showcase, user)
    answer = showcase.suggester.suggest(visit, typed or "", TOP)
    left, right = st.columns(2, gap="large")
    left.markdown("##### For you")
    right.markdown("##### For everyone")
    if answer.everyone:
        left.html(ranked_list(answer.personal, answer.prefix, answer.everyone, "personal"))
        right.html(ranked_list(answer.everyone, answer.prefix, answer.personal, "global"))
    else:
        empty = "No search starts like this." if answer.prefix else "Suggestions appear as you type."
        left.caption(empty)
        right.caption(empty)
    with st.expander("This user's latest searches", expanded=not answer.prefix):
        items = "".join(f"<li>{escape(text)}</li>" for text in showcase.suggester.recent(visit, 8))
        st.html(f"<ul>{items}</ul>")


def main() -> None:
    """Draw the page."""
    directory = expanded(os.environ.get("PERSARANK_DEMO") or str(home()))
    st.title("Suggestions that know you", anchor=False)
    try:
        showcase = load(str(directory), version(directory))
    except ShowcaseError as error:
        st.error(str(error))
        return
    st.markdown(
        f"{len(showcase.suggester.users)} simulated users trained a ranker together, and no search left its "
        "user. Choose one of them and type: **For you** is that user's own model (PersA-FL), "
        "**For everyone** the one global model (FedAvg)."
    )
    names = showcase.suggester.users
    name = st.selectbox("User", names, key="user", bind="query-params")
    if name not in names:
        st.error("There is no such user: choose one from the list.")
        return
    show_scores(showcase, names.index(name))
    search(showcase, names.index(name))


main()
