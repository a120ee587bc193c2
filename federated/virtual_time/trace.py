"""Delays measured elsewhere, read from a CSV file with the columns download and upload.

With a column user (0 … n−1), a user's k-th update has the k-th of that user's rows, starting anew after
the last; without one, every update draws a row.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.pinned import plain, read_pinned
from data.randomness import generator
from data.schema import DataError

MOST = 1e6
"""Greatest delay that makes sense."""

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}


@dataclass(frozen=True)
class Trace:
    """Rows (R, 2) of download and upload delays, and which of them are whose, if that is known."""

    rows: NDArray[np.float64]
    of_user: list[NDArray[np.int64]] | None

    @classmethod
    def read(cls, path: str, users: int) -> "Trace":
        """The trace in a file, whose path may be pinned.

        Raises:
            DataError: it is no such file, or a row or a user is missing or makes no sense.
        """
        content, path = read_pinned(path, "the delay trace"), plain(path)
        try:
            packed: Any = COMPRESSED.get(Path(path).suffix)
            table = pd.read_csv(BytesIO(content), index_col=False, compression=packed)
        except (OSError, EOFError, ValueError) as error:
            raise DataError(f"the delay trace {path} cannot be read: {error}.") from error
        for name in ("download", "upload"):
            if name not in table or not len(table):
                raise DataError(f"the delay trace {path} needs rows, and the columns download and upload.")
        rows = table[["download", "upload"]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
        bad = ~((rows >= 0) & (rows <= MOST)).all(1)
        if bad.any():
            line = int(bad.argmax()) + 2
            raise DataError(f"the delay trace {path}, line {line}: delays are numbers from 0 to {MOST:g}.")
        if "user" not in table:
            return cls(rows, None)
        of_user = [np.flatnonzero(table["user"] == user) for user in range(users)]
        lost = [user for user, own in enumerate(of_user) if not len(own)]
        if lost:
            raise DataError(f"the delay trace {path} has no row of user {lost[0]}.")
        return cls(rows, of_user)

    def delays(self, seed: int, user: int, counter: int) -> tuple[float, float]:
        """(download, upload) of a user's counter-th update."""
        if self.of_user is None:
            row = int(generator(seed, "delay", user, counter).integers(len(self.rows)))
        else:
            own = self.of_user[user]
            row = int(own[counter % len(own)])
        down, up = self.rows[row].tolist()
        return down, up
