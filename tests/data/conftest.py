"""What the tests of reading share: a log written and read back, at a fixed moment."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.reading.log import Log, read_log
from data.reading.rows import Reading
from data.schema import DataError

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
"""The clock of every import in these tests."""

COLUMNS = ("user", "time", "query")


@dataclass(frozen=True)
class Read:
    """A log that has been read: its rows as text in their order, and the rest."""

    rows: list[tuple[str, str, str]]
    log: Log
    times: str

    @property
    def moments(self) -> list[str]:
        """The times, by user."""
        return [time for _, time, _ in self.rows]

    @property
    def queries(self) -> list[str]:
        """The queries, by user and time."""
        return [query for _, _, query in self.rows]

    @property
    def users(self) -> list[str]:
        """The user of every row."""
        return [user for user, _, _ in self.rows]


class Logs:
    """Writes logs to a directory and reads them."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def write(self, name: str, content: Any) -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def read(
        self, name: str, content: Any = None, columns: tuple[str, ...] = COLUMNS, **reading: Any
    ) -> Read:
        """What a log of this name and content is read as."""
        path = self.place / name if content is None else self.write(name, content)
        log, times = read_log(path, *columns, reading=Reading(**reading), now=NOW)
        moments = [shown(time) for time in log.time.tolist()]
        users = [log.users[u] for u in log.user.tolist()]
        return Read(
            list(zip(users, moments, [log.queries[q] for q in log.query.tolist()], strict=True)), log, times
        )

    def refusal(
        self, name: str, content: Any = None, columns: tuple[str, ...] = COLUMNS, **reading: Any
    ) -> str:
        """The one sentence with which it is refused, without the directory."""
        with pytest.raises(DataError) as error:
            self.read(name, content, columns, **reading)
        message = str(error.value)
        assert len(message.splitlines()) == 1, message
        return message.replace(f"{self.place}/", "")

    def times(self, *texts: str, **reading: Any) -> list[str]:
        """What these times are read as, one a row of a CSV file, in the order given."""
        return self.read("times.csv", timed(texts), **reading).moments

    def refused_times(self, *texts: str, **reading: Any) -> str:
        """The sentence with which these times are refused."""
        return self.refusal("times.csv", timed(texts), **reading)


def shown(microseconds: int) -> str:
    """ISO 8601 as short as it can be: no time of day at midnight, no fraction of a whole second."""
    moment = datetime(1, 1, 1) + timedelta(microseconds=microseconds + 62_135_596_800_000_000)
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond % 1000 == 0 else "microseconds")
    return text.removesuffix(".000").removesuffix("T00:00:00")


def timed(texts: tuple[str, ...]) -> str:
    """A CSV log with these times on lines 2, 3, …, of users in that order."""
    return "user;time;query\n" + "".join(f'u{i:06};"{text}";q{i}\n' for i, text in enumerate(texts))


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


@pytest.fixture(scope="module")
def make_logs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Logs]:
    """For tests that draw many examples: fresh directories."""
    return lambda: Logs(tmp_path_factory.mktemp("logs"))
