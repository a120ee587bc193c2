"""Meta-learning on 2-D navigation: every method on the same number of episodes, judged on goals never seen.

A method learns start weights from 1000 goals of its seed, without a server from 40, a node each. Its
adaptation to a new goal, by 20 episodes a step, is its own; how large the steps are is chosen on validation
goals, by the mean return after 1, 2 and 3.
"""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.randomness import generator
from federated.algorithms import Row
from federated.clients import Clients, LocalSGD
from federated.objectives import MAML, MoreauEnvelope, Objective, Reptile
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.schedules.gossip import Gossip
from federated.tasks import Batch
from federated.tasks.autograd import ByAutograd
from federated.tasks.navigation import HORIZON, Navigation, draw_goals
from federated.workers import in_parallel

GOALS, META_BATCH, EPISODES = 1000, 20, 20
SIZES = (0.16, 0.2, 0.24, 0.28, 0.32, 0.4, 0.5, 0.7)
"""Steps of adaptation to choose from."""

CHOSEN_BY = (1, 2, 3)
"""Steps whose mean return decides."""

APART = 1_000_000
"""Between the seeds of episodes to choose steps by and of those to judge by: they share no random number."""

FEW = 25
"""Goals in one piece of work."""

COHORT = Cohort(cohort=META_BATCH, shares="equal")
NODES = 40
"""Goals, where each is a node of a network."""


def _row(
    objective: Objective, lr: float, local_steps: int = 1, episodes: int = EPISODES, **cohort: Any
) -> Row:
    return Row(objective, replace(COHORT, **cohort), "", LocalSGD(lr, local_steps, episodes))


UNUSUAL = 0.15
"""Updates with a larger norm, twice the usual one, are left out: sampled Hessians vary so much that without
this bound start weights run away."""

MEMRL = _row(MoreauEnvelope(lam=0.1, inner_steps=3, inner_lr=0.5, tolerance=0, inner_batches="fresh"), lr=3.3)
METHODS: dict[str, Row | None] = {
    "memrl": MEMRL,
    "maml": _row(MAML(alpha=0.5, curvature="first-order"), lr=0.3),
    "maml-exact": _row(MAML(alpha=0.5), lr=0.3, max_update_norm=UNUSUAL),
    "reptile": _row(Reptile(), lr=0.5, local_steps=3, server_lr=0.3),
    "multi-task": _row(Reptile(), lr=0.7, episodes=3 * EPISODES),
    "random": None,
    "memrl-arrivals": replace(MEMRL, schedule=Arrivals(concurrency=META_BATCH, server_lr=1 / META_BATCH)),
    "memrl-gossip": replace(
        MEMRL, schedule=Gossip(wake_within=3, max_delay=4, max_failures=3, least_weight=0.1)
    ),
}
"""Who learns how; None: not at all. Reptile as objective is plain descent with personal steps."""


@dataclass(frozen=True)
class Size:
    """How large the experiment is.

    Attributes:
        episodes: of learning, in a method and seed.
        held_out: goals to judge by, and as many to choose steps by.
        steps: of adaptation.
    """

    episodes: int
    held_out: int
    steps: int = 5


def reproduce(method: str, seed: int, size: Size) -> dict[str, Any]:
    """What a method comes to: its start weights ``w`` (P,), the ``step_size`` it adapts by, its ``returns``
    (steps + 1, held_out) on new goals after so many steps, and its ``speed``, in environment steps a second.
    """
    row = METHODS[method]
    w, speed = _learned(row, seed, size.episodes)
    validation, unseen = (goals(seed, f"{kind} goals", size.held_out) for kind in ("validation", "held-out"))

    def returns(task: Navigation, step_size: float, steps: int, key: int) -> NDArray[np.float64]:
        path = adapted(task, method, w, step_size, steps, key)
        return np.stack([task.judge(policies, key).double().numpy() for policies in path])

    scores = {a: returns(validation, a, max(CHOSEN_BY), seed)[list(CHOSEN_BY)].mean() for a in SIZES}
    best = max(SIZES, key=scores.__getitem__)
    judged = returns(unseen, best, size.steps, seed + APART)
    return {"w": w.tolist(), "step_size": best, "returns": judged.tolist(), "speed": speed}


def describe(method: str) -> dict[str, Any]:
    """What a method's results depend on beside seed and size, as JSON takes it."""
    row = METHODS[method]
    parts = () if row is None else ("objective", "schedule", "local")
    common = {"goals": [GOALS, NODES], "episodes": EPISODES, "sizes": list(SIZES), "by": list(CHOSEN_BY)}
    return common | {part: asdict(getattr(row, part)) for part in parts}


def goals(seed: int, purpose: str, number: int) -> Navigation:
    """A task of new goals."""
    return Navigation(torch.from_numpy(draw_goals(generator(seed, purpose), number)), episodes=EPISODES)


def adapted(
    task: Navigation, method: str, w: Tensor, step_size: float, steps: int, seed: int
) -> list[Tensor]:
    """Policies (U, P) for the task's goals after 0, 1, … steps from w (P,), that many at a time."""
    row = METHODS[method]
    objective = Reptile() if row is None else row.objective
    personal = _personal(objective, step_size, steps)
    path: list[list[Tensor]] = [[] for _ in range(steps + 1)]

    def piece(users: Tensor) -> list[Tensor]:
        watched = _Watched(task)
        end = personal.personalise(watched, w.expand(len(users), -1), task.everything(users, seed))
        return [*watched.seen, end]

    for part in in_parallel(piece, torch.arange(len(task.goals)).split(FEW)):
        for step, theta in enumerate(part):
            path[step].append(theta)
    return [torch.cat(theta) for theta in path]


class _Watched(ByAutograd):
    """A task that keeps the parameters at which it was asked for derivatives."""

    def __init__(self, task: Navigation) -> None:
        self._task = task
        self.seen: list[Tensor] = []

    def loss(self, w: Tensor, batch: Batch) -> Tensor:
        """See `Task.loss`."""
        self.seen.append(w.detach().clone())
        return self._task.loss(w, batch)


def paths(task: Navigation, policies: Tensor, episodes: int) -> NDArray[np.float32]:
    """Positions (U, episodes, H, 2) of new episodes of each goal's policy (U, P); NaN after the arrival."""
    users = torch.arange(len(task.goals))
    goals, noise = task.attempts(users, 0, "drawn episodes")[0]
    taken = task.take(policies, (goals, noise[:, :episodes]))
    over = ~taken.alive.roll(1, -1)  # the position that the last step led to is seen one step later
    over[..., 0] = False
    return taken.observations.masked_fill(over[..., None], torch.nan).numpy()


def _personal(objective: Objective, step_size: float, steps: int) -> Objective:
    """The same adaptation, in steps of this size and number."""
    if isinstance(objective, MoreauEnvelope):
        return replace(objective, inner_lr=step_size, personal_steps=steps)
    if isinstance(objective, MAML):
        return replace(objective, alpha=step_size, maml_steps=steps)
    return Reptile(step_size, steps)


def _learned(row: Row | None, seed: int, episodes: int) -> tuple[Tensor, float]:
    """Start weights (P,), in a network the nodes' mean, and steps in the environment per second."""
    task = goals(seed, "goals", GOALS)
    if row is None:
        return task.initial(seed), 0.0
    if isinstance(row.schedule, Gossip):
        task = replace(task, goals=task.goals[:NODES])
    each = row.local.local_steps * row.objective.draws * row.local.batch_size
    clients = Clients(task, row.objective, row.local, seed)
    state = row.schedule.start(clients, task.initial(seed))
    since, taken = time.perf_counter(), 0
    for merge in row.schedule.run(clients, state):
        taken += each * (len(merge.users) + len(merge.refused))
        if taken >= episodes:
            break
    w = merge.w if merge.w.dim() == 1 else merge.w.mean(0)
    return w, taken * HORIZON / (time.perf_counter() - since)
