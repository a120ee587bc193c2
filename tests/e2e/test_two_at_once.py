"""Two processes at one place: exactly one writes there, by its own settings, and the other is told."""

import json
import tomllib
from pathlib import Path

import pytest

from data.storage import read
from tests.e2e.crashes import CHECKPOINT, KILLED, OK, Host, Run, job

BAD_DATA, BAD_RUN = 3, 5
TRIES = 4


def raced(hosts: tuple[Host, Host], *commands: list[object]) -> list[tuple[int, str]]:
    """How each of two commands ended that were begun at once: its exit code, and what it said."""
    for host, command in zip(hosts, commands, strict=True):
        host.start(job(command))
    return [(codes[0], said) for codes, said in (host.ended() for host in hosts)]


def assert_one_won(ends: list[tuple[int, str]], loses: int) -> int:
    """Which of the two; the other got one sentence."""
    assert sorted(code for code, _ in ends) == [OK, loses], ends
    won = [code for code, _ in ends].index(OK)
    said = ends[1 - won][1]
    assert len(said.splitlines()) == 1, said
    assert any(part in said for part in ("by another process", "exists and")), said
    return won


def train(data: Path, out: Path, seed: int) -> list[object]:
    options = ["--algorithm", "fedavg", "--updates", 40, "--evaluations", 2, "--checkpoint-every", 10]
    return ["train", "--data", data, "--out", out, "--seed", seed, *options, "--json"]


@pytest.mark.parametrize("attempt", range(TRIES))
def test_one_of_two_trains(attempt: int, tiny: Path, tmp_path: Path, hosts: tuple[Host, Host]) -> None:
    run = tmp_path / "runs" / "run"
    won = assert_one_won(raced(hosts, train(tiny, run, 1), train(tiny, run, 2)), BAD_RUN)
    assert tomllib.loads((run / "config.toml").read_text())["run"]["seed"] == won + 1
    assert json.loads((run / "summary.json").read_text())["seed"] == won + 1
    assert not [path.name for path in tmp_path.rglob(".*")]


@pytest.mark.parametrize("attempt", range(TRIES))
def test_one_that_fails_takes_nothing_from_the_other(
    attempt: int, tiny: Path, tmp_path: Path, hosts: tuple[Host, Host]
) -> None:
    run = tmp_path / "runs" / "run"
    bad, good = raced(
        hosts, [*train(tiny, run, 1), "--set", "lr=1e30", "--checkpoint-every", 1000], train(tiny, run, 2)
    )
    assert (bad[0], good[0]) in ((4, OK), (4, BAD_RUN), (BAD_RUN, OK))
    assert run.exists() == (good[0] == OK)
    assert "No such file" not in bad[1] + good[1]
    if good[0] == OK:
        assert json.loads((run / "summary.json").read_text())["seed"] == 2
    else:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first", ["train", "resume"])
def test_one_of_two_goes_on(
    first: str, tiny: Path, tmp_path: Path, hosts: tuple[Host, Host], run_jobs: Run
) -> None:
    run = tmp_path / "run"
    codes, err = run_jobs(job(train(tiny, run, 1), ("named", CHECKPOINT, 1)))
    assert codes == [KILLED], err
    other = train(tiny, run, 2) if first == "train" else ["resume", run]
    ends = raced(hosts, other, ["resume", run])
    if first == "train":
        assert assert_one_won(ends, BAD_RUN) == 1
    else:  # the second may find the run finished
        assert OK in (ends[0][0], ends[1][0])
        assert {code for code, _ in ends} <= {OK, BAD_RUN}
    assert json.loads((run / "summary.json").read_text())["seed"] == 1


@pytest.mark.parametrize("attempt", range(TRIES))
def test_one_of_two_datasets_appears(attempt: int, tmp_path: Path, hosts: tuple[Host, Host]) -> None:
    out = tmp_path / "deep" / "data"
    commands = [["data", "simulate", "--users", 3, "--seed", seed, "--out", out, "--json"] for seed in (1, 2)]
    won = assert_one_won(raced(hosts, *commands), BAD_DATA)
    assert read(out, truth=True).manifest["options"]["seed"] == won + 1
    assert not [path.name for path in tmp_path.rglob(".*")]
    assert [path.name for path in out.parent.iterdir()] == ["data"]


def test_reports_of_two_judges_at_once_are_whole(
    tiny: Path, tmp_path: Path, hosts: tuple[Host, Host], run_jobs: Run
) -> None:
    run = tmp_path / "run"
    assert run_jobs(job(train(tiny, run, 1)))[0] == [OK]
    for _ in range(TRIES):
        ends = raced(hosts, ["evaluate", run], ["evaluate", run])
        assert ends == [(OK, ""), (OK, "")]
        assert json.loads((run / "report.json").read_text())["result"]["seed"] == 1
