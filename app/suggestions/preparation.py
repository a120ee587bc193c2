"""Prepares the demo once: simulated users, a FedAvg and a PersA-FL run, and their figures."""

import shutil
import sys
from pathlib import Path

from app.commands.progress import TrainingBar
from app.runs.evaluation import evaluate, save_report
from app.runs.settings import resolve
from app.runs.training import train_run
from app.suggestions.demo import DATA, REPORT, RUNS
from data.schema import read, write
from data.simulator import simulate


def prepare(directory: Path, users: int = 200, updates: int | None = None) -> None:
    """Make what is missing of the demo; a part that was interrupted is made anew.

    ``users`` and ``updates`` (None: each algorithm's own) make a smaller demo, e.g. for a test.
    """
    data = directory / DATA
    if not (data / "manifest.json").is_file():
        print(f"Simulating {users} users …", file=sys.stderr, flush=True)
        shutil.rmtree(data, ignore_errors=True)
        write(simulate(users), data)
    for algorithm in RUNS:
        run = directory / algorithm
        if (run / REPORT).is_file():
            continue
        print(f"Training {algorithm} (once; about a minute) …", file=sys.stderr, flush=True)
        shutil.rmtree(run, ignore_errors=True)
        settings = resolve({"algorithm": algorithm, "updates": updates}, {})
        with TrainingBar(algorithm, settings.updates) as bar:
            train_run(settings, data, read(data), run, bar.see)
        save_report(*evaluate([run], data, "test"))
