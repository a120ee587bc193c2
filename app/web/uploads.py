"""Logs that visitors upload: kept under a name that the server makes, bounded, and looked at first."""

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from app.web.server import LARGEST
from data.files import write_bytes
from data.reading.files import ENDINGS, first_rows
from data.reading.log import read_log
from data.reading.parquet_rows import NAMES
from data.reading.rows import Reading
from data.reading.text_files import COMPRESSED, read_blocks
from data.schema import DataError

FOLDER = "uploads"
MEGABYTE = 1 << 20
UNPACKED = 400
"""Megabytes of a compressed log, at most, once it is unpacked."""

ROWS = 5_000_000
"""Rows of a Parquet file, at most, which packs equal ones into nothing."""

KEPT = 1000
"""Megabytes of all uploads that are kept."""

SHOWN = 8
"""Rows of a preview."""

PACKED = ", ".join(filter(None, COMPRESSED))
"""How compressed texts may end."""

FEWEST = "Leave out users with fewer searches than"
LEAST = 3
"""Searches that a user needs: one each to train, validate and test."""

SAMPLE = 100
"""Rows from which it is proposed what the columns hold."""


class UploadError(Exception):
    """An upload that is not taken; the message says why."""


@dataclass(frozen=True)
class Looked:
    """What a whole log says under the columns that were chosen, before anything is made of it.

    Attributes:
        searches: (U,) of each user.
    """

    users: int
    events: int
    queries: int
    first: str
    last: str
    times: str
    examples: list[tuple[str, str]]
    left_out: dict[str, int]
    searches: NDArray[np.int64]

    def users_below(self, fewest: int) -> int:
        """How many users have fewer searches than that, and are left out."""
        return int((self.searches < fewest).sum())

    def require(self, fewest: int) -> None:
        """Raise UploadError if every user would be left out."""
        most = int(self.searches.max())
        if most >= fewest:
            return
        needed = "fewer cannot be split into training, validation and test"
        more = needed if most < LEAST else f"lower “{FEWEST}”"
        raise UploadError(
            f"nothing can be learned from this log: it has {counted(self.events, 'search', 'searches')} of "
            f"{counted(self.users, 'user', 'users')}, and nobody has {fewest} or more (the most is {most}); "
            f"{more}."
        )


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def keep(folder: Path, name: str, content: bytes) -> Path:
    """Write an upload to the folder of uploads; of its name, only a known ending is kept.

    Raises:
        UploadError: it is too large, or no log by its name, or there is no room.
        OSError: it cannot be written.
    """
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    if ending is None:
        raise UploadError(
            f"its name must end in .csv, .tsv, .txt, .jsonl, .json or .parquet; text also in {PACKED}."
        )
    if len(content) > LARGEST * MEGABYTE:
        raise UploadError(f"it is larger than {LARGEST} MB: import it with `persarank data import`.")
    room = folder / FOLDER
    if room.is_dir() and sum(file.stat().st_size for file in room.iterdir()) > KEPT * MEGABYTE:
        raise UploadError(f"{room} holds more than {KEPT} MB: delete what is not needed there.")
    place = room / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}{ending}"
    write_bytes(place, content)
    return place


def preview(file: Path, reading: Reading) -> tuple[list[str], list[list[str]]]:
    """The columns of a log and its first SAMPLE rows.

    Raises:
        DataError: it cannot be read.
        UploadError: it is a small file that unpacks into a huge one.
    """
    _require_bounded(file)
    return first_rows(file, reading, SAMPLE)


def look(file: Path, columns: dict[str, str | None], reading: Reading) -> Looked:
    """Read a log as the import will.

    Args:
        columns: for user, time, query and perhaps group.

    Raises:
        DataError: what cannot be read for certain, with its row.
    """
    user, when, query = (columns[name] or "" for name in ("user", "time", "query"))
    log, times = read_log(file, user, when, query, columns.get("group"), reading)
    return Looked(
        users=len(log.users),
        events=len(log.user),
        queries=len(log.queries),
        first=_moment(int(log.time.min())),
        last=_moment(int(log.time.max())),
        times=times,
        examples=[(written, _moment(instant)) for written, instant in log.examples],
        left_out={reason: count for reason, count in log.left_out.items() if count},
        searches=np.bincount(log.user),
    )


def discard(file: Path) -> None:
    """Remove an upload that is not needed any more."""
    file.unlink(missing_ok=True)


def _require_bounded(file: Path) -> None:
    """Raise UploadError if a small file holds more than this machine should be asked to read."""
    if file.suffix in NAMES:
        try:
            rows = pq.read_metadata(file).num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file} is not a readable Parquet file.") from error
        if rows > ROWS:
            raise UploadError(f"it has {rows:,} rows, and {ROWS:,} are read here: import it in a terminal.")
        return
    size = 0
    for block in read_blocks(file):
        size += len(block)
        if size > UNPACKED * MEGABYTE:
            raise UploadError(f"unpacked it is larger than {UNPACKED} MB: import it in a terminal.")


def _moment(microseconds: int) -> str:
    """A time as people read it, in UTC, whatever its year."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return f"{moment.day} {moment:%B} {moment.year}, {moment:%H:%M:%S} UTC"
