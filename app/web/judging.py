"""What is known of some runs, judged once for all visitors, and again only if a run changes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.reports.evidence import figures
from app.reports.evidence.differences import compared
from app.reports.evidence.gathering import gather
from app.reports.evidence.groups import OWN, grouped
from app.runs.directory import RunError
from app.web.opened import checksum, opened

SPLIT = "test"
Users = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class JudgedRuns:
    """Judged runs.

    Attributes:
        datasets: what `persarank report --json` prints of each.
        left_out: which runs are not among them, and why.
        own: by fingerprint of a dataset, metric and letter of a group: (U,) how good users' own rankings are.
    """

    datasets: list[dict[str, Any]]
    left_out: list[dict[str, str]]
    own: dict[str, dict[str, Users]]


def judge_runs(runs: dict[str, Path]) -> JudgedRuns:
    """Judge runs, by name, on the test slates."""
    return _judge(tuple(runs.values()), opened().moved, tuple(map(checksum, runs.values())))


@st.cache_resource(max_entries=4, show_spinner="Judging the runs on held-out searches …")
def _judge(runs: tuple[Path, ...], moved: tuple[Path, ...], checksums: tuple[str, ...]) -> JudgedRuns:
    """Judged anew whenever a checksum changes. Of what was gathered only figures are kept, for memory."""
    told: list[str] = []
    try:
        gathered = gather(runs, moved, SPLIT, warn=told.append)
    except RunError:  # which only says that none is left
        return JudgedRuns([], [{"run": "", "why": why.removeprefix("left out: ")} for why in told], {})
    report = figures.report(gathered, SPLIT)
    own: dict[str, dict[str, Users]] = {}
    for dataset, judged in zip(report["datasets"], gathered.datasets(), strict=True):
        groups = grouped(judged, lambda run, why: None)
        own[dataset["fingerprint"]] = {
            metric: {g.letter: values for g in groups if (values := g.users(OWN, metric)) is not None}
            for metric in dataset["between"]
        }
    return JudgedRuns(report["datasets"], report["left_out"], own)


def beside(users: Users, base: str) -> dict[str, dict[str, Any]]:
    """By letter: how every other group differs from one of them; one family of comparisons."""
    others = [letter for letter in users if letter != base]
    heads = [{"group": letter, "against": base} for letter in others]
    found = compared(heads, [users[letter] - users[base] for letter in others])
    return dict(zip(others, found, strict=True))
