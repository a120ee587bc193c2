"""A visit: what somebody adds to one user's past while the app is open, and where that leaves them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from data.arrays import Int
from data.completions import starting_with
from ranking.events import Events
from ranking.history import Past
from ranking.others import Others

GUEST = -1
"""In the place of a user's number: somebody of whom the dataset knows nothing."""


@dataclass(frozen=True)
class Accepted:
    """One search that was accepted in a visit: its cleaned text, and the prefix that had been typed."""

    text: str
    typed: str


@dataclass(frozen=True, eq=False)
class Visit:
    """All that a visitor has added to one user's past; immutable, and kept by whoever keeps sessions.

    It belongs to the suggester that made it. To undo something, go back to the visit before.

    Attributes:
        user: row number of the user, or GUEST.
        accepted: the searches of this visit, in their order.
        forgotten: texts that the visitor has deleted: earlier searches of them count as if they had never
            been. A search that is accepted later counts again.
        own: (P,) weights that were adapted in this visit; None: those of the run.
        standing: what all this adds up to, so that it is not worked out at every keystroke.
    """

    user: int
    accepted: tuple[Accepted, ...] = ()
    forgotten: frozenset[str] = frozenset()
    own: Tensor | None = None
    standing: "Standing | None" = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Standing:
    """What a user's past and a visit add up to.

    Attributes:
        maker: the suggester whose queries these are.
        others: what everybody else has searched, with this visit's new texts.
        past: the user's events that count, those of the visit at the end; none is marked as training.
        session, group: of the present moment, as at the user's last event; −1 without one.
        off: what is taken off the public counts, by query, before others' favourites are looked for: of those
            that are deleted the user's own searches; where public counts are bounded, see `Others.off`.
        texts: of all queries in ``past``, sorted; ``query`` (K,) are their numbers, and ``latest`` (K,) the
            number of the last event of each.
        recent: texts that were accepted in this visit.
        added: texts of queries that are only in this visit, in the order of their numbers.
    """

    maker: object
    others: Others
    past: Past
    session: int
    group: int
    off: dict[int, int]
    texts: list[str]
    query: Int
    latest: Int
    recent: frozenset[str]
    added: tuple[str, ...]

    @classmethod
    def of(
        cls,
        maker: object,
        others: Others,
        before: Events,
        accepted: Sequence[int],
        deleted: Sequence[int],
        added: Sequence[str],
    ) -> "Standing":
        """Where a visit leaves its user.

        Args:
            maker: the suggester.
            others: what everybody else has searched.
            before: all of the user's events in the dataset.
            accepted: query numbers of the visit's searches.
            deleted: query numbers of deleted searches.
            added: texts of those among ``accepted`` that are not the dataset's.
        """
        gone = np.isin(before.query, np.array(deleted, np.int64))
        off = np.flatnonzero(others.off) if before.told else np.unique(before.query[gone & before.training])
        session, group = (int(before.session[-1]), int(before.group[-1])) if len(before.user) else (-1, -1)
        more = np.ones(len(accepted), np.int64)
        query = np.concatenate([before.query[~gone], np.array(accepted, np.int64)])
        events = Events(
            user=np.zeros(len(query), np.int64),
            query=query,
            session=np.concatenate([before.session[~gone], session * more]),
            group=np.concatenate([before.group[~gone], group * more]),
            training=np.zeros(len(query), bool),
            group_names=before.group_names,
        )
        searched, backwards = np.unique(query[::-1], return_index=True)
        texts = [others.texts[number] for number in searched.tolist()]
        order = sorted(range(len(texts)), key=texts.__getitem__)
        return cls(
            maker=maker,
            others=others,
            past=Past(others, events),
            session=session,
            group=group,
            off=dict(zip(off.tolist(), others.off[off].tolist(), strict=True)),
            texts=[texts[place] for place in order],
            query=searched[order],
            latest=len(query) - 1 - backwards[order],
            recent=frozenset(others.texts[number] for number in accepted),
            added=tuple(added),
        )

    def own(self, prefix: str, back: int | None = None) -> list[int]:
        """Queries in the user's past that start with a prefix, the latest first.

        Args:
            prefix: anything; nothing starts all of them.
            back: only of so many latest events; None: of all.
        """
        start, end = starting_with(self.texts, prefix) if prefix else (0, len(self.texts))
        latest, query = self.latest[start:end], self.query[start:end]
        first = 0 if back is None else len(self.past.events.query) - back
        order = np.argsort(-latest)
        found: list[int] = query[order[latest[order] >= first]].tolist()
        return found
