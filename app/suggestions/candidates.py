"""What there is to choose from when somebody types, with its features: a log's users, and their visits."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from app.suggestions.visit import GUEST, Standing, Visit
from data.completions import Completions
from data.log_import import clean
from data.schema import column
from ranking.events import Events
from ranking.features import features
from ranking.history import HISTORY
from ranking.moments import Moments
from ranking.others import Others
from ranking.shared import Shared
from ranking.slates import Slates, StoredSlates
from ranking.sources import Log

LATEST = 100
"""Searches of a visit from which a model learns, at most."""


class Candidates:
    """Pools and features of the moment after all that a log, and a visit, hold of a user.

    What can be looked up is made once; whatever a visit adds is in the visit.

    Args:
        log: the dataset.
        shared_by: how many users must have searched a query in training for others to be told of it, see
            `Shared`; None: everything counts, as in training.

    Attributes:
        public: what others are told.
        back: own events, at most, whose queries are among the candidates.
    """

    def __init__(self, log: Log, shared_by: int | None = None) -> None:
        self._events = log.dataset.events
        self.public = log.public if shared_by is None else Shared(log.dataset, log.public, shared_by)
        self._index = Completions(log.public.texts, self.public.count)
        self._number = {text: number for number, text in enumerate(log.public.texts) if self._told(number)}
        self.back = int(log.dataset.manifest.get("options", {}).get("history", HISTORY))
        user = column(log.dataset.events, "user_id")
        self._begin = np.searchsorted(user, np.arange(len(log.users) + 1)).tolist()

    @property
    def size(self) -> int:
        """V, the queries of the log."""
        return len(self.public.texts)

    def forget_typed(self) -> None:
        """Keep nothing of what anybody has typed."""
        self._index.forget_typed()

    @staticmethod
    def prefix(typed: str) -> str:
        """What was typed as it is compared with queries: cleaned as they are, but for a space at its end."""
        cleaned = clean(typed)
        return cleaned + " " if cleaned and typed[-1:].isspace() else cleaned

    def standing(self, visit: Visit) -> Standing:
        """What a visit adds up to; it is worked out only where the visit does not know it."""
        kept = visit.standing
        return kept if kept is not None and kept.maker is self else self._stand(visit)

    def pool(self, standing: Standing, prefix: str) -> list[int]:
        """The candidates for a prefix: what others search most, then what only the user has searched."""
        return self._index.pool(prefix, standing.own(prefix, self.back), standing.off)

    def slate(self, user: int, standing: Standing, prefix: str, pool: Sequence[int]) -> Slates:
        """The present moment as one slate; of its candidates, ``pool``, nobody knows which is wanted."""
        queries = np.array(pool, np.int32)
        now = Moments.now(
            standing.past, len(prefix), queries.astype(np.int64), standing.session, standing.group
        )
        return Slates.asked(
            torch.from_numpy(features(standing.past, now)),
            torch.from_numpy(queries),
            torch.tensor([user]),
            torch.tensor([len(prefix)], dtype=torch.int16),
        )

    def accepted(self, visit: Visit) -> list[StoredSlates]:
        """One slate for each of the latest LATEST searches of the visit whose pool had it, as it then was."""
        found = []
        for number, one in list(enumerate(visit.accepted))[-LATEST:]:
            standing = self._stand(replace(visit, accepted=visit.accepted[:number]))
            pool = self.pool(standing, one.typed) if one.typed else []
            texts = [standing.others.texts[query] for query in pool]
            if one.text in texts:
                slates = self.slate(visit.user, standing, one.typed, pool)
                slates.position[0, texts.index(one.text)] = 1
                found.append(StoredSlates.of(slates))
        return found

    def deleted(self, visit: Visit) -> list[int]:
        """Numbers of those queries of the log that the visitor has deleted."""
        number = self._numbers(self._own(visit.user)[0])
        return [number[text] for text in visit.forgotten if text in number]

    def settled(self, visit: Visit) -> Visit:
        """The visit, with what it adds up to."""
        return replace(visit, standing=self._stand(visit))

    def _stand(self, visit: Visit) -> Standing:
        events, begin = self._own(visit.user)
        events = self.public.marked(events, begin)
        number = self._numbers(events)
        added = [text for text in dict.fromkeys(one.text for one in visit.accepted) if text not in number]
        new = dict(zip(added, range(len(self.public.texts), 2**31), strict=False))
        accepted = [new[one.text] if one.text in new else number[one.text] for one in visit.accepted]
        others = Others(self.public, events, added)
        standing = Standing.of(self, others, events, accepted, self.deleted(visit), added)
        _warm_up(standing)
        return standing

    def _own(self, user: int) -> tuple[Events, int]:
        """A user's events, and the number of the first of them."""
        begin, end = (0, 0) if user == GUEST else self._begin[user : user + 2]
        return Events.of(self._events.slice(begin, end - begin), self.public.group_names), begin

    def _numbers(self, own: Events) -> Mapping[str, int]:
        """The numbers of all queries that somebody can know who has these events, by text."""
        return ChainMap({self.public.texts[one]: one for one in np.unique(own.query).tolist()}, self._number)

    def _told(self, number: int) -> bool:
        return not isinstance(self.public, Shared) or bool(self.public.known[number])


def _warm_up(standing: Standing) -> None:
    """Have worked out what a past works out when it is first asked for features."""
    features(standing.past, Moments.now(standing.past, 1, np.zeros(1, np.int64), -1, -1))
