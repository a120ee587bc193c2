"""The suggestion service: one user, one keystroke, the same features and models as in evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from app.runs.directory import open_run
from app.suggestions.visit import Accepted, Standing, Visit
from data.completions import Completions
from data.log_import import clean
from data.schema import column
from data.storage import read
from ranking.features import Moments, features
from ranking.history import HISTORY, Events
from ranking.models import Model, NeuralModel
from ranking.others import Others
from ranking.rankers.network import Network
from ranking.scoring import slate_scores
from ranking.slates import Slates
from ranking.sources import Log
from ranking.yardsticks import yardsticks

RANKINGS = ("personal", "everyone", "history", "popularity")
"""For this user, by the model that all share, by what the user has searched, by what others search."""

NEW: Literal["new"] = "new"
"""What has moved into a list from outside it."""


@dataclass(frozen=True)
class Suggestion:
    """One line of a list.

    Attributes:
        text: of the query.
        score: by which the list is ordered; 0 where nothing was typed, as then nothing is scored.
        own: whether the user has searched it before, in this visit or earlier.
        recent: whether that was in this visit.
    """

    text: str
    score: float
    own: bool
    recent: bool = False


@dataclass(frozen=True)
class Suggestions:
    """The answer to one keystroke.

    Attributes:
        prefix: what was typed, as it is compared with queries.
        lists: the same candidates in the orders of RANKINGS.
        size: how many candidates there are.
    """

    prefix: str
    lists: dict[str, list[Suggestion]]
    size: int

    @property
    def personal(self) -> list[Suggestion]:
        """The list for this user."""
        return self.lists["personal"]

    @property
    def everyone(self) -> list[Suggestion]:
        """The list by the model that all share."""
        return self.lists["everyone"]


class Suggester:
    """Answers keystrokes of a dataset's users. Whatever visitors add is in their visits and nowhere else.

    Args:
        log: the dataset.
        model: of a run on it.

    Attributes:
        users: their names, by number.
    """

    def __init__(self, log: Log, model: Model) -> None:
        self._log, self._public, self._model = log, log.public, model
        public, dataset = log.public, log.dataset
        self._index = Completions(public.texts, public.count)
        self._number = {text: number for number, text in enumerate(public.texts)}
        self._yardsticks = yardsticks(public)
        self._back = int(dataset.manifest.get("options", {}).get("history", HISTORY))
        self.users = log.users
        user = column(dataset.events, "user_id")
        self._begin = np.searchsorted(user, np.arange(len(self.users) + 1)).tolist()

    def visit(self, user: int) -> Visit:
        """A visit as this user that has not added anything yet.

        Raises:
            IndexError: there is no such user.
        """
        if not 0 <= user < len(self.users):
            raise IndexError(f"there is no user {user}: there are {len(self.users)}.")
        return self._standing_anew(Visit(user))

    def observe(self, visit: Visit, text: str, typed: str = "") -> Visit:
        """The visit after a search was accepted; nothing changes if nothing can be seen of its text.

        Args:
            visit: of the user.
            text: anything; it is cleaned as imported queries are. One that nobody has ever searched becomes
                a candidate in this visit, and in no other.
            typed: the prefix that had been typed.
        """
        text = clean(text)
        if not text:
            return visit
        accepted = (*visit.accepted, Accepted(text, self.prefix(typed)))
        return self._standing_anew(replace(visit, accepted=accepted))

    def forget(self, visit: Visit, text: str) -> Visit:
        """The visit after all searches of a text were deleted from the user's past."""
        text = clean(text)
        accepted = tuple(one for one in visit.accepted if one.text != text)
        return self._standing_anew(replace(visit, accepted=accepted, forgotten=visit.forgotten | {text}))

    def recent(self, visit: Visit, k: int = 5) -> list[str]:
        """The user's last ``k`` different searches, the latest first, without deleted ones."""
        standing = self.standing(visit)
        return [standing.others.texts[query] for query in standing.own("")[:k]]

    def suggest(self, visit: Visit, typed: str, k: int = 10) -> Suggestions:
        """At most ``k`` suggestions of each ranking for what the visit's user has typed.

        Where nothing was typed, the user's own latest searches are the personal list, and the others are
        empty. Where the run has no model for everyone, everyone's list is that of the user's own model.

        Args:
            visit: whose.
            typed: anything; it is cleaned as imported queries are.
            k: length of the lists.
        """
        prefix = self.prefix(typed)
        standing = self.standing(visit)
        pool = self.pool(standing, prefix) if prefix else standing.own("")
        if not prefix or not pool:
            lists: dict[str, list[Suggestion]] = {name: [] for name in RANKINGS}
            lists["personal"] = _shown(standing, pool[:k], [0.0] * len(pool[:k]))
            return Suggestions(prefix, lists, len(pool))
        slates = self.slate(visit.user, standing, prefix, pool)
        lists = {}
        for name, scores in self.scores(visit, standing, slates).items():
            best = torch.argsort(scores, descending=True, stable=True)[:k]
            lists[name] = _shown(standing, [pool[at] for at in best.tolist()], scores[best].tolist())
        return Suggestions(prefix, lists, len(pool))

    @staticmethod
    def moves(shown: Sequence[Suggestion], against: Sequence[Suggestion]) -> dict[str, int | Literal["new"]]:
        """How far each text of a list has moved against another list.

        Returns:
            By text, in the order of ``shown``: places up (negative: down), or NEW if the other list lacks it.
        """
        place = {one.text: number for number, one in enumerate(against)}
        return {
            one.text: place[one.text] - number if one.text in place else NEW
            for number, one in enumerate(shown)
        }

    @staticmethod
    def prefix(typed: str) -> str:
        """What was typed as it is compared with queries: cleaned as they are, but for a space at its end."""
        cleaned = clean(typed)
        return cleaned + " " if cleaned and typed[-1:].isspace() else cleaned

    def standing(self, visit: Visit) -> Standing:
        """What a visit adds up to; it is worked out only where the visit does not know it."""
        kept = visit.standing
        return kept if kept is not None and kept.maker is self else self._standing(visit)

    def pool(self, standing: Standing, prefix: str) -> list[int]:
        """The candidates for a prefix: what others search most, then what only the user has searched."""
        return self._index.pool(prefix, standing.own(prefix, self._back), standing.deleted)

    def slate(self, user: int, standing: Standing, prefix: str, pool: Sequence[int]) -> Slates:
        """The present moment as one slate; of its candidates, ``pool``, nobody knows which is wanted."""
        queries = np.array(pool, np.int32)
        now = Moments.now(
            standing.past, len(prefix), queries.astype(np.int64), standing.session, standing.group
        )
        size = len(pool)
        return Slates(
            features=torch.from_numpy(features(standing.past, now))[None],
            mask=torch.ones(1, size, dtype=torch.bool),
            position=torch.zeros(1, size, dtype=torch.int16),
            wanted=torch.ones(1, dtype=torch.int16),
            user=torch.tensor([user]),
            candidates=torch.from_numpy(queries)[None],
            typed=torch.tensor([len(prefix)], dtype=torch.int16),
        )

    def scores(self, visit: Visit, standing: Standing, slates: Slates) -> dict[str, Tensor]:
        """The scores (N,) of one slate's candidates by each of RANKINGS."""
        if isinstance(self._model, NeuralModel):
            network, w = self.weights(visit, standing)
            personal, *common = slate_scores(network, w, slates).unbind()
        else:
            personal = self._model.personal_scores(slates)[0]
            shared = self._model.global_scores(slates)
            common = [] if shared is None else [shared[0]]
        return {
            "personal": personal,
            "everyone": common[0] if common else personal,
            "history": self._yardsticks["history"](slates)[0],
            "popularity": self._yardsticks["popularity"](slates)[0],
        }

    def weights(self, visit: Visit, standing: Standing) -> tuple[Network, Tensor]:
        """The network, which knows the visit's texts, and the user's own and the common weights (C, P).

        C is 1 where there are no common ones. The model must be a network's.
        """
        model = self._model
        assert isinstance(model, NeuralModel), "trees have no weights"
        own = visit.own if visit.own is not None else model.of(visit.user)
        network = model.network.beside(standing.added) if standing.added else model.network
        return network, torch.stack([own] if model.common is None else [own, model.common])

    def _standing_anew(self, visit: Visit) -> Visit:
        return replace(visit, standing=self._standing(visit))

    def _standing(self, visit: Visit) -> Standing:
        events = self._events(visit.user)
        texts = dict.fromkeys(one.text for one in visit.accepted)
        added = [text for text in texts if text not in self._number]
        number = dict(zip(added, range(len(self._public.texts), 2**31), strict=False))
        accepted = [number.get(one.text, self._number.get(one.text, -1)) for one in visit.accepted]
        deleted = [self._number[text] for text in visit.forgotten if text in self._number]
        others = Others(self._public, events, added)
        standing = Standing.of(self, others, events, accepted, deleted, added)
        _warm_up(standing)
        return standing

    def _events(self, user: int) -> Events:
        """All that a user has done in the dataset."""
        begin, end = self._begin[user : user + 2]
        return Events.of(self._log.dataset.events.slice(begin, end - begin), self._public.group_names)


def _shown(standing: Standing, queries: list[int], scores: list[float]) -> list[Suggestion]:
    """Lines of a list."""
    texts = [standing.others.texts[query] for query in queries]
    known = standing.past.searched.number(np.array(queries, np.int64)) >= 0
    return [
        Suggestion(text, float(score), own, text in standing.recent)
        for text, score, own in zip(texts, scores, known.tolist(), strict=True)
    ]


def _warm_up(standing: Standing) -> None:
    """Have worked out what a past works out when it is first asked for features."""
    features(standing.past, Moments.now(standing.past, 1, np.zeros(1, np.int64), -1, -1))


def of_run(directory: Path, data: Path | None = None) -> Suggester:
    """The service for one run: its common model ranks for everyone, the users' own for each of them.

    Args:
        directory: of the run.
        data: its dataset, if it has moved since training.

    Raises:
        RunError, DataError, ModelError: the run, its data or its model cannot be read, or do not
            belong together.
    """
    run = open_run(directory)
    log = Log(read(run.source(data)))
    return Suggester(log, run.model(log))
