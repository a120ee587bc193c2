"""Folders that are filled: held by one at a time, and after a failure as they were before."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from data.folders import (
    LOCK,
    PATIENCE,
    BusyError,
    FolderError,
    TakenError,
    filling,
    held,
    remove,
    require_free,
)


def fail_in(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), filling(folder):
        raise ZeroDivisionError


def test_one_holds_and_others_are_told(tmp_path: Path) -> None:
    with held(tmp_path):
        for attempt in (held, filling):
            with pytest.raises(BusyError, match="is in use by another process"), attempt(tmp_path):
                pass
        assert (tmp_path / LOCK).exists(), "the holder's, still"
    with filling(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_a_killed_process_left_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    with filling(tmp_path):
        pass


def test_whoever_waits_while_the_folder_disappears_makes_it_again(tmp_path: Path) -> None:
    """The lock was taken on a file that its holder removed, with the folder, before it was let go."""
    out, made = tmp_path / "out", []

    def second() -> None:
        with filling(out):
            made.append(out.is_dir() and (out / LOCK).exists())
            (out / "filled").touch()  # a folder left empty may be removed by whoever made it

    waiting = threading.Thread(target=second)

    def first() -> None:
        with filling(out):
            waiting.start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        first()
    waiting.join(10)
    assert made == [True]
    assert (out / "filled").exists()


def test_only_what_was_made_disappears_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    fail_in(tmp_path / "a" / "b" / "c")
    fail_in(tmp_path / "mine" / "run")
    fail_in(tmp_path / "mine")
    fail_in(tmp_path / "link")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["link", "mine"]
    with suppress(ZeroDivisionError), filling(tmp_path / "new"):
        (tmp_path / "new" / "NOTES.md").touch()
        raise ZeroDivisionError
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["NOTES.md"]


@pytest.mark.parametrize("name", [".gitkeep", ".DS_Store", "lost+found", "config.toml.partial", LOCK])
def test_some_files_do_not_count(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with filling(tmp_path):
        pass


def test_what_counts_is_not_even_touched(tmp_path: Path) -> None:
    (tmp_path / "NOTES.md").touch()
    os.utime(tmp_path, (1, 1))
    for place in (tmp_path, tmp_path / "NOTES.md"):
        with pytest.raises(TakenError, match="exists and is not an empty directory"), filling(place):
            pass
    assert tmp_path.stat().st_mtime == 1


def test_no_folder_can_be_made_of_a_link_to_nothing_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "file").touch()
    for place in ("link", "link/run"):
        with pytest.raises(FolderError, match="link is a link to nothing"), filling(tmp_path / place):
            pass
    with pytest.raises(FolderError, match="file is not a directory"), filling(tmp_path / "file" / "run"):
        pass


def test_a_folder_that_comes_into_being_while_it_is_looked_at_is_free(tmp_path: Path, monkeypatch) -> None:
    """It is looked at once: not first whether it is there, and then what is in it."""
    looks = iter([False, True, True, True])
    monkeypatch.setattr(Path, "exists", lambda path: next(looks))
    require_free(tmp_path)


def test_files_are_removed_by_pattern_and_folders_that_are_then_empty(tmp_path: Path) -> None:
    for name in ("a/b/x", "a/y", "c/x", "c/NOTES.md", "z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    remove(tmp_path, ["a/b/x", "*/x", "a/*", "none"])
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["c", "c/NOTES.md", "z"]


def test_a_folder_that_its_holder_clears_meanwhile_is_free(tmp_path: Path) -> None:
    """A run that fails removes its files before it lets go; who has seen them waits for that."""
    (tmp_path / "config.toml").touch()
    seen = threading.Event()

    def second() -> None:
        with filling(tmp_path):
            seen.set()

    waiting = threading.Thread(target=second)
    with held(tmp_path):
        waiting.start()
        time.sleep(PATIENCE / 4)
        (tmp_path / "config.toml").unlink()
    waiting.join(10)
    assert seen.is_set()
