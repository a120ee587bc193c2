"""How far a command is, for whoever started it: a small file that is written anew as the work goes on."""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from data.files import PARTIAL

VARIABLE = "PERSARANK_PROGRESS"
"""The variable of the environment that names the file; without it none is written."""

EVERY = 0.5
"""Seconds between two writings, at least, but when a phase begins or ends."""


@dataclass
class Phase:
    """One phase of a command.

    Attributes:
        name: what it is called.
        done: how much of it is done.
        total: how much there is; 0 where nobody can know.
        detail: figures, in words.
        since: when it began, in seconds since 1970.
        until: when it was last heard of.
        begun: how much had been done when it began: a training that is resumed does not begin at 0.
    """

    name: str
    done: int
    total: int
    detail: str
    since: float
    until: float
    begun: int

    @property
    def left(self) -> float | None:
        """Seconds that it will still take if it goes on as until now; None where that cannot be told."""
        passed = self.done - self.begun
        if not 0 < self.done < self.total or passed <= 0:
            return None
        return (self.until - self.since) / passed * (self.total - self.done)


PHASES = TypeAdapter(list[Phase])


class ProgressFile:
    """Keeps the phases of a command, in their order, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._phases: dict[str, Phase] = {}
        self._written = float("-inf")

    def tell(self, name: str, done: int, total: int, detail: str = "") -> None:
        """A phase goes on; one that begins once more counts anew."""
        now = time.time()
        known = self._phases.get(name)
        anew = known is None or done == 0
        since, begun = (now, done) if known is None or anew else (known.since, known.begun)
        self._phases[name] = Phase(name, done, total, detail, since, now, begun)
        if anew or done == total or now - self._written >= EVERY:
            self._written = now
            self._write()

    def _write(self) -> None:
        """What watches a work must not end it, so a full disk is no error here."""
        content = json.dumps([asdict(phase) for phase in self._phases.values()], allow_nan=False)
        partial = self._file.with_name(self._file.name + PARTIAL)
        with suppress(OSError):
            partial.write_text(content)
            os.replace(partial, self._file)


def named_file() -> ProgressFile | None:
    """The file that the environment asks for, if it does."""
    name = os.environ.get(VARIABLE)
    return ProgressFile(Path(name)) if name else None


def read_phases(file: Path) -> list[Phase]:
    """The phases that a command has told, in their order; none if it has told nothing that can be read."""
    try:
        return PHASES.validate_json(file.read_bytes(), strict=True)
    except (OSError, ValidationError):
        return []
