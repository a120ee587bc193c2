"""The jobs of a folder as a page shows them: how far each is, and what can be done about it."""

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from app.runs import records
from app.runs.directory import METRICS
from app.runs.progress_file import Phase
from app.web import jobs
from app.web.charts import learning
from app.web.drawing import specification
from app.web.guard import guarded
from app.web.jobs import FAILED, FINISHED, RUNNING, STOPPED, Job
from app.web.literal import literal
from app.web.opened import AppError, datasets, moved_data, runs

LATEST = 8
"""Jobs that are shown."""

LOOK = 1.0
"""Seconds between two looks at jobs that are at work."""

STATES = {
    RUNNING: ":material/progress_activity: at work",
    FINISHED: ":material/check_circle: finished",
    STOPPED: ":material/pause_circle: stopped",
    FAILED: ":material/error: failed",
}
EVALUATED = b'{"event": "evaluated"'
"""How lines of a metrics file begin that say how good the model was."""


class Link(NamedTuple):
    """A way to another page."""

    page: str
    label: str
    icon: str
    parameters: dict[str, str]


def job_list(folder: Path, commands: Collection[tuple[str, ...]]) -> None:
    """Show the jobs whose words begin like one of ``commands``, and look again while one is at work."""
    at_work = any(job.state == RUNNING for job in _of(folder, commands))
    st.fragment(_shown, run_every=LOOK if at_work else None)(folder, commands, at_work)


def _of(folder: Path, commands: Collection[tuple[str, ...]]) -> list[Job]:
    found = jobs.jobs(folder)
    return [job for job in found if not job.words or any(job.words[: len(c)] == c for c in commands)]


def _shown(folder: Path, commands: Collection[tuple[str, ...]], at_work: bool) -> None:
    with guarded():
        found = _of(folder, commands)
        if at_work and not any(job.state == RUNNING for job in found):
            st.rerun()  # what it has made can be chosen now
        links = _links(found)
        for job in found[:LATEST]:
            with st.container(border=True):
                _job(folder, job, links.get(job.name))
        if len(found) > LATEST:
            st.caption(f"{len(found) - LATEST} earlier ones are not shown.")


def _links(found: Collection[Job]) -> dict[str, Link]:
    """Where what jobs have made can be seen, by the job's name."""
    trained = {os.path.realpath(place): name for name, place in runs().items()}
    made = {os.path.realpath(place): name for name, place in datasets().items()}
    links = {}
    for job in found:
        place = os.path.realpath(job.place)
        if job.state == RUNNING:
            continue
        if place in trained:
            run = {"run": trained[place]}
            links[job.name] = Link("screens/suggest.py", "Open in Suggest", ":material/search:", run)
        elif place in made:
            data = {"data": made[place]}
            links[job.name] = Link("screens/train.py", "Train on this", ":material/model_training:", data)
    return links


def _job(folder: Path, job: Job, link: Link | None) -> None:
    """One job, with the way to what it has made."""
    when = time.strftime("%d %B %Y, %H:%M", time.localtime(job.started))
    name = job.place.name if job.words else "a job"
    st.markdown(f"**{literal(name)}** · {STATES[job.state]} · {when}")
    if job.state == RUNNING:
        _progress(job)
    elif job.state == FAILED:
        st.error(literal(job.said))
    elif job.said:  # also of a finished training whose model is worth nothing
        st.warning(literal(job.said))
    if job.kind in ("train", "resume"):
        _curve(job)
    _buttons(folder, job, link)
    if job.words:
        with st.expander("What was run, and what it printed"):
            st.code(job.command, language=None, wrap_lines=True)
            if job.printed:
                st.code(job.printed, language=None)


def _progress(job: Job) -> None:
    """How far the phases are that have not ended, as training among its validations; and what came before."""
    if not job.phases:
        st.progress(0.0, text="starting …")
        return
    latest = max(job.phases, key=lambda phase: phase.until)
    present = [phase for phase in job.phases if phase.done < phase.total] or [latest]
    for phase in present:
        share = min(phase.done / phase.total, 1.0) if phase.total else 0.0
        st.progress(share, text=literal(_told(phase)))
    over = [f"{phase.name} {phase.until - phase.since:.0f} s" for phase in job.phases if phase not in present]
    if over:
        st.caption(literal(f"Done: {', '.join(over)}."))


def _told(phase: Phase) -> str:
    """How far a phase is, in words."""
    parts = [phase.name]
    if phase.total:
        parts.append(f"{phase.done:,} of {phase.total:,}")
    parts += [detail.strip() for detail in phase.detail.split("  ") if detail.strip()]
    if phase.left is not None:
        parts.append(f"about {_duration(phase.left)} left")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _curve(job: Job) -> None:
    """How good the model has been on validation slates, as far as the training has come."""
    curve = learning_curve(job.place)
    if len(curve) < 2:
        return
    last = curve[-1]
    told = f"NMRR on validation slates was {last['nmrr']:.3f} after {last['updates']:,} updates."
    picture = specification(learning(curve))
    st.vega_lite_chart(picture, theme=None, width="stretch", alt=told, key=f"curve {job.name}")
    st.caption(told)


def learning_curve(run: Path) -> list[dict[str, Any]]:
    """NMRR on validation slates by updates, from the lines that are whole; a training may be writing more."""
    try:
        lines = (run / METRICS).read_bytes().split(b"\n")[:-1]
        events = records.events(b"\n".join(line for line in lines if line.startswith(EVALUATED)))
    except (OSError, ValueError):
        return []
    seen = [(event["updates"], event["metrics"].get("nmrr")) for event in events]
    return [{"updates": updates, "nmrr": nmrr} for updates, nmrr in seen if nmrr is not None]


def _buttons(folder: Path, job: Job, link: Link | None) -> None:
    row = st.container(horizontal=True, vertical_alignment="center")
    if job.state == RUNNING:
        if job.asked:
            row.caption("Stopping: what it has learned is saved first.")
            row.button("End it at once", key=f"kill {job.name}", on_click=_kill, args=(folder, job.name))
        else:
            row.button("Stop", key=f"stop {job.name}", on_click=jobs.stop, args=(folder, job.name))
        return
    if link is not None:
        row.page_link(link.page, label=link.label, icon=link.icon, query_params=link.parameters)
    if job.resumable and row.button("Resume", key=f"resume {job.name}"):
        _resume(folder, job)
    row.button(
        "Remove from this list",
        key=f"forget {job.name}",
        on_click=jobs.forget,
        args=(folder, job.name),
        type="tertiary",
        help="What it has made stays where it is.",
    )


def _kill(folder: Path, name: str) -> None:
    jobs.stop(folder, name, at_once=True)


def _resume(folder: Path, job: Job) -> None:
    """Go on with a training, as a new job."""
    words = ["resume", shown_place(job.place, folder)]
    data = moved_data(job.place)
    if data is not None:
        words += ["--data", shown_place(data, folder)]
    try:
        jobs.start(folder, words, job.place)
    except jobs.JobError as error:
        raise AppError(str(error)) from error
    jobs.forget(folder, job.name)
    st.rerun()


def shown_place(place: Path, folder: Path) -> str:
    """A place as a word of a command that is called in the app's folder."""
    return str(place.relative_to(folder) if place.is_relative_to(folder) else place)
