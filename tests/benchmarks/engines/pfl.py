"""FedAvg of Apple's pfl-research on its simulated backend."""

import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
# Finds workload.py, and keeps `import pfl` from finding this very file.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
import tempfile

import harness
import mlp
import numpy as np
import torch
from numpy.typing import NDArray
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from workload import BATCH, LEARNING_RATE, Problem

IMPORTED = time.perf_counter()


class Classifier(nn.Module):
    """The workload's model with the two methods that pfl asks of a module."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = mlp.module()

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean binary cross-entropy of a batch."""
        return binary_cross_entropy_with_logits(self.layers(x).squeeze(-1), y)

    def metrics(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Nothing is evaluated here."""
        return {}


class Clock(TrainingProcessCallback):
    """Takes the time of every round and keeps the model of the gate."""

    def __init__(self, gate_rounds: int) -> None:
        self.gate_rounds = gate_rounds
        self.seconds: list[float] = []

    def on_train_begin(self, *, model: PyTorchModel) -> Metrics:
        """The first round begins."""
        self.gate = mlp.flat(model.pytorch_model)
        self.since = time.perf_counter()
        return Metrics()

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        """A round ends and the next begins."""
        self.seconds.append(time.perf_counter() - self.since)
        if len(self.seconds) == self.gate_rounds:
            self.gate: NDArray[np.float32] = mlp.flat(model.pytorch_model)
        self.since = time.perf_counter()
        return False, Metrics()


def backend(problem: Problem) -> SimulatedBackend:
    """All clients' data as tensors, made once, visited in order."""
    X, y = torch.from_numpy(problem.X), torch.from_numpy(problem.y)
    datasets = [Dataset([X[user], y[user]], user_id=str(user)) for user in range(problem.users)]
    sampler = get_user_sampler("minimize_reuse", list(range(problem.users)))
    federated = FederatedDataset(datasets.__getitem__, sampler)
    return SimulatedBackend(training_data=federated, val_data=federated)


def model(problem: Problem) -> PyTorchModel:
    """Plain SGD on the clients; the server takes the mean of their models as it is."""
    classifier = Classifier()
    mlp.set_flat(classifier, problem.start)
    server = torch.optim.SGD(classifier.parameters(), lr=1.0)
    return PyTorchModel(classifier, local_optimizer_create=torch.optim.SGD, central_optimizer=server)


def algorithm() -> FederatedAveraging:
    """FedAvg that goes on from iteration 1: at iteration 0 pfl evaluates, whatever the frequency."""
    averaging = FederatedAveraging()
    with tempfile.TemporaryDirectory() as folder:
        state = {"current_central_iteration": 1}
        (Path(folder) / "algorithm_checkpoint.json").write_text(json.dumps(state))
        averaging.load(folder)
    return averaging


def main() -> None:
    """Run the rounds and print the result."""
    stdout = harness.reserve_stdout()
    options = harness.options()
    problem = Problem.load(options.data)
    clock = Clock(options.gate_rounds)
    iterations = options.rounds + 1  # counted from 0, begun at 1
    rounds = NNAlgorithmParams(
        central_num_iterations=iterations,
        evaluation_frequency=iterations,
        train_cohort_size=problem.users,
        val_cohort_size=None,
    )
    local = NNTrainHyperParams(local_batch_size=BATCH, local_num_epochs=1, local_learning_rate=LEARNING_RATE)
    parts = algorithm(), backend(problem), model(problem)
    start_s = time.perf_counter() - IMPORTED
    averaging, simulated, common = parts
    averaging.run(rounds, simulated, common, local, callbacks=[clock], send_metrics_to_platform=False)
    timings = harness.Timings(IMPORTED - STARTED, start_s, 0.0, clock.seconds)
    harness.report_rounds(stdout, "pfl", problem, clock.gate, timings, harness.peak_memory_mb())


if __name__ == "__main__":
    main()
