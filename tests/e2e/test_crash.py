"""Kills, damage and full disks: a run goes on from its last checkpoint and ends with the same bytes."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from app.runs import open_started
from app.settings import resolve
from app.train import resume_run, train_run
from data.randomness import generator
from data.schema import Dataset, write
from data.simulator import simulate
from federated.training import Event

ROOT = Path(__file__).resolve().parents[2]
OK, INTERRUPTED, BAD_RUN = 0, 1, 5
KILLED = -9
METRICS, MODEL, SUMMARY = "metrics.jsonl", "model.safetensors", "summary.json"
CHECKPOINT = "*-*.safetensors"


class Called(Protocol):
    code: int
    out: str
    err: str


Cli = Callable[..., Called]


# killed processes


class Host:
    """`tests.e2e.killed`, in whose forks commands are run and killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.e2e.killed"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PERSARANK_DEBUG": ""}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1
        )

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *error: object) -> None:
        with self._process:  # closing its stdin ends it
            pass

    def start(self, *jobs: dict[str, Any]) -> None:
        """Begin with these jobs, one after the other."""
        self._process.stdin.write(json.dumps(jobs, default=str) + "\n")

    def ended(self) -> tuple[list[int], str]:
        """The jobs' exit codes, and what they said on stderr."""
        codes, said = zip(*json.loads(self._process.stdout.readline()), strict=True)
        return list(codes), "".join(said)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two, for two at once."""
    with Host() as first, Host() as second:
        yield first, second


@pytest.fixture
def run_jobs(hosts: tuple[Host, Host]) -> Callable[..., tuple[list[int], str]]:
    """Run some jobs, and meanwhile another that must end well."""

    def call(*jobs: dict[str, Any], beside: list[object] | None = None) -> tuple[list[int], str]:
        if beside:
            hosts[1].start(job(beside))
        hosts[0].start(*jobs)
        result = hosts[0].ended()
        if beside:
            assert hosts[1].ended()[0] == [OK]
        return result

    return call


Run = Callable[..., tuple[list[int], str]]
Kill = tuple[str, str, int]


def job(arguments: list[object], kill: Kill | None = None, **more: Any) -> dict[str, Any]:
    """A command, and perhaps when it is killed."""
    killed = {"kill": kill, "signal": "SIGKILL"} if kill else {}
    return {"arguments": [str(a) for a in arguments], **killed, **more}


def result(run: Path) -> dict[str, bytes]:
    """Every file of a run whose bytes the seed decides."""
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.name != SUMMARY)
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def summary(run: Path) -> dict[str, Any]:
    """The summary without what depends on the clock and the place."""
    told = json.loads((run / SUMMARY).read_text())
    return {key: told[key] for key in told if key not in ("run", "seconds", "updates_per_second")}


def assert_same(run: Path, whole: Path) -> None:
    assert result(run) == result(whole)
    assert summary(run) == summary(whole)
    assert MODEL in result(run)


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
    train = ["train", "--data", tiny, "--algorithm", algorithm, "--evaluations", 5, *options, "--out"]
    commands = [[*train, run]] + [["resume", run]] * len(kills)
    jobs = [job(*pair) for pair in zip(commands, [*kills, None], strict=True)]
    codes, err = run_jobs(*jobs, beside=[*train, whole])
    assert codes == [KILLED] * len(kills) + [OK], err
    assert_same(run, whole)


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


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
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


# crashed in this process


class Crash(BaseException):
    """What no handler of the product takes."""


TRAIN = {"algorithm": "persa-fl", "updates": 100, "evaluations": 5, "checkpoint_every": 20}


def ignore(event: Event) -> None:
    pass


def crash_at(updates: int) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if event.updates >= updates:
            raise Crash

    return watch


@pytest.fixture(scope="module")
def whole(tiny: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train_run(resolve(TRAIN, {}), tiny, tiny_dataset, out, ignore)
    return out


@pytest.fixture(scope="module")
def crashed(tiny: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, crashed after 70 updates; use `run`, a copy, to spoil."""
    out = tmp_path_factory.mktemp("crashed") / "run"
    with pytest.raises(Crash):
        train_run(resolve(TRAIN, {}), tiny, tiny_dataset, out, crash_at(70))
    return out


@pytest.fixture
def run(crashed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(crashed, tmp_path / "run"))


def checkpoints(run: Path) -> list[Path]:
    """Newest last."""
    return sorted((run / "checkpoints").glob(CHECKPOINT))


def assert_sentence(called: Called, code: int, *parts: str) -> None:
    """One sentence on stderr with these parts, and this exit code."""
    assert called.code == code, called.err
    assert called.err.startswith("persarank: ")
    assert len(called.err.splitlines()) == 1, called.err
    for part in parts:
        assert part in called.err


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
    """Checkpoints are there until the run is finished, says `app.runs`."""
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
    with (run / "config.toml").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
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


# full disks


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
