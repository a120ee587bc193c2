"""Files that appear whole or not at all, also if the machine stops meanwhile."""

import os
from pathlib import Path

PARTIAL = ".partial"
"""How names of files end that are being written."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by way of a partial one beside it, which takes its name only once it is on the disk.

    Raises:
        OSError: it cannot be written; what was at ``path`` before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
