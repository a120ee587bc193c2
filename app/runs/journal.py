"""A run's metrics file and the tally of its summary; a resumed run goes on in both exactly where it was."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from federated.events import Evaluated, Event, Merged


@dataclass
class Tally:
    """What the summary line reports of a stream of merges."""

    updates: int = 0
    merged: int = 0
    time: float = 0.0
    staleness_sum: int = 0
    staleness_max: int = 0
    in_flight_max: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    network: dict[str, float] | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None

    def staleness(self) -> dict[str, float]:
        """Of all updates that were merged: the mean, and the greatest."""
        mean = round(self.staleness_sum / max(self.merged, 1), 3)
        return {"mean": mean, "max": self.staleness_max}

    def add(self, merge: Merged) -> None:
        """Count one merge."""
        self.updates, self.time = merge.updates, merge.time
        self.merged += len(merge.users)
        self.staleness_sum += sum(merge.staleness)
        self.staleness_max = max(self.staleness_max, *merge.staleness, 0)
        self.in_flight_max = max(self.in_flight_max, merge.in_flight)
        self.network = merge.network
        self.bytes_up, self.bytes_down = merge.bytes_up, merge.bytes_down
        for why in merge.refused:
            self.refused[why] = self.refused.get(why, 0) + 1


class Journal:
    """Writes one line for each merge and evaluation; use as a context manager.

    Args:
        path: the metrics file.
        before: what `pack` gave when the run was at the point where it goes on; None at its start. Lines
            that were written later are cut off: they will be written again.

    Raises:
        ValueError: the file is shorter than it was then.
    """

    def __init__(self, path: Path, before: dict[str, Any] | None = None) -> None:
        self.tally = Tally(**before["tally"]) if before else Tally()
        length = before["bytes"] if before else 0
        self._file = path.open("ab")
        if self._file.tell() < length:
            self._file.close()
            raise ValueError(f"{path} has lost lines since the last checkpoint.")
        self._file.truncate(length)
        self._file.seek(length)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self._file.close()
        except OSError:
            if kind is None:  # else the disk was full before, and that has been said
                raise

    def see(self, event: Event) -> None:
        """Write one event down."""
        if isinstance(event, Merged):
            self.tally.add(event)
        if isinstance(event, Merged | Evaluated):
            record = {"event": type(event).__name__.lower(), **asdict(event)}
            self._file.write((json.dumps(record, allow_nan=False) + "\n").encode())
        if isinstance(event, Evaluated):
            self._file.flush()

    def pack(self) -> dict[str, Any]:
        """Where the journal is now; all lines until here are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"bytes": self._file.tell(), "tally": asdict(self.tally)}
