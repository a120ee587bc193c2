"""An experiment's children: whatever ends their parent, they save what they do, end, and go on later."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.commands.exits import BAD_DATA, BAD_RUN, INTERRUPTED, OK, code_of
from app.experiments import children
from tests.e2e.crashes import KILLED, METRICS, MODEL, SUMMARY, checkpoints, summary
from tests.e2e.hostile import INSTALLED, start

LONG, SHORT = 10**6, 60
SENTENCE = "persarank: stopped; what is finished is kept, and the same command goes on."
PARENT = (
    INSTALLED
    + """
from app.commands.leaving import Leaving
from app.commands.printing import warn
from app.experiments.children import run_all
data, out, updates, ignored = sys.argv[1:]
with Leaving("stopped; what is finished is kept, and the same command goes on.") as leaving:
    leaving.begun()
    run_all([["train", "--json", f"--data={data}", f"--out={out}/{name}", f"--algorithm={name}",
        f"--updates={updates}", "--evaluations=1000"] for name in ("fedavg", "persa-fl-me", "fedbuff")], warn)
"""
)
IGNORING = "import signal; [signal.signal(int(n), signal.SIG_IGN) for n in sys.argv[4].split()]\n"


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def members(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, belongs = (place / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it has ended meanwhile
        if int(belongs) == session and state != "Z":
            found.append(int(place.name))
    return found


def until(met: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def learning(out: Path, number: int = 2) -> bool:
    """Whether so many runs have begun to learn."""
    return (
        sum((run / METRICS).is_file() and (run / METRICS).stat().st_size > 0 for run in out.glob("*"))
        >= number
    )


@pytest.fixture
def parent(tiny: Path, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts an experiment in a session of its own, of which nothing is left in the end."""
    begun: list[subprocess.Popen[str]] = []

    def call(updates: int = LONG, ignored: str = "") -> "subprocess.Popen[str]":
        program = INSTALLED + IGNORING + PARENT
        begun.append(start(program, tiny, tmp_path, updates, ignored))
        return begun[-1]

    yield call
    for process in begun:
        for left in members(process.pid):
            os.kill(left, signal.SIGKILL)
        process.communicate()


def assert_saved(run: Path) -> None:
    """There is a model, and a checkpoint from which its training goes on."""
    told = summary(run)
    assert told["finished"] is False
    assert told["updates"] > 0
    assert int(checkpoints(run)[-1].name[:10]) == told["updates"]
    assert (run / MODEL).is_file()


def to_parent(number: int) -> Callable[[int], None]:
    return lambda parent: os.kill(parent, number)


def to_all(number: int) -> Callable[[int], None]:
    return lambda parent: os.killpg(parent, number)


ENDS: dict[str, list[Callable[[int], None]]] = {
    "SIGTERM": [to_parent(signal.SIGTERM)],
    "Ctrl-C": [to_all(signal.SIGINT)],
    "Ctrl-C twice": [to_all(signal.SIGINT), lambda parent: time.sleep(0.1), to_all(signal.SIGINT)],
    "timeout": [to_parent(signal.SIGTERM), to_all(signal.SIGTERM)],
    "SIGKILL": [to_parent(signal.SIGKILL)],
}
"""`timeout`, as schedulers, signals the process and then its whole group."""


@pytest.mark.parametrize("end", ENDS)
def test_children_save_and_end(
    end: str, parent: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    process = parent()
    until(lambda: learning(tmp_path), 60)
    for send in ENDS[end]:
        send(process.pid)
    process.wait(timeout=children.PATIENCE)
    if end == "SIGKILL":
        assert process.returncode == KILLED
        until(lambda: not members(process.pid), 30)
    else:
        assert not members(process.pid), "children outlive their parent"
        err = process.stderr.read()
        assert process.returncode == INTERRUPTED, err
        assert err.splitlines()[-1] == SENTENCE
    runs = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert runs == ["fedavg", "persa-fl-me"], "a third was begun"
    for name in runs:
        assert_saved(tmp_path / name)


def test_what_is_ignored_stays_ignored(
    parent: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """As under nohup, and in the background of a script: the experiment goes on to its end."""
    process = parent(SHORT, f"{signal.SIGINT:d} {signal.SIGHUP:d}")
    until(lambda: learning(tmp_path, 1), 60)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGHUP)
    _, err = process.communicate(timeout=120)
    assert process.returncode == OK, err
    for name in ("fedavg", "persa-fl-me", "fedbuff"):
        assert summary(tmp_path / name)["finished"] is True


def test_a_failure_is_told_at_once_and_nothing_more_begins(tiny: Path, tmp_path: Path) -> None:
    """The other child has learned for a while, saves that, and no third one is begun."""
    train = ["train", "--json", f"--data={tiny}", "--algorithm=fedbuff", "--evaluations=1000"]
    commands = [
        [*train, f"--out={tmp_path / 'long'}", f"--updates={LONG}"],
        [*train, f"--out={tmp_path / 'broken'}", "--updates=40", f"--set=delay_trace={tmp_path}"],
        [*train, f"--out={tmp_path / 'third'}", f"--updates={SHORT}"],
    ]
    told: list[str] = []
    began = time.monotonic()
    with pytest.raises(children.ChildError) as failed:
        children.run_all(commands, told.append)
    assert time.monotonic() - began < 45
    assert "broken" in str(failed.value)
    assert not (tmp_path / "third").exists()
    assert told in ([], ["stopping; what is being trained is saved first."])
    if (tmp_path / "long" / SUMMARY).exists():
        assert_saved(tmp_path / "long")


def test_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sleeps as if it were saving, and the parent says that it waits no longer."""
    monkeypatch.setattr(children, "PATIENCE", 0.5)
    monkeypatch.setattr(
        children, "CALL", "import sys, time; time.sleep(60 if sys.argv[2] == 'sleep' else sys.exit(3))"
    )
    told: list[str] = []
    began = time.monotonic()
    with pytest.raises(children.ChildError, match=r"persarank fail: ended with exit code 3\.") as failed:
        children.run_all([["sleep"], ["fail"], ["never"]], told.append)
    assert time.monotonic() - began < 15
    assert failed.value.code == 3
    assert told == [
        "stopping; what is being trained is saved first.",
        "after 0 seconds 1 had not ended, and were killed.",
    ]


def test_a_childs_exit_code_is_the_commands() -> None:
    assert code_of(children.ChildError("", "", BAD_DATA)) == BAD_DATA
    assert code_of(children.ChildError("", "", INTERRUPTED)) == INTERRUPTED
    assert code_of(children.ChildError("", "", KILLED)) == BAD_RUN


# the wish to leave


def leave(program: str) -> tuple[int | None, str]:
    head = INSTALLED + "import os, signal, time\nfrom app.commands.leaving import Leaving\n"
    process = start(head + program)
    _, err = process.communicate(timeout=30)
    return process.returncode, err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_before_anything_has_begun_one_leaves_at_once(name: str) -> None:
    """Also where an exception would be swallowed, as in the middle of imports."""
    body = f"try: os.kill(os.getpid(), signal.{name}); time.sleep(9)\n  finally: os._exit(9)"
    code, err = leave(f"with Leaving('bye.'):\n  {body}")
    assert (code, err) == (INTERRUPTED, "persarank: bye.\n")


def test_the_same_wish_twice_is_one_and_a_later_one_is_another() -> None:
    program = """
with Leaving('bye.') as leaving:
    leaving.begun()
    for pause in (0, 0, 1.2):
        time.sleep(pause)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            print('heard nothing', file=sys.stderr)
        except KeyboardInterrupt:
            print('heard', file=sys.stderr)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1.2)
    os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(9)
"""
    assert leave(program) == (INTERRUPTED, "heard\nheard nothing\nheard\npersarank: bye.\n")
