"""Datasets are written where people point: into an empty folder, a link, '.', whole or not at all."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import data.storage
from data.folders import held
from data.manifests import MANIFEST
from data.schema import DataError, Dataset
from data.simulator import simulate
from data.storage import BUILDING, fill_parts, fresh, read, write


@pytest.fixture(scope="module")
def some() -> Dataset:
    return simulate(users=3)


def test_an_empty_folder_stays_the_same_folder(some: Dataset, tmp_path: Path) -> None:
    """It may be a mount point, which cannot be replaced, or belong to a group that is to share it."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o2770)
    before = out.stat()
    write(some, out)
    after = out.stat()
    assert (before.st_ino, stat.S_IMODE(after.st_mode)) == (after.st_ino, 0o2770)
    assert read(out, truth=True).users.num_rows == 3


@pytest.mark.parametrize("name", ["link", ".", "here/..", "here/", "-x", "two words", "line\nend", "ümläut"])
def test_places(name: str, some: Dataset, tmp_path: Path, monkeypatch: Any, cli: Callable[..., Any]) -> None:
    (tmp_path / "cwd" / "here").mkdir(parents=True)
    (tmp_path / "cwd" / "link").symlink_to("here")
    if name == ".":
        (tmp_path / "cwd" / "link").unlink()
        (tmp_path / "cwd" / "here").rmdir()
    if name == "here/..":
        name = "here/../other/."
    monkeypatch.chdir(tmp_path / "cwd")
    called = cli("data", "simulate", "--users", 3, f"--out={name}", "--json")
    assert called.code == 0, called.err
    assert read(Path(name), truth=True).users.num_rows == 3
    assert not list(tmp_path.rglob(".*"))
    if name == "link":
        assert (tmp_path / "cwd" / "link").is_symlink()
        assert (tmp_path / "cwd" / "here" / MANIFEST).is_file()


@pytest.mark.parametrize(
    ("name", "code", "part"),
    [
        ("file", 3, "file exists and is not an empty directory: choose another --out."),
        ("file/x", 3, "file is not a directory: choose another --out."),
        ("dangling", 3, "dangling is a link to nothing: choose another --out."),
        ("x" * 300, 2, "File name too long."),
        ("by\udcfftes", 3, "by\\udcfftes: its path is not UTF-8: choose another."),
        ("full", 3, "full exists and is not an empty directory: choose another --out."),
        ("/proc/x", 2, "/proc/x: No such file or directory."),
    ],
)
def test_no_places(
    name: str, code: int, part: str, tmp_path: Path, cli: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("full").mkdir()
    Path("full", "NOTES.md").touch()
    Path("dangling").symlink_to("nothing")
    before = sorted(tmp_path.rglob("*"))
    called = cli("data", "simulate", "--users", 3, "--out", name)
    assert (called.code, called.out) == (code, ""), called.err
    assert called.err.startswith("persarank: ")
    assert called.err.endswith(f"{part}\n")
    assert len(called.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_leaves_an_empty_folder_empty_and_a_missing_one_missing(
    some: Dataset, tmp_path: Path
) -> None:
    def broken() -> Iterator[pa.Table]:
        yield some.slates
        raise DataError("the log ends here")

    (tmp_path / "mine").mkdir()
    for place in (tmp_path / "mine", tmp_path / "new" / "deep"):
        with pytest.raises(DataError, match="the log ends here"), fresh(place):
            fill_parts(some, broken(), dict, place)
    assert [p.name for p in tmp_path.rglob("*")] == ["mine"]


def test_a_disk_that_is_full_at_the_last_moment_leaves_others_files(
    some: Dataset, tmp_path: Path, monkeypatch: Any
) -> None:
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == MANIFEST:
            (Path(target).parent / "NOTES.md").touch()
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(data.storage.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write(some, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["NOTES.md"]


def test_what_a_killed_process_left_is_no_obstacle(some: Dataset, tmp_path: Path) -> None:
    (tmp_path / BUILDING).mkdir()
    (tmp_path / BUILDING / "slates.parquet").touch()
    write(some, tmp_path)
    assert not (tmp_path / BUILDING).exists()
    read(tmp_path)


def test_who_comes_second_is_told_at_once(tmp_path: Path, cli: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr("data.simulator.simulate", lambda *a: pytest.fail("it was to be refused before"))
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "log.csv").touch()
    columns = ["--user", "u", "--time", "t", "--query", "q"]
    with held(out):
        for arguments in (["simulate"], ["import", tmp_path / "log.csv", *columns]):
            called = cli("data", *arguments, "--out", out)
            assert (called.code, called.out) == (3, "")
            assert called.err == f"persarank: {out} is in use by another process: choose another --out.\n"


def test_a_full_disk_is_told_with_the_place(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: Any
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    called = cli("data", "simulate", "--users", 3, "--out", tmp_path / "out")
    assert (called.code, called.err) == (2, f"persarank: {tmp_path / 'out'}: No space left on device.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_may_not_be_read_is_not_called_damaged(
    some: Dataset, tmp_path: Path, monkeypatch: Any
) -> None:
    def locked(path: Path) -> None:
        raise PermissionError(13, f"Failed to open local file '{path}'. Detail: [errno 13] Permission denied")

    write(some, tmp_path / "out")
    monkeypatch.setattr("pyarrow.parquet.read_table", locked)
    with pytest.raises(DataError, match=r"\.parquet cannot be read: Permission denied\.$"):
        read(tmp_path / "out")
