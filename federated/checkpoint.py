"""Checkpoints: a training at rest on the disk, whole or not at all.

Each is one safetensors file whose name holds the number of updates and the SHA-256 of its content, so a
file that was damaged is known without a second file beside it. The newest two are kept: should one be
damaged, training goes on from the one before and arrives at the same bits a little later.
"""

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from data.files import PARTIAL, write_bytes
from data.folders import remove
from federated.state import Snapshot

KEPT = 2
DAMAGED = ".damaged"
NAME = re.compile(r"(\d{10})-([0-9a-f]{64})\.safetensors")
OURS = re.compile(rf"{NAME.pattern}({re.escape(PARTIAL)}|{re.escape(DAMAGED)})?")


class CheckpointError(Exception):
    """No checkpoint of several is readable."""


def save(directory: Path, updates: int, snapshot: Snapshot) -> Path:
    """Write a checkpoint and remove those that are too old.

    Raises:
        OSError: it cannot be written; the ones before are still there.
    """
    # Copies, since safetensors takes no two tensors that share memory, as updates of one stack do.
    tensors = {n: t.clone(memory_format=torch.contiguous_format) for n, t in snapshot.tensors.items()}
    content = save_tensors(tensors, {"plain": json.dumps(snapshot.plain, allow_nan=False)})
    path = directory / f"{updates:010d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    write_bytes(path, content)
    for old in (*_newest_first(directory)[KEPT:], *directory.glob(f"*{PARTIAL}")):
        old.unlink(missing_ok=True)
    return path


def load(directory: Path) -> tuple[Snapshot | None, list[str]]:
    """The newest readable checkpoint, None where there is none, and a sentence for each damaged one.

    Damaged ones are put aside under another name, so that none takes the place of a good one later.

    Raises:
        CheckpointError: there are some, but none is readable.
    """
    damaged: list[Path] = []
    for path in _newest_first(directory):
        snapshot = _read(path)
        if snapshot is not None:
            for other in damaged:
                other.rename(other.with_name(other.name + DAMAGED))
            return snapshot, [f"checkpoint {other} is damaged: its checksum differs." for other in damaged]
        damaged.append(path)
    if damaged:
        raise CheckpointError(f"no checkpoint in {directory} is readable; all {len(damaged)} are damaged.")
    return None, []


def clear(directory: Path) -> None:
    """Remove all checkpoints, damaged and half-written ones too, and the directory if it is then empty."""
    if directory.is_dir():
        remove(directory, [path.name for path in directory.iterdir() if OURS.fullmatch(path.name)])
        with suppress(OSError):
            directory.rmdir()


def latest(directory: Path) -> int | None:
    """Updates of the newest checkpoint, readable or not."""
    paths = _newest_first(directory)
    return int(paths[0].name[:10]) if paths else None


def _newest_first(directory: Path) -> list[Path]:
    paths = directory.iterdir() if directory.is_dir() else ()
    return sorted((path for path in paths if NAME.fullmatch(path.name)), reverse=True)


def _read(path: Path) -> Snapshot | None:
    match = NAME.fullmatch(path.name)
    assert match is not None, "only files of this name are listed"
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != match[2]:
            return None
        size = int.from_bytes(content[:8], "little")
        plain = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["plain"])
        return Snapshot(load_tensors(content), plain)
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
