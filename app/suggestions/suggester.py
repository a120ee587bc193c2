"""The suggestion service: one user, one keystroke, the same features and models as in evaluation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.runs.directory import Run, open_run
from app.suggestions.adaptation import (
    Adaptation,
    NotAdaptableError,
    Step,
    held_out,
    joined,
    judged,
    past_slates,
)
from app.suggestions.candidates import Candidates
from app.suggestions.lists import NEW, RANKINGS, Models, Suggestion, Suggestions, moves
from app.suggestions.reasons import Judge, NotSuggestedError, Reasons, reasons
from app.suggestions.visit import GUEST, Accepted, Standing, Visit
from data.log_import import clean
from data.storage import read
from ranking.models import Model, NeuralModel
from ranking.rankers.network import Network
from ranking.scoring import slate_scores
from ranking.slates import Slates
from ranking.sources import Log
from ranking.yardsticks import yardsticks

__all__ = ["NEW", "RANKINGS", "Models", "Suggester", "Suggestion", "Suggestions", "of_run"]


class Suggester:
    """Answers keystrokes of a dataset's users. Whatever visitors add is in their visits and nowhere else.

    Args:
        log: the dataset.
        model: of a run on it.
        run: the run; only who adapts models needs it.
        shared_by: see `Candidates`.

    Attributes:
        log, model, run: as given.
        users: their names, by number.
        candidates: what there is to choose from.
    """

    def __init__(self, log: Log, model: Model, run: Run | None = None, shared_by: int | None = None) -> None:
        self.log, self.model, self.run = log, model, run
        self.candidates = Candidates(log, shared_by)
        self._yardsticks = yardsticks(log.public)
        self.users = log.users

    def visit(self, user: int) -> Visit:
        """A visit as this user that has not added anything yet.

        Raises:
            IndexError: there is no such user.
        """
        if not 0 <= user < len(self.users):
            raise IndexError(f"there is no user {user}: there are {len(self.users)}.")
        return self.candidates.settled(Visit(user))

    def guest(self) -> Visit:
        """A visit as somebody who is not in the dataset: the common model ranks for them, from this visit."""
        return self.candidates.settled(Visit(GUEST))

    def after(self, visit: Visit, accepted: Sequence[Accepted], most: int | None = None) -> Visit:
        """The visit after further searches.

        Args:
            visit: of the user.
            accepted: with texts and prefixes as `Candidates.prefix` gives them.
            most: only so many searches of the visit, the latest, count from then on; None: all.
        """
        every = (*visit.accepted, *accepted)
        return self.candidates.settled(replace(visit, accepted=every[-most:] if most else every))

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
        return self.after(visit, [Accepted(text, self.candidates.prefix(typed))])

    def forget(self, visit: Visit, text: str) -> Visit:
        """The visit after all searches of a text were deleted from the user's past."""
        text = clean(text)
        accepted = tuple(one for one in visit.accepted if one.text != text)
        return self.candidates.settled(replace(visit, accepted=accepted, forgotten=visit.forgotten | {text}))

    def recent(self, visit: Visit, k: int = 5) -> list[str]:
        """The user's last ``k`` different searches, the latest first, without deleted ones."""
        standing = self.candidates.standing(visit)
        return [standing.others.texts[query] for query in standing.own("")[:k]]

    def suggest(self, visit: Visit, typed: str, k: int = 10) -> Suggestions:
        """At most ``k`` suggestions of each ranking for what the visit's user has typed.

        Where nothing was typed, the user's own latest searches are the personal list, and the others are
        empty. Where the user has only one model, there is no list for everyone.

        Args:
            visit: whose.
            typed: anything; it is cleaned as imported queries are.
            k: length of the lists.
        """
        prefix = self.candidates.prefix(typed)
        standing, models = self.candidates.standing(visit), self.models(visit)
        pool = self.candidates.pool(standing, prefix) if prefix else standing.own("")
        if not prefix or not pool:
            lists: dict[str, list[Suggestion]] = {name: [] for name in models.rankings}
            lists["personal"] = _shown(standing, pool[:k], [0.0] * len(pool[:k]))
            return Suggestions(prefix, lists, len(pool), models)
        slates = self.candidates.slate(visit.user, standing, prefix, pool)
        lists = {}
        for name, scores in self.scores(visit, standing, slates).items():
            best = torch.argsort(scores, descending=True, stable=True)[:k]
            lists[name] = _shown(standing, [pool[at] for at in best.tolist()], scores[best].tolist())
        return Suggestions(prefix, lists, len(pool), models)

    def models(self, visit: Visit) -> Models:
        """Which models there are for the visit's user."""
        how = f"With {self.run.settings.label}" if self.run else "Here"
        if not self.model.has_common:
            if visit.user == GUEST:
                why = "all users have models of their own, and a new one has none: no model ranks here."
                return Models(own=False, common=False, why=f"{how} {why}")
            return Models(common=False, why=f"{how} all users have models of their own, and share none.")
        if visit.own is not None:
            return Models()
        if visit.user == GUEST:
            return Models(own=False, why="This user is new: the model that all share ranks for them.")
        if not self.model.has_own:
            if self.run and self.run.settings.personal:
                how = "On validation searches nobody was better off with a model of their own"
                return Models(
                    own=False, why=f"{how}, so all share one, and each gets lists from their own past."
                )
            how += " nobody has a model of their own: all share one, and each gets lists from their own past."
            return Models(own=False, why=how)
        if isinstance(self.model, NeuralModel) and self.model.keeps_common(visit.user):
            how = "This user has the model that all share"
            return Models(
                own=False, why=f"{how}: one of their own was no better, or had nothing to learn from."
            )
        return Models()

    moves = staticmethod(moves)

    def scores(self, visit: Visit, standing: Standing, slates: Slates) -> dict[str, Tensor]:
        """The scores (N,) of one slate's candidates by each ranking that there is."""
        models = self.models(visit)
        if not (models.own or models.common):
            personal, common = self._yardsticks["popularity"](slates)[0], []
        elif isinstance(self.model, NeuralModel):
            network, w = self.weights(visit, standing)
            personal, *common = slate_scores(network, w, slates).unbind()
        else:
            shared = self.model.global_scores(slates)
            common = [] if shared is None else [shared[0]]
            personal = common[0] if visit.user == GUEST else self.model.personal_scores(slates)[0]
        return {
            "personal": personal,
            **({"everyone": common[0]} if models.differ else {}),
            "history": self._yardsticks["history"](slates)[0],
            "popularity": self._yardsticks["popularity"](slates)[0],
        }

    def explain(self, visit: Visit, typed: str, text: str) -> Reasons:
        """Why a suggestion stands where it stands for what was typed.

        Args:
            visit: whose.
            typed: as for `suggest`.
            text: of one of the candidates, whether or not the lists are long enough to show it.

        Raises:
            NotSuggestedError: it is none of them, or nothing was typed.
        """
        prefix, standing = self.candidates.prefix(typed), self.candidates.standing(visit)
        if not prefix:
            raise NotSuggestedError("nothing was typed, so the list is your latest searches in their order.")
        pool = self.candidates.pool(standing, prefix)
        places = [at for at, query in enumerate(pool) if standing.others.texts[query] == text]
        if not places:
            raise NotSuggestedError(f"{text!r} is not among the candidates for {prefix!r}.")
        slates = self.candidates.slate(visit.user, standing, prefix, pool)
        model, models = self.model, self.models(visit)
        if not (models.own or models.common):
            raise NotSuggestedError(models.why)
        if isinstance(model, NeuralModel):
            network, w = self.weights(visit, standing)
            judges = [Judge.of_network(network, one, slates) for one in w]
        else:
            judges = [Judge.of_trees(model, slates, personal) for personal in (visit.user != GUEST, False)]
        return reasons(standing, slates, places[0], prefix, judges[0], judges[1] if models.differ else None)

    def adapt(self, visit: Visit, strength: float | None = None) -> tuple[Visit, Adaptation]:
        """The visit after its user's own model was made anew, from their past and this visit.

        It is the personal step of the run's objective, from the common model, on the user's latest training
        slates and on what was accepted in this visit: the moment, the prefix, and the pool, with what was
        accepted wanted. Nobody else's data is looked at, and nothing is written. To undo it, go back to the
        visit before. Who has kept the common model (``keep_common``) is adapted all the same.

        Args:
            visit: of the user.
            strength: how far the model goes, where that is not to be what the run has chosen.

        Raises:
            NotAdaptableError: the run has no such step, or there is nothing to learn from.
        """
        step, model, user = Step.of(self.run, self.model, strength), self.model, visit.user
        assert isinstance(model, NeuralModel), "only they have a step"
        standing = self.candidates.standing(visit)
        step = replace(step, network=self.weights(visit, standing)[0])
        most = step.run.settings.row.local.personal_samples
        past = past_slates(self.log, user, self.candidates.deleted(visit), most)
        recent = self.candidates.accepted(visit)
        if not len(past) and not recent:
            raise NotAdaptableError("There is nothing to learn from yet: accept a search first.")
        keyed, among = (len(self.users), len(self.users) + 1) if user == GUEST else (user, len(self.users))
        own = step.taken(joined([past, *recent]), keyed, among)
        before = self.weights(visit, standing)[1][0]
        test = held_out(self.log, user)
        scores = judged(step.network, (before, own), test)
        return replace(visit, own=own), Adaptation(
            setting=step.run.settings.row.objective.strength.name,
            strength=step.strength,
            past=len(past),
            visit=len(recent),
            unused=len(visit.accepted) - len(recent),
            distance_before=float((before - step.common).norm()),
            distance_after=float((own - step.common).norm()),
            nmrr_before=scores[0],
            nmrr_after=scores[1],
            held_out=len(test),
        )

    def weights(self, visit: Visit, standing: Standing) -> tuple[Network, Tensor]:
        """The network, which knows the visit's texts, and the user's own and the common weights (C, P).

        C is 1 where there are no common ones. The model must be a network's.
        """
        model = self.model
        assert isinstance(model, NeuralModel), "trees have no weights"
        ranks = model.common if visit.user == GUEST else model.of(visit.user)
        own = visit.own if visit.own is not None else ranks
        assert own is not None, "without a common model nothing ranks for a guest"
        network = model.network.beside(standing.added) if standing.added else model.network
        return network, torch.stack([own] if model.common is None else [own, model.common])


def _shown(standing: Standing, queries: list[int], scores: list[float]) -> list[Suggestion]:
    """Lines of a list."""
    texts = [standing.others.texts[query] for query in queries]
    known = standing.past.searched.number(np.array(queries, np.int64)) >= 0
    return [
        Suggestion(text, float(score), own, text in standing.recent)
        for text, score, own in zip(texts, scores, known.tolist(), strict=True)
    ]


def of_run(directory: Path, data: Path | None = None, shared_by: int | None = None) -> Suggester:
    """The service for one run: its common model ranks for everyone, the users' own for each of them.

    Args:
        directory: of the run.
        data: its dataset, if it has moved since training.
        shared_by: see `Candidates`.

    Raises:
        RunError, DataError, ModelError: the run, its data or its model cannot be read, or do not
            belong together.
    """
    run = open_run(directory)
    log = Log(read(run.source(data)))
    return Suggester(log, run.model(log), run, shared_by)
