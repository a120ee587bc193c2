"""FedAvg of Flower on its simulation runtime: Ray, one actor per core, 200 virtual nodes."""

import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
sys.path[0] = str(Path(__file__).resolve().parents[1])  # where workload.py lies

import os
import tempfile
from dataclasses import dataclass, field

HOME = tempfile.TemporaryDirectory()
os.environ |= {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "FLWR_HOME": HOME.name,
    "OMP_NUM_THREADS": "1",
}

import harness
import mlp
import torch
from engines import flower_client
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from workload import Problem

IMPORTED = time.perf_counter()
ACTORS = 2


@dataclass
class Run:
    """Takes the time of every round and keeps the model of the gate."""

    options: harness.Options
    problem: Problem
    model: torch.nn.Module = field(default_factory=mlp.module)
    ticks: list[float] = field(default_factory=list)
    memory: float = 0.0

    def serve(self, grid: Grid, context: Context) -> None:
        """The server app: wake the actors, then run FedAvg."""
        mlp.set_flat(self.model, self.problem.start)
        arrays = ArrayRecord(self.model.state_dict())
        config = ConfigRecord({"data": str(self.options.data)})
        self.wake(grid, arrays, config)
        FedAvg(fraction_evaluate=0.0).start(
            grid=grid,
            initial_arrays=arrays,
            num_rounds=self.options.rounds,
            train_config=config,
            evaluate_fn=self.after_round,
        )
        self.memory = harness.peak_memory_mb()

    def wake(self, grid: Grid, arrays: ArrayRecord, config: ConfigRecord) -> None:
        """One message for each actor, so that no round waits for them to import torch and load data."""
        while len(nodes := list(grid.get_node_ids())) < self.problem.users:
            time.sleep(0.1)
        content = RecordDict({"arrays": arrays, "config": config})
        messages = [Message(content, node, "train") for node in nodes[: 2 * ACTORS]]
        grid.send_and_receive(messages)

    def after_round(self, number: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Called by the strategy before the first round and after each."""
        self.ticks.append(time.perf_counter())
        if number == self.options.gate_rounds:
            self.model.load_state_dict(arrays.to_torch_state_dict())
        return None


def main() -> None:
    """Run the rounds and print the result."""
    stdout = harness.reserve_stdout()
    options = harness.options()
    run = Run(options, Problem.load(options.data))
    server = ServerApp()
    server.main()(run.serve)
    run_simulation(
        server_app=server,
        client_app=flower_client.app,
        num_supernodes=run.problem.users,
        backend_config={
            "init_args": {"num_cpus": ACTORS, "log_to_driver": False},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )
    seconds = [end - begin for begin, end in zip(run.ticks, run.ticks[1:], strict=False)]
    timings = harness.Timings(IMPORTED - STARTED, run.ticks[0] - IMPORTED, 0.0, seconds)
    harness.report_rounds(stdout, "flower", run.problem, mlp.flat(run.model), timings, run.memory)


if __name__ == "__main__":
    main()
