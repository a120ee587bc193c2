"""Signals at a chosen moment of a command: nothing half-written stays, and what was ignored is ignored."""

from pathlib import Path

import pytest

from tests.e2e.crashes import INTERRUPTED, METRICS, MODEL, OK, Run, assert_same, job
from tests.e2e.hostile import INSTALLED, start

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
NOTHING = "persarank: interrupted before there was anything to save.\n"


def log(path: Path) -> Path:
    rows = [f"u{n % 7},2024-01-{n % 28 + 1:02d},word{n % 11} other{n % 5}" for n in range(400)]
    path.write_text("\n".join(["who,when,what", *rows]) + "\n")
    return path


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("table", ["users.parquet", "slates.parquet"])
@pytest.mark.parametrize("source", ["simulate", "import"])
def test_a_dataset_that_is_interrupted_leaves_nothing(
    source: str, table: str, signal: str, tmp_path: Path, run_jobs: Run
) -> None:
    place, asked = tmp_path / "place", ["--users", 5]
    place.mkdir()
    if source == "import":
        asked = [log(tmp_path / "log.csv"), "--user", "who", "--time", "when", "--query", "what"]
    make = ["data", source, *asked, "--out", place / "out"]
    codes, err = run_jobs(job(make, ("summed", table, 1), signal=signal))
    assert (codes, err) == ([INTERRUPTED], NOTHING)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_evaluation_that_is_interrupted_says_so(
    signal: str, whole: Path, tmp_path: Path, run_jobs: Run
) -> None:
    (whole / "report.json").unlink(missing_ok=True)
    codes, err = run_jobs(job(["evaluate", whole], ("half", "report.json", 1), signal=signal))
    assert (codes, err) == ([INTERRUPTED], NOTHING)
    assert not list(whole.glob("report.json*"))


@pytest.mark.parametrize("signal", SIGNALS)
def test_what_was_ignored_when_the_program_came_is_ignored(
    signal: str, tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    """As SIGINT is in the background, and SIGHUP under nohup; the other signals are still heard."""
    run, other, whole = tmp_path / "run", tmp_path / "other", tmp_path / "whole"
    train = [
        "train",
        "--data",
        tiny,
        "--algorithm",
        "fedbuff",
        "--updates",
        100,
        "--set",
        "buffer=3",
        "--out",
    ]
    place = ("written", METRICS, 9)
    heard = SIGNALS[SIGNALS.index(signal) - 1]
    codes, err = run_jobs(
        job([*train, run], place, signal=signal, ignored=[signal]),
        job([*train, other], place, signal=heard, ignored=[signal]),
        beside=[*train, whole],
    )
    assert codes == [OK, INTERRUPTED], err
    assert_same(run, whole)


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_wish_that_comes_while_the_model_is_saved_comes_too_late(
    signal: str, tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    """Nothing is lost, though there is no checkpoint to go on from."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    train = ["train", "--data", tiny, "--algorithm", "fedavg", "--updates", 40, "--evaluations", 0, "--out"]
    codes, err = run_jobs(job([*train, run], ("whole", MODEL, 1), signal=signal), beside=[*train, whole])
    assert codes == [OK], err
    assert_same(run, whole)


@pytest.mark.parametrize("second", SIGNALS)
def test_two_wishes_at_once_lose_nothing(second: str, tiny: Path, tmp_path: Path, run_jobs: Run) -> None:
    """As when a terminal interrupts a whole group, and the parent its children."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    train = ["train", "--data", tiny, "--algorithm", "persa-fl-me", "--updates", 60, "--evaluations", 0]
    train += ["--set", "personal_samples=5", "--out"]
    place = ("written", METRICS, 23)
    codes, err = run_jobs(
        job([*train, run], place, signal="SIGINT", again=place, second=second),
        job(["resume", run]),
        beside=[*train, whole],
    )
    assert codes == [INTERRUPTED, OK], err
    assert "interrupted: the last checkpoint is that after 23 updates." in err
    assert_same(run, whole)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("place", ["half", "whole", "named"])
def test_a_run_that_is_interrupted_while_it_is_made_leaves_nothing(
    place: str, signal: str, tiny: Path, tmp_path: Path, run_jobs: Run
) -> None:
    train = ["train", "--data", tiny, "--updates", 40, "--out", tmp_path / "run"]
    codes, err = run_jobs(job(train, (place, "config.toml", 1), signal=signal))
    assert (codes, err) == ([INTERRUPTED], NOTHING)
    assert list(tmp_path.iterdir()) == []


def test_signals_come_too_late_also_while_python_ends() -> None:
    """It no longer hears what it heard: unless they are ignored, they kill it, with all said and done."""
    heard = "print(*(signal.getsignal(number).name for number in SIGNALS), file=sys.stderr)"
    program = "import atexit, signal\nfrom app.runs.signals import SIGNALS\n"
    program += f"atexit.register(lambda: {heard})\nfrom persarank import main\nmain()"
    process = start(INSTALLED + program, "list", "--json")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (OK, "SIG_IGN SIG_IGN SIG_IGN\n")
