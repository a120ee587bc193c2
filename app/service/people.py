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

OF_QUERY, OF_USER = 16, 50_000
"""Bytes of a visit: for each query that there is, and besides."""


class People:
    """Whoever is asked for by name; nothing of one of them is in what another gets.

    Visits are immutable and exchanged in one step: who reads one meanwhile has the one before. Those who
    change what is kept of the same user must come one after the other.

    Args:
        suggester: of the run that is served.
        store: where all that is kept is.
    """

    def __init__(self, suggester: Suggester, store: Store) -> None:
        self.suggester, self._store = suggester, store
        self._number = {name: number for number, name in enumerate(suggester.users)}
        self._visits = OrderedDict[str, Visit]()
        self._lock = Lock()
        self._most = max(1, MEMORY // (OF_USER + OF_QUERY * suggester.candidates.size))

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

    def drop(self, user: str) -> None:
        """Work out anew what there is of a user when they come next."""
        with self._lock:
            self._visits.pop(user, None)

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
        self._keep(user, self.suggester.after(visit, [Accepted(entry.text, entry.typed)]))
        return True

    def adapt(self, user: str, strength: float | None = None) -> Adaptation:
        """Make a user's model anew from what they have done; it is made again whenever they come back.

        Raises:
            NotAdaptableError: the run has no such step, or there is nothing to learn from.
        """
        visit, adaptation = self.suggester.adapt(self.visit(user), strength)
        self._store.append(user, Entry(ADAPTED, "" if strength is None else repr(strength)))
        self._keep(user, visit)
        return adaptation

    def delete(self, user: str) -> None:
        """Forget all that is kept of a user. From then on they are new, also where the run has known them."""
        self._store.delete(user)
        self._store.append(user, Entry(DELETED, ""))
        self._keep(user, self.suggester.guest())

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
        last = max((at for at, entry in enumerate(entries) if entry.what == ADAPTED), default=-1)
        visit = suggester.after(visit, _accepted(entries[: last + 1]))
        if last >= 0:
            strength = float(entries[last].text) if entries[last].text else None
            with suppress(NotAdaptableError):  # another run may have no such step
                visit, _ = suggester.adapt(visit, strength)
        return suggester.after(visit, _accepted(entries[last + 1 :]))

    def _keep(self, user: str, visit: Visit) -> None:
        with self._lock:
            self._visits[user] = visit
            self._visits.move_to_end(user)
            while len(self._visits) > self._most:
                self._visits.popitem(last=False)


def _accepted(entries: Sequence[Entry]) -> list[Accepted]:
    return [Accepted(entry.text, entry.typed) for entry in entries if entry.what == OBSERVED]
