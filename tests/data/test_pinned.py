"""Paths with the checksum of what they name."""

import hashlib
from pathlib import Path

import pytest

from data.pinned import MARK, pin, plain, read_pinned
from data.schema import DataError


def test_a_pinned_file_is_read_as_it_was_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "links.txt"
    file.write_bytes(b"0 1\n")
    path = pin(str(file))
    assert path == f"{file}{MARK}{hashlib.sha256(b'0 1' + bytes([10])).hexdigest()}"
    assert (pin(path), plain(path)) == (path, str(file))
    assert read_pinned(path, "the network") == b"0 1\n"
    file.write_bytes(b"1 0\n")
    with pytest.raises(DataError, match=rf"^the network {file} has changed since .* written\.$"):
        read_pinned(path, "the network")
    file.unlink()
    with pytest.raises(DataError, match=rf"^the network {file} cannot be read: No such file or directory\.$"):
        read_pinned(path, "the network")


def test_without_a_checksum_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert pin("later.csv") == str(tmp_path / "later.csv"), "absolute, and whoever reads it will complain"
    (tmp_path / "later.csv").write_bytes(b"x")
    assert read_pinned(str(tmp_path / "later.csv"), "it") == b"x"
