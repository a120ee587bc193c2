"""Runs that are killed or interrupted go on from their last checkpoint and end with the same bytes."""

import json
import zlib
from pathlib import Path

import pytest

from data.randomness import generator
from tests.e2e.crashes import (
    BAD_RUN,
    CHECKPOINT,
    INTERRUPTED,
    KILLED,
    METRICS,
    MODEL,
    OK,
    SUMMARY,
    Cli,
    Kill,
    Run,
    assert_same,
    assert_sentence,
    job,
    result,
    summary,
)


def at_random(chain: str, step: int, most: int) -> Kill:
    """A random line of the metrics, of the first so many that a process writes."""
    return ("written", METRICS, int(generator(step, "kill", zlib.crc32(chain.encode())).integers(1, most)))


CHAINS: dict[str, tuple[list[object], list[Kill]]] = {
    "fedavg": (
        ["--updates", 200, "--checkpoint-every", 20, "--set", "cohort=4"],
        [
            at_random("fedavg", 0, 16),
            ("half", CHECKPOINT, 2),
            ("whole", CHECKPOINT, 1),
            ("named", CHECKPOINT, 2),
            ("removed", CHECKPOINT, 1),
            ("half", MODEL, 1),
        ],
    ),
    "fedbuff": (
        ["--updates", 200, "--checkpoint-every", 20, "--set", "buffer=3"],
        [
            at_random("fedbuff", 0, 16),
            at_random("fedbuff", 1, 16),
            ("removed", CHECKPOINT, 2),
            ("named", MODEL, 1),
            ("whole", SUMMARY, 1),
        ],
    ),
    "persa-fl-me": (
        ["--updates", 60, "--checkpoint-every", 10],
        [
            ("written", METRICS, 1),
            at_random("persa-fl-me", 1, 30),
            ("half", CHECKPOINT, 1),
            at_random("persa-fl-me", 3, 30),
            ("named", SUMMARY, 1),
        ],
    ),
    "local": (
        ["--updates", 400, "--checkpoint-every", 40],
        [
            ("half", CHECKPOINT, 1),
            at_random("local", 1, 16),
            ("whole", CHECKPOINT, 2),
            ("named", "model.json", 1),
            ("removed", CHECKPOINT, 1),
        ],
    ),
    "persa-fl-maml": (
        ["--updates", 100, "--checkpoint-every", 10],
        [
            at_random("persa-fl-maml", 0, 60),
            at_random("persa-fl-maml", 1, 25),
            ("removed", CHECKPOINT, 1),
            ("half", "model.json", 1),
            ("half", SUMMARY, 1),
        ],
    ),
    "pars-push": (
        ["--updates", 120, "--checkpoint-every", 20, "--set", "maml_steps=1"],
        [
            at_random("pars-push", 0, 8),
            ("half", CHECKPOINT, 2),
            ("removed", CHECKPOINT, 1),
            at_random("pars-push", 3, 3),
            ("whole", SUMMARY, 1),
        ],
    ),
}


def test_there_are_25_kills() -> None:
    assert sum(len(kills) for _, kills in CHAINS.values()) >= 25


@pytest.mark.parametrize("algorithm", CHAINS)
def test_killed_and_resumed_until_the_end_gives_the_same_files(
    algorithm: str, tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    """Every process of a chain is killed at its moment, and each goes on where the one before was."""
    options, kills = CHAINS[algorithm]
    whole, run = tmp_path / "whole", tmp_path / "run"
    train = ["train", "--data", tiny, "--algorithm", algorithm, "--evaluations", 5]
    train += ["--set", "personal_samples=5", *options, "--out"]
    commands = [[*train, run]] + [["resume", run]] * len(kills)
    jobs = [job(*pair) for pair in zip(commands, [*kills, None], strict=True)]
    codes, err = run_jobs(*jobs, beside=[*train, whole])
    assert codes == [KILLED] * len(kills) + [OK], err
    assert_same(run, whole)


@pytest.mark.parametrize(
    ("kills", "code"),
    [("SIGKILL", KILLED), *((name, INTERRUPTED) for name in ("SIGINT", "SIGTERM", "SIGHUP"))],
)
def test_nothing_is_lost_while_personal_models_are_found(
    kills: str, code: int, tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    """No checkpoint was due before: that of the end is made before the users' own models are found."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    train = ["train", "--data", tiny, "--algorithm", "persa-fl-me", "--updates", 40, "--evaluations", 2]
    stopped = job([*train, "--out", run], ("personal", "*", 2), signal=kills)
    codes, err = run_jobs(stopped, job(["list"]), beside=[*train, "--out", whole])
    assert codes[0] == code, err
    if code == INTERRUPTED:
        assert "interrupted: the last checkpoint is that after 40 updates" in err
        assert f"persarank resume {run}" in err
    assert not (run / MODEL).exists()
    assert len(list((run / "checkpoints").glob(CHECKPOINT))) == 1
    codes, err = run_jobs(job(["resume", run]))
    assert codes == [OK], err
    assert_same(run, whole)


def test_who_stops_training_gets_the_model_so_far_and_may_stop_that_too(
    tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    """A first Ctrl-C ends training, and the users' own models are found; a second one ends that."""
    run, again = tmp_path / "run", tmp_path / "again"
    train = ["train", "--data", tiny, "--algorithm", "persa-fl-me", "--updates", 400, "--evaluations", 2]
    once = job([*train, "--out", run], ("written", METRICS, 30), signal="SIGINT")
    twice = job(
        [*train, "--out", again], ("written", METRICS, 30), signal="SIGINT", again=("personal", "*", 2)
    )
    codes, err = run_jobs(once, twice)
    assert codes == [INTERRUPTED, INTERRUPTED], err
    assert "the model so far is saved" in err
    assert (run / MODEL).exists()
    assert not (again / MODEL).exists()
    assert "interrupted: the last checkpoint is that after" in err


@pytest.mark.parametrize("place", [("features", "*", 1), ("features", "*", 3)])
def test_who_stops_before_training_has_no_model_and_no_run(
    place: Kill, tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    run = tmp_path / "run"
    train = ["train", "--data", tiny, "--algorithm", "persa-fl-me", "--updates", 40, "--out", run]
    codes, err = run_jobs(job(train, place, signal="SIGINT"))
    assert codes == [INTERRUPTED], err
    assert "interrupted before there was anything to save" in err
    assert not run.exists()


def test_trees_killed_while_they_are_fitted_are_fitted_anew(
    tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    train = ["train", "--data", tiny, "--algorithm", "local", "--ranker", "forest"]
    train += ["--set", "n_estimators=3", "--out"]
    codes, err = run_jobs(
        job([*train, run], ("named", METRICS, 1)),
        job(["resume", run], ("named", "user-00007.skops", 1)),
        job(["resume", run]),
        beside=[*train, whole],
    )
    assert codes == [KILLED, KILLED, OK], err
    assert result(run) == result(whole)


def test_killed_before_the_config_is_written_is_no_run(
    tiny: Path, tmp_path: Path, run_jobs: Run, cli: Cli
) -> None:
    train = ["train", "--data", tiny, "--out", tmp_path / "run"]
    codes, _ = run_jobs(job(train, ("half", "config.toml", 1)))
    assert codes == [KILLED]
    assert_sentence(cli("resume", tmp_path / "run"), BAD_RUN, "is not a run directory")
    assert_sentence(cli("evaluate", tmp_path / "run"), BAD_RUN, "is not a run directory")


# interrupted by their user


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run_can_be_judged_at_once_and_resumed_later(
    signal: str, tiny: Path, tmp_path: Path, run_jobs: Run, cli: Cli
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    train = ["train", "--data", tiny, "--algorithm", "fedbuff", "--updates", 200, "--set", "buffer=3"]
    train += ["--checkpoint-every", 1000, "--evaluations", 5, "--out"]
    codes, err = run_jobs(job([*train, run], ("written", METRICS, 23), signal=signal), beside=[*train, whole])
    assert codes == [INTERRUPTED], err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    told = summary(run)
    assert told["finished"] is False
    assert f"stopped after {told['updates']} updates; the model so far is saved in {run}." in err
    assert f"persarank resume {run}" in err
    merges = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    assert len(merges) == 23, "the merge at hand was the last"
    assert told["updates"] == merges[-1]["updates"]
    judged = cli("evaluate", run, "--json")
    assert judged.code == OK, judged.err
    assert (run / "report.json").is_file()
    again, err = run_jobs(
        job(["resume", run], ("written", METRICS, 7), signal=signal),
        job(["resume", run], ("written", METRICS, 7)),
        job(["resume", run]),
    )
    assert again == [INTERRUPTED, KILLED, OK], err
    assert_same(run, whole)
    assert not (run / "report.json").exists(), "it judged another model"


def test_a_second_request_ends_at_once_and_says_how_to_go_on(
    tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    """The first is noticed; the second comes while the model is being saved."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    train = ["train", "--data", tiny, "--algorithm", "fedbuff", "--updates", 200, "--set", "buffer=3"]
    train += ["--checkpoint-every", 30, "--evaluations", 5, "--out"]
    twice = job([*train, run], ("written", METRICS, 23), signal="SIGINT", again=("whole", MODEL, 1))
    codes, err = run_jobs(twice, beside=[*train, whole])
    assert codes == [INTERRUPTED], err
    assert f"persarank resume {run}" in err
    assert "Traceback" not in err
    codes, err = run_jobs(job(["resume", run]))
    assert codes == [OK], err
    assert_same(run, whole)
