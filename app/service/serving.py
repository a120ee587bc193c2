"""Which run is served: another takes its place when it is ready, and no request notices."""

import logging
import threading
from pathlib import Path

from app.runs.directory import RunError
from app.service.people import People
from app.service.store import Store
from app.suggestions.suggester import of_run
from data.files import what_is_wrong
from data.schema import DataError
from ranking.persistence import INDEX
from ranking.rankers.trees import ModelError

log = logging.getLogger("persarank.service")


class Serving:
    """The people of the run that a place holds, which may be a link that is turned to another run.

    Args:
        run: the place.
        store: what users do.
        data: the run's dataset, if it has moved.
        shared_by: how many users must have searched a query for it to be suggested to others.

    Attributes:
        people: of the run that is served now.
        name: of its directory.
        reloads: how often another has taken the place.

    Raises:
        RunError, DataError, ModelError: the run, its data or its model cannot be read.
    """

    def __init__(self, run: Path, store: Store, data: Path | None = None, shared_by: int = 2) -> None:
        self._place, self._store, self._data, self._shared_by = run, store, data, shared_by
        self._seen = self._mark()
        self.people, self.name, self.reloads = self._read(), run.resolve().name, 0

    def look(self) -> bool:
        """Serve another run, if there is one at the place by now; whether there was.

        One that cannot be read is told, and the one before is served on.
        """
        mark = self._mark()
        if mark == self._seen:
            return False
        self._seen = mark
        try:
            people = self._read()
        except (RunError, DataError, ModelError, OSError) as error:
            log.error("the run before is served on: %s", what_is_wrong(error))
            return False
        self.people, self.name = people, self._place.resolve().name
        self.reloads += 1
        log.warning("serving %s", self._place.resolve())
        return True

    def watch(self, seconds: float, ended: threading.Event) -> None:
        """Look again and again, in a thread of its own, until the event."""
        while not ended.wait(seconds):
            self.look()

    def _read(self) -> People:
        return People(of_run(self._place.resolve(), self._data, self._shared_by), self._store)

    def _mark(self) -> object:
        """What changes when another run takes the place: where it leads, and its model's index."""
        place = self._place.resolve()
        try:
            known = (place / INDEX).stat()
        except OSError:
            return None
        return place, known.st_ino, known.st_mtime_ns
