"""What users do is on disk once it is acknowledged, survives any kill, and is gone when it is deleted."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.service.store import Entry, StoreError, opened


def entry(text: str, key: str = "") -> Entry:
    return Entry("observed", text, text[:1], key)


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "users").rglob("*") if path.is_file()]


@given(done=st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=20)), max_size=20))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(
    done: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("store")
    with opened(folder) as store:
        for user, text in done:
            store.append(user, entry(text))
    with opened(folder) as store:
        for user in {user for user, _ in done}:
            assert store.entries(user) == [entry(text) for other, text in done if other == user]
        assert store.entries("nobody else") == []


def test_an_entry_is_acknowledged_only_once_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").resolve()
        synced.append(path.read_bytes() if path.is_file() else path.name.encode())
        real(handle)

    with opened(tmp_path) as store:
        monkeypatch.setattr(os, "fsync", fsync)
        for number, text in enumerate(("first", "second")):
            synced.clear()
            store.append("ann", entry(text))
            assert text.encode() in synced[0]
            (folder,) = (tmp_path / "users").iterdir()
            folders = [folder.name.encode(), b"users"]
            assert synced[1:] == (folders if number == 0 else []), "a new file's name, too"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_an_unfinished_line_is_cut_off(cut: int, tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.append("ann", entry("first"))
        before = files(tmp_path)[0].read_bytes()
        store.append("ann", entry("second"))
        whole = files(tmp_path)[0].read_bytes()
        files(tmp_path)[0].write_bytes(whole[: max(len(before), len(whole) - cut)])
        assert store.entries("ann") == [entry("first")]
        store.append("ann", entry("third"))
        assert store.entries("ann") == [entry("first"), entry("third")]


def test_a_damaged_line_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for text in ("first", "second", "third"):
            store.append("ann", entry(text))
        (file,) = files(tmp_path)
        whole = file.read_bytes()
        for damaged, line in ((b"second", 2), (b"third", 3)):
            file.write_bytes(whole.replace(damaged, damaged[::-1]))
            for work in (lambda: store.entries("ann"), lambda: store.append("ann", entry("fourth"))):
                with pytest.raises(StoreError, match=f"is damaged in line {line}"):
                    work()


def test_of_a_deleted_user_no_byte_is_left(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.append("ann of green gables", entry("a secret search"))
        store.append("ben", entry("weather"))
        store.delete("ann of green gables", mark=False)
        store.delete("ann of green gables", mark=False)
        assert store.entries("ann of green gables") == []
        assert store.entries("ben") == [entry("weather")]
    kept = b"".join(path.read_bytes() + path.name.encode() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret" not in kept
    assert b"gables" not in kept
    assert len(files(tmp_path)) == 1


def test_a_second_service_is_refused_and_so_is_a_folder_of_something_else(tmp_path: Path) -> None:
    first = opened(tmp_path / "store")
    with first, pytest.raises(StoreError, match="is held by another service"), opened(tmp_path / "store"):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").touch()
    told = r"something else than what users do, e\.g\. thesis\.doc"
    with pytest.raises(StoreError, match=told), opened(tmp_path / "other"):
        pass


def _write(folder: Path, acknowledged: Path) -> None:
    with opened(folder) as store, acknowledged.open("ab", buffering=0) as told:
        for number in range(len(store.entries("ann")), 10**6):
            store.append("ann", entry(f"search {number}"))
            told.write(b"%d\n" % number)


def test_after_a_kill_all_that_was_acknowledged_is_there_once(tmp_path: Path) -> None:
    folder, told = tmp_path / "store", tmp_path / "told"
    for _ in range(4):
        writer = multiprocessing.get_context("spawn").Process(target=_write, args=(folder, told))
        before = len(told.read_bytes().splitlines()) if told.exists() else 0
        writer.start()
        until = time.monotonic() + 60
        while (len(told.read_bytes().splitlines()) if told.exists() else 0) < before + 5:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        with opened(folder) as store:
            there = [one.text for one in store.entries("ann")]
        acknowledged = [int(line) for line in told.read_bytes().split(b"\n")[:-1]]
        assert there == [f"search {number}" for number in range(len(there))]
        assert len(there) >= len(acknowledged) >= before + 5
