"""Learning curves and staleness are read as they were written, and damage is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.reports.evidence.gathering import Gathered
from app.reports.evidence.groups import grouped
from app.reports.evidence.learning import _averaged, journal, learned, training
from app.runs.directory import RunError


def merged(updates: int, time: float, *staleness: int) -> dict[str, Any]:
    return {"event": "merged", "updates": updates, "time": time, "staleness": list(staleness)}


def evaluated(updates: int, nmrr: float) -> dict[str, Any]:
    return {"event": "evaluated", "updates": updates, "metrics": {"nmrr": nmrr, "loss": 1.0}}


def written(folder: Path, *events: dict[str, Any]) -> Path:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def test_curves_and_staleness_of_a_file(tmp_path: Path) -> None:
    events = (merged(2, 1.5, 0, 3), evaluated(2, 0.5), merged(4, 2.5, 3, 10), evaluated(4, 0.625))
    told = journal(written(tmp_path, *events))
    assert told["curve"] == {"updates": [2, 4], "virtual_time": [1.5, 2.5], "nmrr": [0.5, 0.625]}
    assert told["staleness"] == {"0": 1, "3": 2, "10": 1}


def test_seeds_are_averaged_where_all_were_looked_at() -> None:
    one = {"updates": [2.0, 4.0, 6.0], "virtual_time": [1.0, 2.0, 3.0], "nmrr": [0.5, 0.6, 0.7]}
    two = {"updates": [2.0, 6.0], "virtual_time": [2.0, 5.0], "nmrr": [0.25, 0.9]}
    assert _averaged([one, two]) == {
        "updates": [2, 6],
        "virtual_time": [1.5, 4.0],
        "nmrr": pytest.approx([0.375, 0.8]),
        "lowest": [0.25, 0.7],
        "highest": [0.5, 0.9],
    }
    assert _averaged([])["updates"] == []


LINES = [
    "{",
    "{}",
    '{"event": "merged"}',
    "[1]",
    "7",
    *(
        f'{{"event": "merged", "updates": 2, "time": 1, "staleness": {odd}}}'
        for odd in ("[1.5]", '["a"]', '{"7": 3}', "[-3]", "[true]", "7")
    ),
    '{"event": "merged", "updates": 2, "time": NaN, "staleness": [1]}',
    '{"event": "merged", "updates": 2, "time": 1e999, "staleness": [1]}',
    '{"event": "evaluated", "updates": 2, "metrics": {"nmrr": NaN}}',
    '{"event": "evaluated", "updates": 2, "metrics": {"nmrr": "0.5"}}',
    '{"event": "evaluated", "updates": 2, "metrics": 3}',
    "[" * 100_000,
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:80])
def test_the_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    place = written(tmp_path, merged(2, 1.5, 0)) / "metrics.jsonl"
    place.write_text(place.read_text() + line + "\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl is damaged in line 2"):
        journal(tmp_path)


def test_what_is_told_of_real_runs(gathered: Gathered) -> None:
    """The staleness of a run's summary is that of its metrics file."""
    groups = grouped(gathered.judged, lambda run, why: None)
    me = learned(groups[0])
    assert me["runs"] == 2
    assert len(me["curve"]["updates"]) == 3
    told = [judged.run.summary["staleness"] for judged in groups[0].runs]
    assert me["staleness"]["max"] == max(each["max"] for each in told)
    assert me["staleness"]["mean"] == pytest.approx(sum(each["mean"] for each in told) / 2, abs=1e-3)
    assert sum(me["staleness"]["counts"].values()) == 2 * 60
    assert training(groups[3].runs[0].run)["updates"] is None, "a forest is fitted in one piece"


def test_a_missing_file_costs_the_curve_of_its_run_alone(gathered: Gathered, tmp_path: Path) -> None:
    (group, *_) = grouped(gathered.judged, lambda run, why: None)
    first, second = group.runs
    moved = replace(first, run=replace(first.run, directory=tmp_path))
    told = learned(replace(group, runs=[moved, second]))
    assert told["runs"] == 1
    assert told["curve"]["nmrr"] == journal(second.run.directory)["curve"]["nmrr"]
    (problem,) = told["problems"]
    assert str(tmp_path) in problem
