"""pFedMe of PFLlib, run by its own server and clients from a checkout: updates per second.

Its main.py imports torchvision for models that are not needed here; its server class does not, and takes
the arguments as a namespace. No gate: PFLlib shuffles each client's batches, starts every inner problem
where the last one ended, adds a decay of 0.001, and classifies by two outputs with cross-entropy.
"""

import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
sys.path[0] = str(Path(__file__).resolve().parents[1])  # where workload.py lies

import os
import tempfile
from argparse import Namespace

import harness
import numpy as np
from workload import (
    BATCH,
    INNER_LEARNING_RATE,
    INNER_STEPS,
    LAMBDA,
    LAYERS,
    LEARNING_RATE,
    Problem,
)

NAME = "workload"
NEVER = 10**9


def write_dataset(problem: Problem, folder: Path) -> None:
    """One file per client and split, as PFLlib reads them; a test split must exist, so it is tiny.

    Their format is a pickled dict in an .npz: theirs to choose, and read back by nobody else.
    """
    for split, samples in (("train", slice(None)), ("test", slice(BATCH))):
        (folder / split).mkdir(parents=True)
        for user in range(problem.users):
            data = {"x": problem.X[user, samples], "y": problem.y[user, samples].astype(np.int64)}
            np.savez(folder / split / f"{user}.npz", data=np.array(data))


def arguments(users: int, rounds: int) -> Namespace:
    """What PFLlib's command line would say: all join, nobody is slow, drops out or is attacked."""
    from torch import nn

    features, first, second, _ = LAYERS
    hidden = nn.Sequential(nn.Linear(features, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU())
    training = {"batch_size": BATCH, "local_learning_rate": LEARNING_RATE, "local_epochs": 1, "few_shot": 0}
    moreau = {"lamda": LAMBDA, "K": INNER_STEPS, "p_learning_rate": INNER_LEARNING_RATE, "beta": 1.0}
    joining = {"num_clients": users, "join_ratio": 1.0, "random_join_ratio": False, "client_drop_rate": 0.0}
    slow = {"train_slow_rate": 0.0, "send_slow_rate": 0.0, "time_select": False, "time_threthold": 1e9}
    unused = {"learning_rate_decay": False, "learning_rate_decay_gamma": 1.0, "auto_break": False}
    attacks = {"dlg_eval": False, "dlg_gap": NEVER, "batch_num_per_client": 1}
    newcomers = {"num_new_clients": 0, "fine_tuning_epoch_new": 0}
    names = {"dataset": NAME, "algorithm": "pFedMe", "goal": "speed", "save_folder_name": "items"}
    return Namespace(
        model=nn.Sequential(hidden, nn.Linear(second, 2)),
        device="cpu",
        num_classes=2,
        global_rounds=rounds,  # PFLlib runs one more
        top_cnt=NEVER,
        eval_gap=NEVER,  # evaluates in round 0 only, which is left out
        **training | moreau | joining | slow | unused | attacks | newcomers | names,
    )


def run(checkout: Path, problem: Problem, rounds: int) -> list[float]:
    """Seconds of every round after the first."""
    sys.path.insert(1, str(checkout / "system"))
    from flcore.servers.serverpFedMe import pFedMe

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        write_dataset(problem, Path(scratch) / "dataset" / NAME)
        (Path(scratch) / "system").mkdir()
        os.chdir(Path(scratch) / "system")  # PFLlib looks for ../dataset
        server = pFedMe(arguments(problem.users, rounds), 0)
        server.train()
        os.chdir(here)
    return server.Budget[1:]


def main() -> int:
    """Run pFedMe and print the result; 2 where this checkout or environment cannot."""
    stdout = harness.reserve_stdout()
    parser = harness.parser("w-me")
    parser.add_argument("--checkout", type=Path, required=True, help="a clone of PFLlib")
    given = parser.parse_args()
    problem = Problem.load(given.data)
    try:
        seconds = run(given.checkout.resolve(), problem, given.rounds)
    except ImportError as error:
        print(f"PFLlib cannot run here: {error}.", file=sys.stderr)
        return 2
    result = {
        "engine": "pfllib",
        "workload": "w-me",
        "start_s": time.perf_counter() - STARTED - sum(seconds),
        "round_seconds": seconds,
        "updates_per_round": problem.users,
        "updates_per_s": problem.users / float(np.median(seconds)),
        "gate_loss": None,
        "peak_memory_mb": harness.peak_memory_mb(),
    }
    harness.print_line(stdout, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
