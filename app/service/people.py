"""The people whom a service answers: what each has done since the run was trained, and their lists."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from app.service.store import ADAPTED, DELETED, OBSERVED, Entry, Store
from app.suggestions.adaptation import Adaptation, NotAdaptableError
from app.suggestions.lists import Suggestions
from app.suggestions.suggester import Suggester
from app.suggestions.visit import Accepted, Visit
from data.log_import import clean

MEMORY = 2**28
"""Bytes, about, of visits that stay in memory; others are worked out again when their users come back."""

OF_QUERY, OF_SEARCH, OF_USER = 16, 500, 50_000
"""Bytes of a visit, about: for each query that there is, for each search since the run, and besides."""

LATEST = 2_000
"""Searches of a user that count, at most, besides those that the run has learned from."""


class People:
    """Whoever is asked for by name; nothing of one of them is in what another gets.

    Visits are immutable and exchanged in one step: who reads one meanwhile has the one before. Those who
    change what is kept of the same user must come one after the other.

    Args:
        suggester: of the run that is served.
        store: where all that is kept is.
        place: by which name the run is asked for.
    """

    def __init__(self, suggester: Suggester, store: Store, place: str = "") -> None:
        self.suggester, self._store, self._place = suggester, store, place
        self._number = {name: number for number, name in enumerate(suggester.users)}
        self._visits, self._bytes = OrderedDict[str, Visit](), 0
        self._lock = Lock()

    @property
    def run(self) -> str:
        """The name of the run's directory."""
        assert self.suggester.run is not None, "what is served is a run"
        return self.suggester.run.directory.name

    def __len__(self) -> int:
        """Users whose visits are in memory."""
        return len(self._visits)

    def known(self, user: str) -> bool:
        """Whether nothing has to be read or worked out before a user gets a list."""
        return user in self._visits

    def learned_from(self, user: str) -> bool:
        """Whether the run knows a user."""
        return user in self._number

    def drop(self, user: str) -> None:
        """Work out anew what there is of a user when they come next."""
        with self._lock:
            self._pop(user)

    def forget(self, user: str) -> None:
        """Drop a user, and what anybody has typed."""
        self.drop(user)
        self.suggester.candidates.forget_typed()

    def suggest(self, user: str, typed: str, k: int) -> Suggestions:
        """At most ``k`` suggestions of each ranking; for whom nobody knows, the common model ranks."""
        return self.suggester.suggest(self.visit(user), typed, k)

    def observe(self, user: str, text: str, typed: str = "", key: str = "") -> bool:
        """Keep a search; it is on disk when this returns. Whether it is new, by its key.

        Raises:
            ValueError: nothing can be seen of the text.
        """
        cleaned = clean(text)
        if not cleaned:
            raise ValueError("nothing can be seen of the query")
        entry = Entry(OBSERVED, cleaned, self.suggester.candidates.prefix(typed), key)
        if key and self._store.has(user, key):
            return False
        visit = self.visit(user)
        self._store.append(user, entry)
        self._keep(user, self._after(visit, [entry]))
        return True

    def adapt(self, user: str, strength: float | None = None, here: bool = False) -> Adaptation:
        """Make a user's model anew from what they have done; it is made again whenever they come back.

        Args:
            user: their name.
            strength: how far it goes; None: as far as the run's own models.
            here: only for this of several runs.

        Raises:
            NotAdaptableError: the run has no such step, or there is nothing to learn from.
        """
        visit, adaptation = self.suggester.adapt(self.visit(user), strength)
        how = "" if strength is None else repr(strength)
        self._store.append(user, Entry(ADAPTED, how, self._place if here else ""))
        self._keep(user, visit)
        return adaptation

    def visit(self, user: str) -> Visit:
        """What a user has done, worked out from the store where it is not in memory."""
        with self._lock:
            if user in self._visits:
                self._visits.move_to_end(user)
                return self._visits[user]
        visit = self._replayed(user, self._store.entries(user))
        self._keep(user, visit)
        return visit

    def _replayed(self, user: str, entries: Sequence[Entry]) -> Visit:
        suggester, known = self.suggester, self._number.get(user)
        if known is None or any(entry.what == DELETED for entry in entries):
            visit = suggester.guest()
        else:
            visit = suggester.visit(known)
        here = [
            at
            for at, entry in enumerate(entries)
            if entry.what == ADAPTED and entry.typed in ("", self._place)
        ]
        last = here[-1] + 1 if here else 0
        visit = self._after(visit, entries[:last])
        if here:
            visit = self._adapted(visit, entries[here[-1]].text)
        return self._after(visit, entries[last:])

    def _adapted(self, visit: Visit, strength: str) -> Visit:
        """Adapted as far as was asked for, or, if another run offers no such step, as that one does."""
        for how in dict.fromkeys((float(strength) if strength else None, None)):
            with suppress(NotAdaptableError):
                return self.suggester.adapt(visit, how)[0]
        return visit

    def _after(self, visit: Visit, entries: Sequence[Entry]) -> Visit:
        """The visit with the searches among some further entries, the LATEST of all that it has."""
        more = [Accepted(entry.text, entry.typed) for entry in entries if entry.what == OBSERVED]
        return self.suggester.after(visit, more, LATEST) if more else visit

    def _keep(self, user: str, visit: Visit) -> None:
        with self._lock:
            self._pop(user)
            self._visits[user] = visit
            self._bytes += self._size(visit)
            while self._bytes > MEMORY and len(self._visits) > 1:
                self._pop(next(iter(self._visits)))

    def _pop(self, user: str) -> None:
        visit = self._visits.pop(user, None)
        self._bytes -= 0 if visit is None else self._size(visit)

    def _size(self, visit: Visit) -> int:
        """Bytes, about."""
        return OF_USER + OF_QUERY * self.suggester.candidates.size + OF_SEARCH * len(visit.accepted)
