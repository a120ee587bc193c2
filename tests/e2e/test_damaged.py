"""Damaged checkpoints, lost lines, other data, two at once: a run says so, or goes on to the same bytes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.runs.directory import open_started
from app.runs.settings import resolve
from app.runs.training import resume_run, train_run
from data.folders import held
from data.schema import Dataset
from data.simulator import simulate
from data.storage import write
from federated.events import Event
from tests.e2e.crashes import (
    BAD_RUN,
    METRICS,
    OK,
    SUMMARY,
    TRAIN,
    Cli,
    Crash,
    assert_same,
    assert_sentence,
    checkpoints,
    crash_at,
    result,
)


def flip(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one bit flipped": flip,
    "emptied": lambda content: b"",
    "header alone": lambda content: content[:8],
    "something after it": lambda content: content + b"\0",
}
damages = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


def test_the_newest_two_checkpoints_are_kept(run: Path) -> None:
    assert [path.name[:10] for path in checkpoints(run)] == ["0000000040", "0000000060"]
    assert len(list((run / "checkpoints").iterdir())) == 2


def test_a_crashed_run_has_no_model_yet_and_says_how_to_go_on(run: Path, cli: Cli) -> None:
    assert_sentence(cli("evaluate", run), BAD_RUN, "is not finished", f"persarank resume {run}")


def test_a_crashed_run_resumes_to_the_same_bytes(run: Path, whole: Path, cli: Cli) -> None:
    called = cli("resume", run, "--json")
    assert (called.code, called.err) == (OK, "")
    assert json.loads(called.out) == json.loads((run / SUMMARY).read_text())
    assert_same(run, whole)


@damages
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    damage: Callable[[bytes], bytes], run: Path, whole: Path, cli: Cli
) -> None:
    before, newest = checkpoints(run)
    newest.write_bytes(damage(newest.read_bytes()))
    called = cli("resume", run, "--json")
    assert_sentence(called, OK, str(newest), "is damaged", "the one before")
    assert str(before) not in called.err
    assert_same(run, whole)


@damages
def test_both_damaged_is_a_broken_run(damage: Callable[[bytes], bytes], run: Path, cli: Cli) -> None:
    for path in checkpoints(run):
        path.write_bytes(damage(path.read_bytes()))
    before = result(run)
    assert_sentence(cli("resume", run), BAD_RUN, "no checkpoint", "is readable")
    assert result(run) == before


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_good_one(
    run: Path, whole: Path, tiny_dataset: Dataset, cli: Cli
) -> None:
    """The newest damaged, once more crashed after the next was saved, that one damaged too: one is left."""
    newest = checkpoints(run)[-1]
    newest.write_bytes(flip(newest.read_bytes()))
    with pytest.raises(Crash):
        resume_run(open_started(run), tiny_dataset, crash_at(70), lambda sentence: None)
    for path in checkpoints(run):
        if path.name[:10] == newest.name[:10]:
            path.write_bytes(DAMAGE["truncated"](path.read_bytes()))
    assert cli("resume", run).code == OK
    assert_same(run, whole)


@pytest.mark.parametrize("content", [b"", b"half of a checkpoint"])
def test_partial_files_are_ignored(content: bytes, run: Path, whole: Path, cli: Cli) -> None:
    (run / "checkpoints" / f"0000000080-{'0' * 64}.safetensors.partial").write_bytes(content)
    (run / "model.safetensors.partial").write_bytes(content)
    called = cli("resume", run, "--json")
    assert (called.code, called.err) == (OK, "")
    assert_same(run, whole)


@pytest.mark.parametrize("keep", [0, 0.5])
def test_metrics_that_lost_lines_are_a_broken_run(keep: float, run: Path, cli: Cli) -> None:
    metrics = (run / METRICS).read_bytes()
    (run / METRICS).write_bytes(metrics[: int(keep * len(metrics))])
    before = result(run)
    assert_sentence(cli("resume", run), BAD_RUN, str(run / METRICS), "has lost lines")
    assert result(run) == before


def test_metrics_written_after_the_checkpoint_are_written_again(run: Path, whole: Path, cli: Cli) -> None:
    with (run / METRICS).open("ab") as file:
        file.write(b'{"event": "merged", "upd')
    assert cli("resume", run).code == OK
    assert_same(run, whole)


def test_a_run_without_a_checkpoint_starts_anew(run: Path, whole: Path, cli: Cli) -> None:
    shutil.rmtree(run / "checkpoints")
    called = cli("resume", run, "--json")
    assert (called.code, called.err) == (OK, "")
    assert_same(run, whole)


def test_a_finished_run_is_left_as_it_is(whole: Path, tmp_path: Path, cli: Cli) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    before = result(run)
    called = cli("resume", run, "--json")
    assert_sentence(called, OK, f"{run} is finished; nothing is left to do")
    assert json.loads(called.out) == json.loads((whole / SUMMARY).read_text())
    assert result(run) == before


def test_killed_after_its_summary_a_run_is_finished_and_resuming_tidies_up(
    whole: Path, crashed: Path, tmp_path: Path, cli: Cli
) -> None:
    """Checkpoints are there until the run is finished, says `app.runs.directory`."""
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    shutil.copytree(crashed / "checkpoints", run / "checkpoints")
    assert_sentence(cli("resume", run, "--json"), OK, "is finished")
    assert_same(run, whole)


def test_only_runs_are_resumed(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    for directory in (tiny, tmp_path, tmp_path / "none"):
        assert_sentence(cli("resume", directory), BAD_RUN, f"{directory} is not a run directory")
    assert list(tmp_path.iterdir()) == []


def test_a_run_goes_on_with_its_own_data_alone(
    run: Path, whole: Path, tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    write(simulate(users=20, seed=1), tmp_path / "other")
    before = result(run)
    called = cli("resume", run, "--data", tmp_path / "other")
    assert_sentence(called, BAD_RUN, "was begun on data", "this is")
    assert result(run) == before
    moved = shutil.copytree(tiny, tmp_path / "moved")
    assert cli("resume", run, "--data", moved).code == OK
    assert_same(run, whole)


def test_a_run_goes_on_with_its_own_settings_alone(run: Path, whole: Path, cli: Cli) -> None:
    config = (run / "config.toml").read_text()
    before = result(run)
    (run / "config.toml").write_text(config.replace("lr = 0.05", "lr = 0.04"))
    assert_sentence(cli("resume", run), BAD_RUN, "were made with other settings")
    (run / "config.toml").write_text(config)
    assert result(run) == before
    assert cli("resume", run).code == OK
    assert_same(run, whole)


def test_data_that_is_gone_can_be_named(run: Path, tmp_path: Path, cli: Cli) -> None:
    """As `evaluate` says it."""
    config = (run / "config.toml").read_text()
    data = open_started(run).data
    (run / "config.toml").write_text(config.replace(str(data), str(tmp_path / "gone")))
    assert_sentence(cli("resume", run), BAD_RUN, f"{tmp_path / 'gone'} is gone; name it with --data")


# two at once


def test_two_processes_cannot_train_one_run(run: Path, whole: Path, cli: Cli) -> None:
    before = result(run)
    with held(run):
        assert_sentence(cli("resume", run), BAD_RUN, "another process")
    assert result(run) == before
    assert cli("resume", run).code == OK, "the lock ends with its holder"
    assert_same(run, whole)


@pytest.mark.parametrize("begin", ["train", "resume"])
def test_a_run_that_is_being_trained_is_left_alone(
    begin: str, run: Path, whole: Path, tiny: Path, tiny_dataset: Dataset, cli: Cli
) -> None:
    said = []

    def meanwhile(event: Event) -> None:
        if event.updates == 90 and not said:
            said.append(cli("resume", run))

    if begin == "train":
        shutil.rmtree(run)
        train_run(resolve(TRAIN, {}), tiny, tiny_dataset, run, meanwhile)
    else:
        resume_run(open_started(run), tiny_dataset, meanwhile, lambda sentence: None)
    assert_sentence(said[0], BAD_RUN, "another process")
    assert_same(run, whole)
