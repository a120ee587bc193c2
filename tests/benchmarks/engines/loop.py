"""One client after another in plain PyTorch, as most research code trains them: the baseline of all.

Knows three workloads. w-sync: rounds, all clients take part. w-async: updates arrive in a given order,
each computed from the version of the model that its client had read. w-me: the same with the
Moreau-envelope update of pFedMe.
"""

import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
sys.path[0] = str(Path(__file__).resolve().parents[1])  # where workload.py lies

from argparse import Namespace
from collections.abc import Callable

import harness
import mlp
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from workload import (
    INNER_LEARNING_RATE,
    INNER_STEPS,
    LAMBDA,
    LEARNING_RATE,
    Problem,
    mean_loss,
)

IMPORTED = time.perf_counter()
Parameters = list[Tensor]


class Trainer:
    """One module that plays every client in turn."""

    def __init__(self, problem: Problem) -> None:
        X, y = (torch.from_numpy(part) for part in problem.batches())
        self.batches = [list(zip(xs, ys, strict=True)) for xs, ys in zip(X, y, strict=True)]
        self.model = mlp.module()
        mlp.set_flat(self.model, problem.start)
        self.parameters = list(self.model.parameters())
        self.sgd = torch.optim.SGD(self.parameters, lr=LEARNING_RATE)
        self.inner_sgd = torch.optim.SGD(self.parameters, lr=INNER_LEARNING_RATE)

    def copy(self) -> Parameters:
        """The module's parameters as they are now."""
        return [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def put(self, values: Parameters) -> None:
        """Give the module these parameters."""
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    def backward(self, x: Tensor, y: Tensor) -> None:
        """Leave the gradient of a batch's loss in the module."""
        self.sgd.zero_grad()
        binary_cross_entropy_with_logits(self.model(x).squeeze(-1), y).backward()

    def train(self, user: int, start: Parameters) -> None:
        """SGD on the user's batches; the module holds the result."""
        self.put(start)
        for x, y in self.batches[user]:
            self.backward(x, y)
            self.sgd.step()

    def train_envelope(self, user: int, start: Parameters) -> None:
        """The pFedMe update: each step moves w towards the theta that the batch wants near it."""
        w = [value.clone() for value in start]
        for x, y in self.batches[user]:
            self.put(w)
            for _ in range(INNER_STEPS):
                self.backward(x, y)
                self.pull_towards(w)
                self.inner_sgd.step()
            with torch.no_grad():
                for value, theta in zip(w, self.parameters, strict=True):
                    value.sub_(value - theta, alpha=LEARNING_RATE * LAMBDA)
        self.put(w)

    @torch.no_grad()
    def pull_towards(self, w: Parameters) -> None:
        """Add the gradient of lambda/2 ||theta - w||^2."""
        for theta, value in zip(self.parameters, w, strict=True):
            theta.grad.add_(theta - value, alpha=LAMBDA)


def run_round(trainer: Trainer, w: Parameters) -> Parameters:
    """The mean of all clients' models."""
    users = len(trainer.batches)
    total = [torch.zeros_like(value) for value in w]
    for user in range(users):
        trainer.train(user, w)
        for part, local in zip(total, trainer.parameters, strict=True):
            part.add_(local.detach())
    return [part / users for part in total]


def run_rounds(trainer: Trainer, rounds: int, gate_rounds: int) -> tuple[list[float], Parameters]:
    """Seconds of every round, and the model after the gate's rounds."""
    w = gate = trainer.copy()
    seconds = []
    for number in range(1, rounds + 1):
        since = time.perf_counter()
        w = run_round(trainer, w)
        seconds.append(time.perf_counter() - since)
        if number == gate_rounds:
            gate = w
    return seconds, gate


class Server:
    """The model and those of its old versions that a client still has to be computed from."""

    def __init__(self, w: Parameters, versions: list[int], server_lr: float) -> None:
        self.w = w
        self.server_lr = server_lr
        self.last_use = {version: arrival for arrival, version in enumerate(versions)}
        self.kept = {0: w}

    @torch.no_grad()
    def merge(self, arrival: int, version: int, local: Parameters) -> None:
        """w <- w - server_lr (w_read - w_local)."""
        read = self.kept[version]
        self.w = [
            value.sub(old - new, alpha=self.server_lr)
            for value, old, new in zip(self.w, read, local, strict=True)
        ]
        if self.last_use[version] == arrival:
            del self.kept[version]
        if arrival + 1 in self.last_use:
            self.kept[arrival + 1] = self.w


def run_arrivals(
    trainer: Trainer, train: Callable[[int, Parameters], None], given: Namespace
) -> tuple[float, Parameters]:
    """Seconds of all arrivals, and the model after the gate's."""
    with np.load(given.events) as events:
        users, versions = events["users"].tolist(), events["versions"].tolist()
        server_lr = float(events["server_lr"])
    start = gate = trainer.copy()
    server = Server(start, versions[: given.arrivals], server_lr)
    since = time.perf_counter()
    for arrival in range(given.arrivals):
        train(users[arrival], server.kept[versions[arrival]])
        server.merge(arrival, versions[arrival], trainer.parameters)
        if arrival + 1 == given.gate_arrivals:
            gate = server.w
    return time.perf_counter() - since, gate


def synchronous(trainer: Trainer, problem: Problem, given: Namespace, stdout: int) -> None:
    """w-sync, run and printed."""
    start_s = time.perf_counter() - IMPORTED
    seconds, gate = run_rounds(trainer, max(given.rounds, given.gate_rounds), given.gate_rounds)
    trainer.put(gate)
    timings = harness.Timings(IMPORTED - STARTED, start_s, 0.0, seconds)
    memory = harness.peak_memory_mb()
    harness.report_rounds(stdout, "loop", problem, mlp.flat(trainer.model), timings, memory)


def asynchronous(trainer: Trainer, problem: Problem, given: Namespace, stdout: int) -> None:
    """w-async or w-me, run and printed."""
    start_s = time.perf_counter() - IMPORTED
    train = trainer.train if given.workload == "w-async" else trainer.train_envelope
    seconds, gate = run_arrivals(trainer, train, given)
    trainer.put(gate)
    result = {
        "engine": "loop",
        "workload": given.workload,
        "import_s": IMPORTED - STARTED,
        "start_s": start_s,
        "compile_s": 0.0,
        "seconds": seconds,
        "updates": given.arrivals,
        "peak_memory_mb": harness.peak_memory_mb(),
        "gate_loss": mean_loss(mlp.flat(trainer.model), problem.X, problem.y),
    }
    harness.print_line(stdout, result)


def main() -> None:
    """Run one workload and print its result."""
    stdout = harness.reserve_stdout()
    parser = harness.parser("w-sync", "w-async", "w-me")
    parser.add_argument("--events", type=Path, help="users, versions and server_lr of the arrivals (.npz)")
    parser.add_argument("--arrivals", type=int, default=400, help="arrivals to run and time")
    parser.add_argument("--gate-arrivals", type=int, default=200, help="the gate's loss is taken after these")
    given = parser.parse_args()
    if given.workload != "w-sync" and given.events is None:
        parser.error(f"{given.workload} needs --events")
    if not 0 < given.gate_arrivals <= given.arrivals:
        parser.error("--gate-arrivals must be between 1 and --arrivals")
    problem = Problem.load(given.data)
    run = synchronous if given.workload == "w-sync" else asynchronous
    run(Trainer(problem), problem, given, stdout)


if __name__ == "__main__":
    main()
