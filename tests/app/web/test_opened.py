"""Runs and datasets by name: what there is, under which names, and what is said of what is not there."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.web.judging import judge_runs
from app.web.opened import AppError, Opened, checksum, datasets, opened, run_named, runs, service
from app.web.server import VARIABLE

OpenOn = Callable[..., None]


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A folder with a run of its own, a run that is not finished, and an imported log."""
    shutil.copytree(prepared / "fedavg", tmp_path / "runs" / "mine")
    shutil.copytree(prepared / "fedavg", tmp_path / "runs" / "unfinished")
    (tmp_path / "runs" / "unfinished" / "summary.json").unlink()
    shutil.copytree(prepared / "data", tmp_path / "searches" / "log")
    (tmp_path / "searches" / "no dataset").mkdir()
    return tmp_path


def test_runs_that_were_named_come_before_those_in_the_folder(
    prepared: Path, folder: Path, open_on: OpenOn
) -> None:
    open_on(folder, [prepared / "persa-fl-ditto", prepared / "fedavg"])
    assert runs() == {
        "persa-fl-ditto": prepared / "persa-fl-ditto",
        "fedavg": prepared / "fedavg",
        "runs/mine": folder / "runs" / "mine",
    }
    assert datasets() == {"data": prepared / "data", "searches/log": folder / "searches" / "log"}


def test_the_demo_comes_last_and_is_called_so(prepared: Path, folder: Path, open_on: OpenOn) -> None:
    open_on(folder, [prepared / "persa-fl-ditto", prepared / "fedavg"], demo=True)
    assert list(runs().items()) == [
        ("runs/mine", folder / "runs" / "mine"),
        ("demo/persa-fl-ditto", prepared / "persa-fl-ditto"),
        ("demo/fedavg", prepared / "fedavg"),
    ]
    own = ("searches/log", folder / "searches" / "log")
    assert list(datasets().items()) == [own, ("demo/data", prepared / "data")]


def test_data_that_have_moved_are_found_where_they_are_now(
    prepared: Path, tmp_path: Path, open_on: OpenOn
) -> None:
    run, data = tmp_path / "runs" / "mine", tmp_path / "moved"
    shutil.copytree(prepared / "fedavg", run)
    shutil.copytree(prepared / "data", data)
    config = run / "config.toml"
    config.write_text(config.read_text().replace(str(prepared / "data"), str(tmp_path / "gone")))
    open_on(tmp_path)
    assert datasets() == {}
    with pytest.raises(AppError, match="name it with --data"):
        service("runs/mine")
    assert judge_runs(runs()).datasets == []
    open_on(tmp_path, moved=[data])
    assert datasets() == {"moved": data}
    assert len(service("runs/mine").users) == len(judge_runs(runs()).own.popitem()[1]["nmrr"]["A"])


def test_names_are_unique_and_a_run_counts_once(prepared: Path, folder: Path, open_on: OpenOn) -> None:
    other = folder / "elsewhere" / "fedavg"
    shutil.copytree(prepared / "fedavg", other)
    link = folder / "link"
    link.symlink_to(folder / "runs" / "mine")
    open_on(folder / "app", [prepared / "fedavg", other, link, folder / "runs" / "mine"])
    assert runs() == {"fedavg": prepared / "fedavg", "elsewhere/fedavg": other, "link": link}


def test_names_that_cannot_be_written_are_shown_as_escapes(prepared: Path, open_on: OpenOn) -> None:
    strange = prepared.parent / os.fsdecode(b"a\xff\nb")
    if not strange.exists():
        shutil.copytree(prepared / "fedavg", strange)
    open_on(prepared / "app", [strange])
    assert runs() == {"a\\udcff\\nb": strange}


def test_a_run_that_comes_later_is_there(prepared: Path, tmp_path: Path, open_on: OpenOn) -> None:
    open_on(tmp_path)
    assert runs() == {}
    shutil.copytree(prepared / "fedavg", tmp_path / "runs" / "new")
    assert list(runs()) == ["runs/new"]


@pytest.mark.parametrize("name", ["", "gone", "../demo/fedavg", "/etc/passwd", "runs/mine/../mine"])
def test_a_name_that_is_not_in_the_list_is_refused(name: str, folder: Path, open_on: OpenOn) -> None:
    open_on(folder)
    with pytest.raises(AppError, match="There is no run of that name"):
        run_named(name)
    with pytest.raises(AppError, match="There is no run of that name"):
        service(name)


def test_a_service_is_shared_until_its_run_changes(prepared: Path, tmp_path: Path, open_on: OpenOn) -> None:
    run = tmp_path / "runs" / "mine"
    shutil.copytree(prepared / "fedavg", run)
    open_on(tmp_path)
    first, before = service("runs/mine"), checksum(run)
    assert service("runs/mine") is first
    (run / "config.toml").write_text((run / "config.toml").read_text() + "\n")
    assert checksum(run) != before
    assert service("runs/mine") is not first


def test_a_damaged_run_is_a_sentence(prepared: Path, tmp_path: Path, open_on: OpenOn) -> None:
    run = tmp_path / "runs" / "mine"
    shutil.copytree(prepared / "fedavg", run)
    model = run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"\xff")
    open_on(tmp_path)
    with pytest.raises(AppError, match=r"model\.safetensors"):
        service("runs/mine")


def test_data_that_were_exchanged_are_not_served(prepared: Path, tmp_path: Path, open_on: OpenOn) -> None:
    demo = tmp_path / "demo"
    shutil.copytree(prepared, demo)
    config = demo / "fedavg" / "config.toml"
    config.write_text(config.read_text().replace(str(prepared), str(demo)))
    open_on(tmp_path, [demo / "fedavg"])
    users = demo / "data" / "users.parquet"
    pq.write_table(pq.read_table(users), users, compression="gzip")
    with pytest.raises(AppError, match="has changed since it was written"):
        service("demo/fedavg")


def test_without_the_command_it_is_the_working_directory(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert opened() == Opened(tmp_path)


@pytest.mark.parametrize("damaged", ["", "[]", '{"folder": 1}', '{"folder": "/", "runs": [1], "demo": 0}'])
def test_a_damaged_variable_is_a_sentence(damaged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, damaged)
    with pytest.raises(AppError, match="start the app with `persarank app`"):
        opened()
