"""Which runs are served: others take their places when they are ready, and no request notices."""

import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from app.runs.directory import RunError
from app.service.people import People
from app.service.store import Store
from app.suggestions.suggester import of_run
from data.files import what_is_wrong
from data.schema import DataError
from ranking.persistence import INDEX
from ranking.rankers.trees import ModelError

KNOWN = (RunError, DataError, ModelError, OSError)
"""Ways in which a run cannot be read."""

log = logging.getLogger("persarank.service")


class Place:
    """Where a run is, which may be a link that is turned to another run; arguments as of `Serving`.

    Attributes:
        name: the last part of the path.
        people: of the run that is served now.
        reloads: how often another has taken the place.
    """

    def __init__(self, path: Path, store: Store, data: Path | None, shared_by: int) -> None:
        self._path, self._store, self._data, self._shared_by = path, store, data, shared_by
        self._seen: object = self._mark()
        self.name, self.reloads, self._why = path.absolute().name, 0, ""
        self.people = self._read()

    def look(self) -> bool:
        """Serve another run, if there is one by now; whether there was. See `Serving.look`."""
        try:
            mark = self._mark()
            if mark == self._seen:
                return False
            self.people = self._read()
        except Exception as error:  # whatever it is: the run before is there, and another may come
            self._told(what_is_wrong(error) if isinstance(error, KNOWN) else repr(error))
            return False
        self._seen = mark
        self.reloads += 1
        log.warning("%s: serving %s", self._path, self.people.run)
        return True

    def _told(self, why: str) -> None:
        """Tell once why a run cannot be served; it is tried again, since it may still be on its way."""
        if why != self._why:
            log.error("%s: the run before is served on, until this changes: %s", self._path, why)
        self._why = why

    def _read(self) -> People:
        return People(of_run(self._path.resolve(), self._data, self._shared_by), self._store, self.name)

    def _mark(self) -> object:
        """What changes when another run takes the place: where it leads, and its model's index."""
        place = self._path.resolve()
        try:
            known = (place / INDEX).stat()
        except OSError:
            return None
        return place, known.st_ino, known.st_mtime_ns


class Serving:
    """The runs that are served, and one store of what their users do.

    Args:
        runs: where they are, the one first that answers where none is named.
        store: what users do.
        data: the runs' dataset, if it has moved.
        shared_by: how many users must have searched a query for others to be told of it.

    Attributes:
        places: by name.

    Raises:
        RunError, DataError, ModelError: a run, its data or its model cannot be read.
        ValueError: two have the same name.
    """

    def __init__(
        self, runs: Sequence[Path], store: Store, data: Path | None = None, shared_by: int = 2
    ) -> None:
        self.places, self._store = dict[str, Place](), store
        for run in runs:
            place = Place(run, store, data, shared_by)
            if place.name in self.places:
                raise ValueError(f"two runs are named {place.name}: make a link with another name to one.")
            self.places[place.name] = place

    @property
    def first(self) -> Place:
        """The one that answers where none is named."""
        return next(iter(self.places.values()))

    @property
    def people(self) -> Iterable[People]:
        """Of all runs."""
        return [place.people for place in self.places.values()]

    def delete(self, user: str) -> None:
        """Forget all that is kept of a user. From then on they are new, also where a run has known them.

        Raises:
            OSError: it cannot be removed from the disk.
        """
        try:
            self._store.delete(user, mark=any(people.learned_from(user) for people in self.people))
        finally:
            for people in self.people:
                people.forget(user)

    def look(self) -> bool:
        """Serve other runs where there are some at the places by now; whether there were.

        One that cannot be read is told in the log, and the one before is served on.
        """
        return sum(place.look() for place in self.places.values()) > 0

    def watch(self, seconds: float, ended: threading.Event) -> None:
        """Look again and again, in a thread of its own, until the event."""
        while not ended.wait(seconds):
            self.look()
