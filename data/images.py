"""Labelled images, MNIST and CIFAR-10: read from a file, or fetched from OpenML once and kept.

A file is an .npz with ``x_train``, ``y_train``, ``x_test`` and ``y_test``. Instead of pixels there may be
JPEGs: ``jpeg_train`` holds their bytes one behind the other, image i from off_train[i] to off_train[i + 1],
and ``jpeg_test`` and ``off_test`` likewise. Known files are recognised by the checksum of what they hold.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.files import cache, write_bytes
from data.schema import DataError

CLASSES = 10
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """A set of images.

    Attributes:
        title: what people call it.
        shape: height, width, channels.
        known: what files hold, by the SHA-256 of their arrays, see `checksum`.
        middle: what becomes 0, of brightness from 0 to 1.
        openml: its name there, where the training images come first.
        training: how many those are.
    """

    title: str
    shape: tuple[int, int, int]
    known: dict[str, str]
    middle: float
    openml: str
    training: int


SOURCES = {
    "mnist": Source(
        "MNIST",
        (28, 28, 1),
        {"8fc8fc4f0343f34ece1fcfdfb65f0801fac48030ce7c70e62bbb62f64ee2e65b": "MNIST as LeCun published it"},
        0.0,  # black, which most of an image is
        "mnist_784",
        60_000,
    ),
    "cifar10": Source(
        "CIFAR-10",
        (32, 32, 3),
        {
            "09e7da36f58b99a474750f900558730c31635b4e07bb2d8edacf1a077efc2904": "CIFAR-10 as JPEGs of "
            "quality 75, good to compare methods, not for absolute accuracy"
        },
        0.5,
        "CIFAR_10",
        50_000,
    ),
}


@dataclass(frozen=True)
class Images:
    """Images with their labels.

    Attributes:
        x_train, x_test: (N, height, width, channels) uint8.
        y_train, y_test: (N,) from 0 to 9.
        middle: see `Source`.
        checksum: of what the file held.
        origin: what that is, if it is known.
    """

    x_train: Pixels
    y_train: NDArray[np.int64]
    x_test: Pixels
    y_test: NDArray[np.int64]
    middle: float
    checksum: str
    origin: str | None


def read(path: Path, name: str) -> Images:
    """The images of a file.

    Args:
        path: an .npz file.
        name: a key of SOURCES.

    Raises:
        DataError: it cannot be read, or holds no such images.
    """
    source = SOURCES[name]
    wanted = (
        f"{path} must be an .npz file of {source.title}: x_train, y_train, x_test and y_test, or jpeg_train, "
    )
    wanted += "off_train, y_train and the same of test"
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        with np.load(content, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        parts = [(_pixels(arrays, part), arrays[f"y_{part}"]) for part in ("train", "test")]
    except Exception as error:  # whatever a file that is none makes the readers stumble over
        raise DataError(f"{wanted}.") from error
    shaped = [_checked(x, y, source, path) for x, y in parts]
    found = checksum(arrays)
    return Images(*shaped[0], *shaped[1], source.middle, found, source.known.get(found))


def checksum(arrays: dict[str, Any]) -> str:
    """SHA-256 of named arrays: their names, types, shapes and values, however the file was compressed."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def kept(name: str) -> Path:
    """Where fetched images are kept."""
    return cache() / "persarank" / "images" / f"{name}.npz"


def fetch(name: str, tell: Callable[[str], None]) -> Path:
    """The file of fetched images, which are fetched from OpenML if it is not there yet.

    scikit-learn compares what comes with OpenML's checksum.

    Raises:
        DataError: they cannot be fetched.
        OSError: they cannot be kept.
    """
    place, source = kept(name), SOURCES[name]
    if place.is_file():
        return place
    from sklearn.datasets import fetch_openml

    tell(f"fetching {source.title} from OpenML; it is kept in {place}")
    try:
        found = fetch_openml(source.openml, version=1, as_frame=False, parser="pandas", cache=False)
    except (OSError, ValueError) as error:  # HTTPError and URLError are OSErrors
        raise DataError(
            f"{source.title} could not be fetched from OpenML ({error}): get the file yourself and name it "
            "with --images FILE."
        ) from error
    height, width, channels = source.shape
    x = np.asarray(found.data).astype(np.uint8).reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    x, y = (x[..., 0] if channels == 1 else x), np.asarray(found.target).astype(np.uint8)
    n, packed = source.training, io.BytesIO()
    np.savez_compressed(packed, x_train=x[:n], y_train=y[:n], x_test=x[n:], y_test=y[n:])
    write_bytes(place, packed.getvalue())
    return place


def _pixels(arrays: dict[str, Any], part: str) -> Any:
    if f"x_{part}" in arrays:
        return arrays[f"x_{part}"]
    stream, offsets = arrays[f"jpeg_{part}"].tobytes(), arrays[f"off_{part}"].tolist()
    images = []
    for begin, end in pairwise(offsets):
        with Image.open(io.BytesIO(stream[begin:end]), formats=["JPEG"]) as image:
            if max(image.size) > 64:
                raise ValueError("no such small image")
            images.append(np.asarray(image))
    return np.stack(images)


def _checked(x: Any, y: Any, source: Source, path: Path) -> tuple[Pixels, NDArray[np.int64]]:
    height, width, channels = source.shape
    if x.dtype != np.uint8 or x.shape[1:] not in (
        (height, width, channels),
        (height, width, channels)[: 2 + (channels > 1)],
    ):
        raise DataError(
            f"{path} must hold images of {height} × {width} pixels in {channels} channel"
            f"{'s' * (channels > 1)}, as whole numbers of 8 bits: are they {source.title}?"
        )
    whole = y.ndim == 1 and len(y) == len(x) and np.issubdtype(y.dtype, np.integer)
    if not whole or not len(y) or y.min() < 0 or y.max() >= CLASSES:
        raise DataError(f"{path} must hold a label from 0 to 9 for each image.")
    return x.reshape(-1, height, width, channels), y.astype(np.int64)
