"""Image files: read right or refused with one sentence, known by their content, fetched once."""

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data import images
from data.images import SOURCES, checksum, fetch, kept, read
from data.schema import DataError


def drawn(name: str, number: int, seed: int) -> tuple[Any, Any]:
    chance = np.random.default_rng(seed)
    height, width, channels = SOURCES[name].shape
    x = chance.integers(0, 256, (number, height, width, channels), dtype=np.uint8)
    return x, (np.arange(number) % 10).astype(np.uint8)


def arrays(name: str) -> dict[str, Any]:
    (x, y), (x_test, y_test) = drawn(name, 20, 0), drawn(name, 10, 1)
    return {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}


@pytest.mark.parametrize("name", SOURCES)
def test_pixels_come_back(name: str, tmp_path: Path) -> None:
    given = arrays(name)
    np.savez(tmp_path / "i.npz", **given)
    found = read(tmp_path / "i.npz", name)
    for key, values in given.items():
        assert np.array_equal(getattr(found, key), values)
    assert (found.checksum, found.origin) == (checksum(given), None)
    np.savez_compressed(tmp_path / "c.npz", **given)
    assert read(tmp_path / "c.npz", name).checksum == found.checksum, "however it is compressed"


def test_grey_images_need_no_axis_of_channels(tmp_path: Path) -> None:
    given = arrays("mnist")
    np.savez(tmp_path / "i.npz", **given | {part: given[part][..., 0] for part in ("x_train", "x_test")})
    assert np.array_equal(read(tmp_path / "i.npz", "mnist").x_train, given["x_train"])


def test_jpegs_are_decoded_in_their_order(tmp_path: Path) -> None:
    given = {}
    for part in ("train", "test"):
        stream, offsets = b"", [0]
        for shade in range(0, 250, 25):
            file = io.BytesIO()
            Image.new("RGB", (32, 32), (shade, 0, 250 - shade)).save(file, "JPEG", quality=75)
            stream += file.getvalue()
            offsets.append(len(stream))
        given |= {f"jpeg_{part}": np.frombuffer(stream, np.uint8), f"off_{part}": np.array(offsets)}
        given[f"y_{part}"] = np.arange(10, dtype=np.uint8)
    np.savez(tmp_path / "i.npz", **given)
    found = read(tmp_path / "i.npz", "cifar10")
    assert found.x_train.shape == (10, 32, 32, 3)
    assert np.abs(found.x_train[:, 5, 5, 0].astype(int) - range(0, 250, 25)).max() <= 3
    assert np.abs(found.x_train[:, 5, 5, 2].astype(int) - range(250, 0, -25)).max() <= 3


def test_a_known_file_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arrays("mnist")
    monkeypatch.setitem(SOURCES["mnist"].known, checksum(given), "known")
    np.savez(tmp_path / "i.npz", **given)
    assert read(tmp_path / "i.npz", "mnist").origin == "known"
    given["x_train"][3, 4, 5] ^= 1
    np.savez(tmp_path / "i.npz", **given)
    assert read(tmp_path / "i.npz", "mnist").origin is None


FAULTS = {
    "missing": "cannot be read",
    "folder": "cannot be read",
    "text": "must be an .npz file",
    "cut": "must be an .npz file",
    "no labels": "must be an .npz file",
    "objects": "must be an .npz file",
    "no jpeg": "must be an .npz file",
    "other images": "28 × 28 pixels",
    "real numbers": "28 × 28 pixels",
    "few labels": "a label from 0 to 9",
    "high labels": "a label from 0 to 9",
    "no images": "a label from 0 to 9",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_holds_no_such_images_is_refused(fault: str, tmp_path: Path) -> None:
    path, given = tmp_path / "i.npz", arrays("mnist")
    spoilt: dict[str, Any] = {
        "other images": {"x_test": arrays("cifar10")["x_test"]},
        "real numbers": {"x_train": given["x_train"] / 255},
        "few labels": {"y_train": given["y_train"][:-1]},
        "high labels": {"y_test": given["y_test"] + 1},
        "objects": {"x_train": np.array([None, {}])},
        "no images": {"x_test": given["x_test"][:0], "y_test": given["y_test"][:0]},
    }
    if fault == "no labels":
        del given["y_test"]
    if fault == "no jpeg":
        del given["x_test"]
        given |= {"jpeg_test": np.arange(9, dtype=np.uint8), "off_test": np.array([0, 9])}
    if fault == "folder":
        path.mkdir()
    elif fault == "text":
        path.write_text("images")
    elif fault != "missing":
        np.savez(path, **given | spoilt.get(fault, {}))
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=FAULTS[fault]) as refused:
        read(path, "mnist")
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", SOURCES)
def test_images_are_fetched_once_and_stand_in_the_right_order(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    given = arrays(name)
    asked: list[str] = []

    def fetch_openml(wanted: str, **how: Any) -> Any:
        """As OpenML has them: training images first, a channel after the other, labels as text."""
        asked.append(wanted)
        x = np.concatenate([given["x_train"], given["x_test"]]).transpose(0, 3, 1, 2)
        y = np.concatenate([given["y_train"], given["y_test"]])
        return SimpleNamespace(data=x.reshape(30, -1).astype(float), target=y.astype(str).astype(object))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    few = {n: replace(source, training=20) for n, source in SOURCES.items()}
    monkeypatch.setattr(images, "SOURCES", few)
    told: list[str] = []
    assert fetch(name, told.append) == kept(name)
    found = read(fetch(name, told.append), name)
    assert (asked, len(told)) == ([SOURCES[name].openml], 1)
    for key, values in given.items():
        assert np.array_equal(getattr(found, key), values)


def test_no_network_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fetch_openml(*given: Any, **how: Any) -> Any:
        raise OSError("no route")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    with pytest.raises(DataError, match=r"could not be fetched from OpenML \(no route\).*--images FILE"):
        fetch("mnist", lambda words: None)
    assert not list(tmp_path.rglob("*.npz*"))
