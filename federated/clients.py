"""What a client does with the model it has read: Q local steps, all clients of a stack at once.

An update depends on its user's data, its keyed randomness and the parameters it read, and on nothing
else; so updates that can be computed together are computed together, in one tensor program.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from data.progress import Tell, silent
from data.randomness import generator, generators
from federated.objectives import Objective, Positive
from federated.patience import EndlessError, Patience, Unbounded
from federated.server.intake import Intake
from federated.server.uploads import Uploads
from federated.tasks import Batch, Chance, Descent, Slopes, Task
from federated.workers import in_parallel, one_thread

STACK = 50
"""Clients, at most, in one tensor program: more gain nothing on a CPU and cost memory."""

MOST_TOGETHER = 150
"""Samples, at most, of all users together whose own models are found in one tensor program."""

PERSONAL = "personal models"
"""What the finding of users' own models is called where its progress is shown."""

AT_ONCE = 10_000
"""Samples, at most, that a stack of clients holds in memory; more are fetched some steps at a time."""

MOST_LOOKS = 1_000_000
"""How often, at most, an update looks at a sample."""

MOST = 200
"""Clients, at most, that are computed one by one by a task that shares the work itself."""

WORTH_SPLITTING = 8
"""Clients of a stack for which a second thread is worth its trouble."""

FEW = 16
"""Clients, at most, whose own models a thread finds at a time where they are computed one by one."""

INDICES = 1_000_000
"""Samples, at most, whose numbers are drawn at once where no more than numbers is held of them."""


@dataclass(frozen=True)
class LocalSGD:
    """Local training.

    Attributes:
        lr: η, the step size.
        local_steps: Q, steps between read and upload.
        batch_size: samples in one batch.
        sampling: "random": drawn with replacement from the user's own; "in-order": the user's samples as
            they are stored, each update going on where the last one ended.
        personal_samples: a user's own model is found on so many of their samples, the latest ones, so that
            it costs little more for who has thousands; who has fewer is served with all.
        keep_common: whether users whose own model does not win on their own validation samples, as far as
            these can tell, keep what it would be made from, whether its strength is chosen or set; see
            `personal.choose`.
    """

    lr: Positive = 0.05
    local_steps: Annotated[int, Field(ge=0, le=10_000)] = 10
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 4
    sampling: Literal["random", "in-order"] = "random"
    personal_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    keep_common: bool = False


@plain_dataclass(frozen=True)
class Clients:
    """All users of a task, as a schedule sees them: number, sizes, updates.

    Attributes:
        patience: is asked before every gradient.
        uploads: what becomes of updates on their way into the model, planned.

    Raises:
        EndlessError: an update would look at too many samples.
    """

    task: Task
    objective: Objective
    local: LocalSGD
    seed: int
    patience: Patience = field(default_factory=Unbounded)
    uploads: Uploads = field(default_factory=Uploads)

    def __post_init__(self) -> None:
        local, objective = self.local, self.objective
        looks = local.local_steps * objective.gradients * local.batch_size
        if looks > MOST_LOOKS:
            raise EndlessError(
                f"an update would look at samples {looks:,} times, in local_steps = {local.local_steps} of "
                f"{objective.gradients} gradients with batch_size = {local.batch_size}: at most "
                f"{MOST_LOOKS:,} times are possible."
            )
        if self._step_samples > AT_ONCE:
            raise EndlessError(
                f"a local step would need {self._step_samples:,} samples, {objective.draws} batches with "
                f"batch_size = {local.batch_size}: at most {AT_ONCE:,} are possible."
            )

    @property
    def number(self) -> int:
        """U, how many users there are."""
        return len(self.task.samples)

    @property
    def samples(self) -> Tensor:
        """(U,) training samples of each user."""
        return self.task.samples

    def intake(self, size: int) -> Intake | None:
        """What a server does with their updates beside the plain mean, ``size`` in a merge; at its start."""
        return Intake.start(self.uploads, self.seed, self.number, size)

    def deltas(self, users: list[int], counters: list[int], w: Tensor) -> Tensor:
        """Δ_i = w_0 − w_Q (C, P) of C clients.

        Args:
            users: (C,) who computes.
            counters: (C,) which update of that user this is, from 0; it keys the batches.
            w: (C, P) the parameters that each one read.
        """

        found = torch.empty_like(w, memory_format=torch.contiguous_format)

        def piece(part: slice) -> None:
            torch.sub(w[part], self._trained(users[part], counters[part], w[part]), out=found[part])

        if self.task.stacked:
            in_parallel(piece, _pieces(len(users), self._step_samples))
            return found
        with one_thread():  # the task shares the work itself
            for begin in range(0, len(users), MOST):
                piece(slice(begin, begin + MOST))
        return found

    def personalise(
        self,
        w: Tensor,
        tell: Tell = silent,
        strength: float | None = None,
        users: Tensor | None = None,
    ) -> Tensor:
        """Users' own models (C, P), from one model (P,) or one each (U, P).

        Args:
            w: what they are made from.
            tell: is told how many are found.
            strength: see `Objective.personalise`.
            users: (C,) whose; None: everybody's.
        """
        whose = torch.arange(self.number) if users is None else users
        start = w.expand(self.number, -1)[whose]
        personal = torch.empty_like(start, memory_format=torch.contiguous_format)
        most = self.local.personal_samples

        def piece(places: Tensor) -> None:
            data = self.task.everything(whose[places], self.seed, most)
            personal[places] = self.objective.personalise(self._slopes, start[places], data, strength)

        pieces = _alike(self.samples[whose].clamp(max=most), STACK // 2 if self.task.stacked else FEW)
        ends = torch.tensor([len(users) for users in pieces]).cumsum(0).tolist()
        tell(PERSONAL, 0, len(whose))
        in_parallel(piece, pieces, lambda done: tell(PERSONAL, ends[done - 1], len(whose)))
        return personal

    def warm_up(self) -> None:
        """Have compiled what is compiled on first use; what is computed for that is thrown away."""
        if not self.task.stacked:
            start = self.task.initial(self.seed)[None]
            self.deltas([0], [0], start)
            self.objective.personalise(
                self.task, start, self.task.everything(torch.tensor([0]), self.seed, 1)
            )

    def _trained(self, users: list[int], counters: list[int], start: Tensor) -> Tensor:
        """w_Q (C, P)."""
        w, lr, draws = start, self.local.lr, self.objective.draws
        for part, index in enumerate(self._draw(users, counters)):
            chance = Chance(self.seed, "behaviour", users, counters, part)
            batches = self.task.batches(torch.tensor(users), index, chance)
            if (how := self.objective.descent(lr, len(batches) // draws)) is not None:
                w = self._slopes.descend(w, start, batches, how)
                continue
            for step in range(0, len(batches), draws):
                some = batches[step : step + draws]
                w = w.add(self.objective.gradient(self._slopes, w, some, start), alpha=-lr)
        return w

    @property
    def _slopes(self) -> Slopes:
        """The task's derivatives, which are not begun once nobody waits for them."""
        return _Patient(self.task, self.patience)

    @property
    def _step_samples(self) -> int:
        """Samples that a client needs for one step."""
        return self.objective.draws * self.local.batch_size

    def _draw(self, users: list[int], counters: list[int]) -> Iterator[Tensor]:
        """(K, C, B) sample indices of C updates, K = Q · draws, in parts of not too many steps Q."""
        local = self.local
        most = max((AT_ONCE // STACK if self.task.stacked else INDICES // MOST) // self._step_samples, 1)
        steps = [min(most, local.local_steps - begin) for begin in range(0, local.local_steps, most)]
        shapes = [(now * self.objective.draws, local.batch_size) for now in steps]
        held = self.samples[torch.tensor(users)]
        if local.sampling == "random":
            yield from self._at_random(users, counters, held.tolist(), shapes)
            return
        first = torch.tensor(counters)[:, None] * local.local_steps * self._step_samples
        for shape in shapes:
            number = shape[0] * shape[1]
            yield ((first + torch.arange(number)) % held[:, None]).view(-1, *shape).transpose(0, 1)
            first = first + number

    def _at_random(
        self, users: list[int], counters: list[int], held: list[int], shapes: list[tuple[int, int]]
    ) -> Iterator[Tensor]:
        if len(shapes) == 1:
            streams = generators(self.seed, "batch", np.stack([users, counters], axis=1))
        else:  # each stream is gone on with
            pairs = zip(users, counters, strict=True)
            streams = [generator(self.seed, "batch", user, counter) for user, counter in pairs]
        for shape in shapes:
            drawn = [
                stream.integers(size, size=shape, dtype=np.int64)
                for stream, size in zip(streams, held, strict=True)
            ]
            yield torch.from_numpy(np.stack(drawn, axis=1))


@plain_dataclass(frozen=True)
class _Patient:
    """Derivatives of a task; implements `Slopes`. Patience is asked before each."""

    task: Task
    patience: Patience

    def gradient(self, w: Tensor, batch: Batch) -> Tensor:
        self.patience()
        return self.task.gradient(w, batch)

    def hessian_times(self, w: Tensor, v: Tensor, batch: Batch) -> Tensor:
        self.patience()
        return self.task.hessian_times(w, v, batch)

    def descend(self, w: Tensor, anchor: Tensor, batches: Sequence[Batch], how: Descent) -> Tensor:
        return self.task.descend(w, anchor, batches, how, self.patience)


def _alike(sizes: Tensor, most: int) -> list[Tensor]:
    """Users in stacks of like size (U,), which waste no padding; of those with much data fewer together."""
    pieces: list[list[int]] = [[]]
    for user in torch.argsort(sizes, stable=True).tolist():
        if len(pieces[-1]) == most or (len(pieces[-1]) + 1) * int(sizes[user]) > MOST_TOGETHER:
            pieces.append([])
        pieces[-1].append(user)
    return [torch.tensor(piece) for piece in pieces if piece]


def _pieces(clients: int, samples: int = 1) -> list[slice]:
    """C clients in stacks of like size. Who is stacked with whom depends on C alone, so that bits do not.

    Args:
        clients: C.
        samples: that each of them needs at once.
    """
    most = max(min(STACK, AT_ONCE // samples), 1)
    number = max(-(-clients // most), min(2, clients // WORTH_SPLITTING), 1)
    edges = [clients * piece // number for piece in range(number + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]
