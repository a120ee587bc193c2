"""A disk that is full, at any moment: the last good checkpoint stays, and the run can go on from it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.crashes import (
    CHECKPOINT,
    INTERRUPTED,
    METRICS,
    MODEL,
    OK,
    SUMMARY,
    TRAIN,
    Called,
    Cli,
    Run,
    assert_same,
    assert_sentence,
    checkpoints,
    job,
)


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Let the disk be full when the nth file of a name is written."""

    def start(name: str, nth: int) -> None:
        seen = 0

        def full(file: int) -> None:
            nonlocal seen
            seen += Path(os.readlink(f"/proc/self/fd/{file}")).match(name)
            if seen >= nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)

    return start


def train(cli: Cli, tiny: Path, run: Path) -> Called:
    options = [word for key, value in TRAIN.items() for word in (f"--{key.replace('_', '-')}", value)]
    return cli("train", "--data", tiny, "--out", run, *options)


@pytest.mark.parametrize("name", [f"{CHECKPOINT}.partial", METRICS])
@pytest.mark.parametrize("nth", [2, 3, 5])
def test_a_disk_full_during_a_checkpoint_leaves_the_one_before(
    name: str,
    nth: int,
    tiny: Path,
    whole: Path,
    tmp_path: Path,
    cli: Cli,
    fill: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    fill(name, nth)
    called = train(cli, tiny, run)
    reached = f"the last checkpoint is that after {20 * (nth - 1)} updates"
    assert_sentence(called, INTERRUPTED, "No space left on device", reached, f"persarank resume {run}")
    assert called.out == ""
    assert checkpoints(run)[-1].name.startswith(f"{20 * (nth - 1):010d}")
    assert not list(run.rglob("*.partial"))
    monkeypatch.undo()
    assert cli("resume", run).code == OK
    assert_same(run, whole)


@pytest.mark.parametrize("name", ["config.toml.partial", METRICS, f"{CHECKPOINT}.partial"])
def test_a_disk_full_before_the_first_checkpoint_leaves_nothing_in_the_way(
    name: str,
    tiny: Path,
    whole: Path,
    tmp_path: Path,
    cli: Cli,
    fill: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    fill(name, 1)
    called = train(cli, tiny, run)
    assert_sentence(called, called.code, "No space left on device")
    assert called.code != OK
    assert called.out == ""
    assert not run.exists() or not list(run.iterdir())
    monkeypatch.undo()
    assert train(cli, tiny, run).code == OK
    assert_same(run, whole)


@pytest.mark.parametrize("name", [MODEL, "model.json", SUMMARY])
def test_a_disk_full_at_the_end_leaves_a_run_that_can_be_resumed(
    name: str,
    tiny: Path,
    whole: Path,
    tmp_path: Path,
    cli: Cli,
    fill: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    fill(f"{name}.partial", 1)
    called = train(cli, tiny, run)
    assert_sentence(called, INTERRUPTED, "No space left on device", f"persarank resume {run}")
    assert not (run / SUMMARY).exists()
    monkeypatch.undo()
    assert cli("resume", run).code == OK
    assert_same(run, whole)


def test_a_metrics_file_that_cannot_grow_leaves_a_run_that_can_be_resumed(
    tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    """The kernel itself refuses, as often as the file is written, and once more when it is closed."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    train = ["train", "--data", tiny, "--algorithm", "fedavg", "--updates", 400, "--set", "cohort=1"]
    train += ["--checkpoint-every", 20, "--evaluations", 5, "--out"]
    limit = 40_000
    codes, err = run_jobs(job([*train, run], limit=limit), beside=[*train, whole])
    assert (whole / METRICS).stat().st_size > limit
    assert codes == [INTERRUPTED], err
    assert "File too large" in err
    assert f"persarank resume {run}" in err
    codes, err = run_jobs(job(["resume", run]))
    assert codes == [OK], err
    assert_same(run, whole)
