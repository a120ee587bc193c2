"""The suggestion service: one user, one keystroke, the same features and models as in evaluation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from app.runs.directory import open_run
from data.completions import Completions
from data.log_import import clean
from data.schema import Dataset
from data.storage import read
from ranking.features import Moments, features
from ranking.history import HISTORY, Past, PublicStatistics, full_past
from ranking.models import Model
from ranking.slates import Slates
from ranking.sources import Log


@dataclass(frozen=True)
class Suggestion:
    """One line of the list: its text, its score, and whether the user has searched it before."""

    text: str
    score: float
    own: bool


@dataclass(frozen=True)
class Suggestions:
    """The answer to one keystroke: the same candidates, ranked for everyone and for this user."""

    prefix: str
    everyone: list[Suggestion]
    personal: list[Suggestion]


class Suggester:
    """Answers keystrokes of a dataset's users. Nothing is kept between calls, and nothing shared by users.

    ``common`` ranks for everyone, ``personal`` for each user; they may be two runs on the same data.
    """

    def __init__(self, dataset: Dataset, public: PublicStatistics, common: Model, personal: Model) -> None:
        self._dataset = dataset
        self._public = public
        self._common = common
        self._personal = personal
        self._index = Completions(public.texts, public.count)
        self.users: list[str] = dataset.users.column("name").to_pylist()

    def history(self, user: int) -> Past:
        """All that a user has done so far.

        Raises:
            IndexError: there is no such user.
        """
        if not 0 <= user < len(self.users):
            raise IndexError(f"there is no user {user}: there are {len(self.users)}.")
        return full_past(self._dataset, self._public, user)

    def recent(self, history: Past, k: int = 5) -> list[str]:
        """The user's last ``k`` searches, the latest first."""
        return [self._public.texts[query] for query in history.events.query[::-1][:k].tolist()]

    def suggest(self, user: int, history: Past, typed: str, k: int = 10) -> Suggestions:
        """At most ``k`` suggestions from each ranking for what ``user`` has typed.

        Args:
            user: row number of the user.
            history: what `history` returned for them.
            typed: anything; it is cleaned as imported queries are, and nothing typed suggests nothing.
            k: length of the lists.
        """
        prefix = clean(typed) + (" " if typed[-1:].isspace() and typed.strip() else "")
        pool = self._pool(prefix, history)
        if not pool:
            return Suggestions(prefix, [], [])
        slates = self._slate(user, history, prefix, np.array(pool, np.int32))
        common = self._common.global_scores(slates)
        own = self._personal.personal_scores(slates)
        everyone = own if common is None else common
        return Suggestions(prefix, self._top(everyone, pool, history, k), self._top(own, pool, history, k))

    def _pool(self, prefix: str, history: Past) -> list[int]:
        if not prefix:
            return []
        own = history.events.query[::-1].tolist()
        return self._index.pool(prefix, [q for q in own if self._public.texts[q].startswith(prefix)])

    def _slate(self, user: int, history: Past, prefix: str, pool: NDArray[np.int32]) -> Slates:
        events = history.events
        session, group = (int(events.session[-1]), int(events.group[-1])) if len(events.user) else (-1, -1)
        values = features(history, Moments.now(history, len(prefix), pool.astype(np.int64), session, group))
        size = len(pool)
        return Slates(
            features=torch.from_numpy(values)[None],
            mask=torch.ones(1, size, dtype=torch.bool),
            position=torch.zeros(1, size, dtype=torch.int16),
            wanted=torch.ones(1, dtype=torch.int16),
            user=torch.tensor([user]),
            candidates=torch.from_numpy(pool)[None],
            typed=torch.tensor([len(prefix)], dtype=torch.int16),
        )

    def _top(self, scores: torch.Tensor, pool: list[int], history: Past, k: int) -> list[Suggestion]:
        best = torch.argsort(scores[0], descending=True, stable=True)[:k].tolist()
        searched = set(history.events.query[-HISTORY:].tolist())
        return [
            Suggestion(self._public.texts[pool[at]], float(scores[0, at]), pool[at] in searched)
            for at in best
        ]


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
    dataset = read(run.source(data))
    log = Log(dataset)
    model = run.model(log)
    return Suggester(dataset, log.public, model, model)
