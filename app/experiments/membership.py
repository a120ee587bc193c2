"""`reproduce membership`: can one tell from a model who was there when it was trained?

Half of the users are members. Whoever attacks has the model and a user's training slates, and wants to know
whether that user is a member: by the model's loss on them (Yeom 2018), or by how that loss compares with
those of shadow models that were trained with and without the user (Carlini 2022, LiRA). Own models are asked
something else: whether a model is this user's, or somebody else's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from app.experiments.account import Experiment
from app.experiments.workspace import alone, once, same_scale, save
from app.experiments.written import table
from app.runs.learning import slates_of, task_of
from app.runs.settings import resolve
from data.progress import silent
from data.randomness import generator
from data.simulator import simulate
from federated.algorithms import Row
from federated.clients import Clients
from federated.events import Finished
from federated.objectives import Ditto
from federated.tasks.ranking import RankingTask
from federated.training import Training
from ranking.sources import source_of

Floats = NDArray[np.float64]

FEW_WRONG = 0.1
"""The part of non-members who may be taken for members."""

LAM = 1.5
"""How far own models go: what validation usually chooses on simulated users."""

BOUNDS = (1e-12, 1e12)
"""Of losses: models that noise has ruined, with losses of 0, ∞ or none at all, are compared, too."""

EPSILONS = (None, 8.0, 2.0, 0.5)
"""Of the models that are attacked; None: without privacy."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is.

    Attributes:
        seeds: of data and trainings.
        users: simulated, half of them members.
        rounds: of all members.
        shadows: shadow models for each model that is attacked, even: every user is a member of half of them.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    users: int = 200
    rounds: int = 20
    shadows: int = 32


QUICK = Scale(seeds=(0,), rounds=10, shadows=8)


@alone
def make(out: Path, scale: Scale, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, and its result.

    Raises:
        RunError: ``out`` holds the experiment at another scale.
    """
    same_scale(out, scale)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in scale.seeds:
        everyone = None
        for epsilon in EPSILONS:
            name = "no privacy" if epsilon is None else f"ε = {epsilon:g}"

            def attacked(seed: int = seed, epsilon: float | None = epsilon) -> dict[str, Any]:
                nonlocal everyone
                everyone = everyone or task_of_all(scale.users, seed)
                return attack(everyone, row_of(scale, epsilon), scale, seed)

            place = out / f"{seed}-{epsilon}.json"
            rows.setdefault(name, []).append(once(place, {"seed": seed, "epsilon": epsilon}, attacked))
            tell(f"seed {seed}, {name}")
    result = {"rows": {name: _summary(found) for name, found in rows.items()}}
    save(out, result)
    return result


def task_of_all(users: int, seed: int) -> RankingTask:
    """The training slates of all users, members or not."""
    settings = resolve({"algorithm": "fedavg", "seed": seed}, {})
    source = source_of(simulate(users, seed))
    task = task_of(settings, source, slates_of(source, Path(), silent), silent)
    assert isinstance(task, RankingTask), "it has a loss"
    return task


def row_of(scale: Scale, epsilon: float | None) -> Row:
    """FedAvg with all members in every round; with privacy at δ = 10⁻³ where there is an ε."""
    privacy = (
        {} if epsilon is None else {"privacy.epsilon": epsilon, "privacy.delta": 1e-3, "privacy.clip": 1.0}
    )
    settings = resolve({"algorithm": "fedavg"}, {"cohort": scale.users // 2, "shares": "equal", **privacy})
    return settings.row


def attack(everyone: RankingTask, row: Row, scale: Scale, seed: int) -> dict[str, float]:
    """How well members are told from others by their losses alone, and beside shadow models.

    Args:
        everyone: all users' slates.
        row: how models are trained.
        scale: how many shadow models, and how long.
        seed: of the training that is attacked; shadow models have others.

    Returns:
        Areas under ROC curves, and the part of members found while FEW_WRONG of the others are taken for one.
    """
    halves = [
        members for number in range(scale.shadows // 2 + 1) for members in both(scale.users, seed, number)
    ]
    del halves[1]  # the one that is attacked has no twin
    models = [
        trained(everyone.of_users(members), row, seed + 1000 * number, scale)
        for number, members in enumerate(halves)
    ]
    losses = torch.stack([user_losses(everyone, w) for w in models]).numpy()
    inside = np.zeros((len(halves), scale.users), bool)
    for number, members in enumerate(halves):
        inside[number, members.numpy()] = True
    ratio = likelihood_ratio(losses[0], losses[1:], inside[1:])
    own = own_models(everyone, row, models[0], seed)
    return {
        **told_apart("loss", inside[0], -losses[0]),
        **told_apart("shadow", inside[0], ratio),
        "own_auc": whose(everyone, models[0], own),
    }


def both(users: int, seed: int, number: int) -> list[Tensor]:
    """(U/2,) members of a training and those of its twin, all others: ascending."""
    drawn = generator(seed, "members", number).permutation(users)
    return [torch.from_numpy(np.sort(part)) for part in np.array_split(drawn, 2)]


def trained(task: RankingTask, row: Row, seed: int, scale: Scale) -> Tensor:
    """(P,) the common model."""
    updates = scale.rounds * (scale.users // 2)
    *_, end = Training(task, row, seed, updates, evaluations=0, find_own=False).events()
    assert isinstance(end, Finished), "the last event"
    return end.learned


def user_losses(task: RankingTask, w: Tensor) -> Tensor:
    """(U,) mean loss on each user's training slates, within BOUNDS, of w (P,) or of one model each (U, P)."""
    everyone = torch.arange(len(task.samples))
    found = [
        task.loss(w.expand(len(everyone), -1)[some], task.everything(some, 0)[0])
        for some in everyone.split(25)
    ]
    least, most = BOUNDS
    return torch.cat(found).double().nan_to_num(most).clamp(least, most)


def likelihood_ratio(losses: Floats, shadows: Floats, inside: NDArray[np.bool_]) -> Floats:
    """(U,) log-likelihood of losses (U,) of a member, less that of somebody else (Carlini 2022, alg. 1).

    Args:
        losses: by the model that is attacked.
        shadows: (M, U) by shadow models.
        inside: (M, U) of which of these a user is a member.
    """
    logs, own = np.log(shadows), np.log(losses)
    with_user = np.where(inside, logs, np.nan)
    without = np.where(inside, np.nan, logs)
    spread = np.sqrt((np.nanvar(with_user, 0) + np.nanvar(without, 0)).mean() / 2)
    near = ((own - np.nanmean(without, 0)) ** 2 - (own - np.nanmean(with_user, 0)) ** 2) / (2 * spread**2)
    return np.asarray(near)


def told_apart(name: str, members: NDArray[np.bool_], score: Floats) -> dict[str, float]:
    """The area under the ROC curve, and the true positive rate at FEW_WRONG."""
    wrong, right, _ = roc_curve(members, score)
    found = float(right[wrong <= FEW_WRONG].max())
    return {f"{name}_auc": float(roc_auc_score(members, score)), f"{name}_found": found}


def own_models(task: RankingTask, row: Row, w: Tensor, seed: int) -> Tensor:
    """(U, P) everybody's own model, made on their device from the common one."""
    return Clients(task, Ditto(), row.local, seed).personalise(w, strength=LAM)


def whose(task: RankingTask, w: Tensor, own: Tensor) -> float:
    """How well a user's model is told from somebody else's, by how much better than w it does on their "
    "slates."""
    gain, others = user_losses(task, w) - user_losses(task, own), []
    for step in (1, 2, 3):
        others.append(user_losses(task, w) - user_losses(task, own.roll(step, 0)))
    score = torch.cat([gain, *others]).numpy()
    return float(roc_auc_score(np.arange(len(score)) < len(gain), score))


def _summary(found: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """Mean, least and greatest of each figure over seeds."""
    return {
        name: [float(np.mean(values)), min(values), max(values)]
        for name in found[0]
        for values in [[one[name] for one in found]]
    }


def markdown(result: dict[str, Any]) -> str:
    """The result as a table."""

    def cell(values: Sequence[float]) -> str:
        mean, low, high = values
        return f"{mean:.2f}" if low == high else f"{mean:.2f} ({low:.2f} to {high:.2f})"

    headings = [
        "common model",
        "AUC by its loss",
        f"members found at {FEW_WRONG:.0%} false alarms",
        "AUC with shadow models",
        f"members found at {FEW_WRONG:.0%} false alarms",
        "AUC, whose own model it is",
    ]
    names = ("loss_auc", "loss_found", "shadow_auc", "shadow_found", "own_auc")
    return table(headings, [[row, *(cell(of[name]) for name in names)] for row, of in result["rows"].items()])


EXPERIMENT = Experiment(
    title="Who was there: membership inference",
    asks="Can one tell from a common model who was there when it was trained, with privacy and without; and "
    "from an own model, whose it is?",
    known="the attacks: by the loss alone (Yeom 2018), and beside shadow models (Carlini 2022). With (ε, δ)-"
    "differential privacy at most e^ε times as many members as others are found, but for δ.",
    unknown="what a better attack would find: these bound no risk from above, ε does.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
)
"""`reproduce membership`."""
