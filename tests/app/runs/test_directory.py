"""Run directories: a run's own files are written and removed, and no others; commands can be pasted."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.experiments.workspace import alone
from app.runs.checks import ConfigError
from app.runs.directory import RunError, discard, locked, open_run
from app.runs.evaluation import evaluate, save_report
from app.runs.given import read_toml
from app.runs.settings import resolve
from app.runs.shell import command
from app.runs.training import UnfinishedError, train_run
from app.suggestions.preparation import prepare
from data.folders import LOCK, held
from data.schema import Dataset
from federated.events import Event

SMALL = {"algorithm": "fedavg", "updates": 20, "evaluations": 1}


def ignore(event: Event) -> None:
    pass


@pytest.fixture(scope="module")
def trained(tiny: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train_run(resolve(SMALL, {}), tiny, tiny_dataset, out, ignore)
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def unfinished(run: Path) -> Path:
    told = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(told | {"finished": False}))
    return run


# only what the run wrote is removed


def fail(tiny: Path, dataset: Dataset, out: Path, watch: Callable[[Event], None] = ignore) -> None:
    with pytest.raises(FloatingPointError):
        train_run(resolve(SMALL | {"algorithm": "persa-fl"}, {"lr": 1e30}), tiny, dataset, out, watch)


@pytest.mark.parametrize("name", ["NOTES.md", "model/NOTES.md", "slates/train/NOTES.md", ".git/config"])
def test_a_run_that_fails_leaves_the_files_of_others(
    name: str, tiny: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "a" / "run"

    def take_notes(event: Event) -> None:
        (out / name).parent.mkdir(exist_ok=True, parents=True)
        (out / name).write_text("mine")

    fail(tiny, tiny_dataset, out, take_notes)
    assert [p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()] == [name]


def test_a_run_that_fails_leaves_an_empty_folder_and_a_link(
    tiny: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "mine" / "lost+found").mkdir(parents=True)
    (tmp_path / "mine" / ".gitkeep").touch()
    (tmp_path / "link").symlink_to("mine")
    for out in (tmp_path / "mine", tmp_path / "link", tmp_path / "mine" / "new" / "run"):
        fail(tiny, tiny_dataset, out)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".gitkeep", "link", "lost+found", "mine"]
    train_run(resolve(SMALL, {}), tiny, tiny_dataset, tmp_path / "link", ignore)
    assert (tmp_path / "mine" / "summary.json").is_file()
    assert (tmp_path / "link").is_symlink()


def test_checkpoints_are_removed_and_nothing_beside_them(
    run: Path, tiny: Path, tiny_dataset: Dataset, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    """When a run ends well, and when `resume` finds a finished one."""

    def take_notes(event: Event) -> None:
        (out / "checkpoints").mkdir(exist_ok=True)
        (out / "checkpoints" / "NOTES.md").write_text("mine")

    out = tmp_path / "noted"
    train_run(resolve(SMALL | {"checkpoint_every": 5}, {}), tiny, tiny_dataset, out, take_notes)
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["NOTES.md"]
    shutil.copytree(out / "checkpoints", run / "checkpoints")
    assert cli("resume", run).code == 0
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["NOTES.md"]


def test_discard_removes_all_that_a_run_wrote(run: Path, tiny: Path) -> None:
    save_report(*evaluate([run], tiny, "test"))
    discard(run)
    assert list(run.iterdir()) == []


def test_the_demo_removes_only_what_it_wrote(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "slates.parquet").touch()
    (tmp_path / "fedavg").mkdir()
    (tmp_path / "fedavg" / "config.toml").touch()
    (tmp_path / "fedavg" / "NOTES.md").touch()
    with pytest.raises(RunError, match=r"fedavg exists and is not an empty directory: move away what"):
        prepare(tmp_path, users=4, updates=20)
    assert [p.name for p in (tmp_path / "fedavg").iterdir()] == ["NOTES.md"]
    (tmp_path / "fedavg" / "NOTES.md").unlink()
    prepare(tmp_path, users=4, updates=20)


# two at one place


def test_who_comes_second_gets_a_sentence(
    run: Path, tiny: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "free").mkdir()
    for out in (run, tmp_path / "free"):
        with (
            held(out),
            pytest.raises(RunError, match=f"{out} is in use by another process: choose another --out"),
        ):
            train_run(resolve(SMALL, {}), tiny, tiny_dataset, out, ignore)
    assert list((tmp_path / "free").iterdir()) == []
    assert open_run(run).summary["finished"]


def test_a_run_that_has_just_been_removed_is_none(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "gone"):
        with pytest.raises(RunError, match="is not a run directory"), locked(place):
            pass


def test_experiments_and_demos_hold_their_folder(tmp_path: Path) -> None:
    make = alone(lambda out: (out / LOCK).exists())
    assert make(tmp_path / "new")
    with held(tmp_path):
        for attempt in (make, prepare):
            with pytest.raises(RunError, match="is in use by another process"):
                attempt(tmp_path)


def test_a_report_of_a_model_that_has_changed_is_not_saved(
    run: Path, tiny: Path, cli: Callable[..., Any], monkeypatch: Any
) -> None:
    (judged,) = evaluate([run], tiny, "test")
    with held(run):
        called = cli("evaluate", run, "--data", tiny, "--json")
    assert called.code == 0
    assert called.err == (f"persarank: the report is not saved: {run} is being trained by another process.\n")
    told = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(told | {"updates": 40}))
    with pytest.raises(RunError, match="has been trained meanwhile"):
        save_report(judged)
    assert not (run / "report.json").exists()


# what is printed


def test_train_says_what_is_in_its_way(run: Path, tiny: Path, cli: Callable[..., Any]) -> None:
    train = ["train", "--data", tiny, "--out", run]
    assert cli(*train).err == (
        f"persarank: {run} exists and is not empty: choose another --out; it holds a finished run.\n"
    )
    go_on = f"choose another --out, or go on with: persarank resume {run}\n"
    assert cli(*train).code == 5
    unfinished(run)
    called = cli(*train)
    assert called.code == 5
    assert called.err == f"persarank: {run} exists and holds an unfinished run: {go_on}"
    (run / "summary.json").unlink()
    assert cli(*train).err == f"persarank: {run} exists and holds an unfinished run: {go_on}"


NAMES = [
    "plain",
    "two words",
    "it's",
    "-x",
    "~",
    "~root/x",
    "$HOME",
    "a;b",
    "line\nend",
    "tab\t'q\\",
    "ü",
    "\udcff",
]


@pytest.mark.parametrize("name", NAMES)
def test_commands_can_be_pasted(name: str) -> None:
    printed = command("resume", Path(name))
    assert len(printed.splitlines()) == 1
    words = printed.removeprefix("persarank ")
    answer = subprocess.run(["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True).stdout
    first, path = os.fsdecode(answer).split("\0")[:2]
    assert first == "resume"
    assert Path(path) == Path(name)
    assert path[0] not in "-~"


def test_every_printed_command_is_quoted(
    run: Path, tiny: Path, cli: Callable[..., Any], monkeypatch: Any
) -> None:
    odd = run.rename(run.with_name("my run"))
    quoted = shlex.quote(str(odd))
    assert f"persarank evaluate {quoted}\n" in cli("resume", odd).out
    assert str(UnfinishedError("Full.", odd)) == f"Full. Go on with: persarank resume {quoted}"
    unfinished(odd)
    assert cli("train", "--data", tiny, "--out", odd).err.endswith(f": persarank resume {quoted}\n")
    (odd / "summary.json").unlink()
    assert cli("evaluate", odd).err.endswith(f": persarank resume {quoted}\n")


def test_a_sentence_stays_one_line_whatever_the_name(
    tiny: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    called = cli("evaluate", tmp_path / "line\nend\x1b[1m")
    assert called.err.endswith("line\\nend\\x1b[1m is not a run directory: it has no config.toml.\n")


def test_a_command_is_not_folded(trained: Path, monkeypatch: Any, cli: Callable[..., Any]) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert f": persarank evaluate {trained}\n" in cli("resume", trained).out


# TOML as editors write it

CONFIG = '[run]\nalgorithm = "pars-push"\n\n[schedule]\nedge_list = "é.txt"\ngraph = "file"\n'
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_toml_files(encoding: str, end: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(CONFIG.replace("\n", end).encode(encoding))
    given, overrides = read_toml(tmp_path / "c.toml")
    assert given == {"algorithm": "pars-push"}
    assert overrides == {"schedule.edge_list": "é.txt", "schedule.graph": "file"}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (CONFIG.encode("latin-1"), "c.toml cannot be read: line 5 is not UTF-8; save it as UTF-8."),
        (CONFIG.encode("utf-16-le"), "c.toml cannot be read: "),
        (b"\xef\xbb\xbf\xff", "line 1 is not UTF-8; save it"),
        (b"\xff\xfe[", "line 1 is not UTF-16; save it"),
        (b"a = " + b"[" * 5000, "c.toml cannot be read: "),
    ],
)
def test_files_that_are_no_toml(content: bytes, part: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_toml(tmp_path / "c.toml")
    assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_config_that_an_editor_has_saved_again(
    encoding: str, run: Path, tiny: Path, cli: Callable[..., Any]
) -> None:
    config = (run / "config.toml").read_text()
    before = cli("evaluate", run, "--json").out
    (run / "config.toml").write_bytes(config.replace("\n", "\r\n").encode(encoding))
    called = cli("evaluate", run, "--json")
    assert (called.code, called.out) == (0, before), called.err
