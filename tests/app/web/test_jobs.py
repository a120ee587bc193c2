"""Jobs: processes that a page starts, found again by whoever looks, stopped politely, and resumed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.runs.progress_file import Phase, ProgressFile, read_phases
from app.runs.settings import resolve
from app.runs.training import train_run
from app.web import jobs
from app.web.jobs import FAILED, FINISHED, RUNNING, STOPPED, Job, JobError
from data.schema import Dataset
from tests.e2e.crashes import assert_same, ignore

UPDATES, EVALUATIONS = 400, 40


def until(met: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def only(folder: Path) -> Job:
    return jobs.jobs(folder)[0]


def record(folder: Path, name: str = "1", **kept: object) -> Path:
    """A record made by hand."""
    made = folder / jobs.FOLDER / name
    made.mkdir(parents=True)
    (made / jobs.ERR).touch()
    told = {"words": ["train"], "place": str(folder / "runs" / "a"), "started": 1.0, "pid": os.getpid()}
    (made / jobs.RECORD).write_text(json.dumps(told | kept))
    return made


def test_a_training_is_found_again_stopped_and_resumed_to_the_same_bits(
    tiny: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "mine"
    sets = ["--updates", str(UPDATES), "--evaluations", str(EVALUATIONS), "--checkpoint-every", "50"]
    words = ["train", "--data", str(tiny), "--out", "runs/mine", "--algorithm", "persa-fl", *sets]
    name = jobs.start(tmp_path, words, run)
    job = only(tmp_path)  # as another tab, or another server, would find it
    assert (job.name, job.state, job.words, job.place) == (name, RUNNING, tuple(words), run)
    assert not job.resumable
    with pytest.raises(JobError, match="mine is being worked on already"):
        jobs.start(tmp_path, ["resume", "runs/mine"], run)
    until(lambda: any((run / "checkpoints").glob("*")) or only(tmp_path).state != RUNNING)
    jobs.stop(tmp_path, name)
    until(lambda: only(tmp_path).state != RUNNING)
    job = only(tmp_path)
    assert job.state == STOPPED, job.said
    assert job.resumable
    assert "Go on with: persarank resume runs/mine" in job.said
    assert [phase.name for phase in job.phases][:2] == ["reading", "features"]
    training = next(phase for phase in job.phases if phase.name == "persa-fl")
    assert 50 <= training.done < UPDATES
    jobs.start(tmp_path, ["resume", "runs/mine"], run)
    until(lambda: only(tmp_path).state != RUNNING)
    job = only(tmp_path)
    assert (job.state, job.kind, job.resumable) == (FINISHED, "resume", False), job.said
    assert "Trained persa-fl × mlp" in job.printed
    whole = tmp_path / "whole"
    given = {"algorithm": "persa-fl", "updates": UPDATES, "evaluations": EVALUATIONS, "checkpoint_every": 50}
    train_run(resolve(given, {}), tiny, tiny_dataset, whole, ignore)
    assert_same(run, whole)


def test_a_failed_command_says_why_and_a_killed_one_is_stopped(tmp_path: Path) -> None:
    failed = jobs.start(tmp_path, ["data", "check", "nothing"], tmp_path / "nothing")
    killed = jobs.start(tmp_path, ["data", "simulate", "--out", "s", "--users", "9999"], tmp_path / "s")

    def states() -> dict[str, jobs.Job]:
        return {job.name: job for job in jobs.jobs(tmp_path)}

    until(lambda: bool(states()[killed].phases))
    assert states()[killed].phases[0].name == "simulating"
    jobs.stop(tmp_path, killed, at_once=True)
    until(lambda: all(job.state != RUNNING for job in states().values()))
    assert (states()[failed].state, states()[killed].state) == (FAILED, STOPPED)
    assert states()[failed].said == "nothing is not a PersaRank dataset: it has no manifest.json."
    assert "ended from outside" in states()[killed].said
    assert not states()[killed].resumable
    jobs.forget(tmp_path, killed)
    assert list(states()) == [failed]


def test_a_number_that_is_used_again_is_not_taken_for_the_job(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        record(tmp_path, pid=other.pid)  # whose process has ended: nobody holds its lock
        assert only(tmp_path).state == STOPPED
        jobs.stop(tmp_path, "1")
        jobs.stop(tmp_path, "1", at_once=True)
        time.sleep(0.1)
        assert other.poll() is None, "another process was ended"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"words": "train"}', b"\xff"])
def test_a_damaged_record_is_told_and_can_be_removed(content: bytes, tmp_path: Path) -> None:
    (record(tmp_path) / jobs.RECORD).write_bytes(content)
    job = only(tmp_path)
    assert (job.state, job.said, job.words, job.resumable) == (FAILED, "its record is damaged.", (), False)
    jobs.forget(tmp_path, "1")
    assert jobs.jobs(tmp_path) == []


def test_names_are_looked_up_and_no_path_is_made_of_them(tmp_path: Path) -> None:
    """Every name stays below this test's own folder: were the look-up lost, this is what would be removed."""
    app, kept = tmp_path / "app", tmp_path / "kept"
    record(app)
    kept.mkdir()
    (kept / jobs.ERR).touch()
    for name in ("../../kept", str(kept), "..", ".", "", "1/", "2"):
        jobs.forget(app, name)
        jobs.stop(app, name)
    assert (kept / jobs.ERR).is_file()
    assert len(jobs.jobs(app)) == 1


def test_only_the_files_of_a_record_are_removed(tmp_path: Path) -> None:
    (record(tmp_path) / "mine").touch()
    jobs.forget(tmp_path, "1")
    assert [file.name for file in (tmp_path / jobs.FOLDER / "1").iterdir()] == ["mine"]


def test_no_more_than_some_at_once(tmp_path: Path) -> None:
    held = []
    for number in range(jobs.MOST):
        place = record(tmp_path, str(number), place=str(tmp_path / str(number)))
        held.append((place / jobs.ERR).open("ab"))
        fcntl.flock(held[-1], fcntl.LOCK_EX)
    with pytest.raises(JobError, match=f"{jobs.MOST} jobs are at work"):
        jobs.start(tmp_path, ["list"], tmp_path / "new")
    jobs.forget(tmp_path, "0")
    assert len(jobs.jobs(tmp_path)) == jobs.MOST, "one that is at work is not forgotten"
    for lock in held:
        lock.close()


def test_what_cannot_be_an_argument_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Nothing can be started in "):
        jobs.start(tmp_path, ["data", "import", "a\0b"], tmp_path / "new")
    assert jobs.jobs(tmp_path) == []


def test_a_job_that_cannot_be_written_down_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    killed: list[tuple[int, int]] = []
    kill = os.kill
    monkeypatch.setattr(os, "kill", lambda *how: (killed.append(how), kill(*how)))
    monkeypatch.setattr(jobs, "write_bytes", full)
    with pytest.raises(JobError, match=f"^Nothing can be started in {tmp_path}: No space left on device"):
        jobs.start(tmp_path, ["list"], tmp_path / "new")
    assert [number for _, number in killed] == [signal.SIGKILL]
    assert jobs.jobs(tmp_path) == []


def test_a_folder_in_which_nothing_can_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(where: Path, now: float) -> Path:
        raise PermissionError(13, "Permission denied", str(where))

    monkeypatch.setattr(jobs, "_new", refused)
    with pytest.raises(JobError, match=f"^Nothing can be started in {tmp_path}: Permission denied\\.$"):
        jobs.start(tmp_path, ["list"], tmp_path / "new")


def test_phases_tell_how_long_they_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "time", lambda: now)
    file = ProgressFile(tmp_path / "progress")
    file.tell("reading", 0, 1)
    file.tell("reading", 1, 1)
    file.tell("training", 40, 100, "NMRR 0.5")  # a training that is resumed
    now = 110.0
    file.tell("training", 60, 100, "NMRR 0.6")
    reading, training = read_phases(tmp_path / "progress")
    assert reading.left is None
    assert training == Phase("training", 60, 100, "NMRR 0.6", 100.0, 110.0, 40)
    assert training.left == 20.0, "20 took 10 seconds, and 40 are left"
    now = 110.1
    file.tell("training", 70, 100)
    assert read_phases(tmp_path / "progress")[1].done == 60, "it is not written at every update"
    file.tell("training", 100, 100)
    assert read_phases(tmp_path / "progress")[1].done == 100, "but the end is"
    (tmp_path / "progress").write_text("{")
    assert read_phases(tmp_path / "progress") == []
    ProgressFile(tmp_path / "none" / "progress").tell("reading", 0, 1)
