"""Runs of several rankers on several kinds of data, whose models are exported."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.commands.main import main
from app.runs.settings import resolve
from app.runs.training import train_run
from app.suggestions.suggester import Suggester, of_run
from data.storage import read

OPTIONS = {
    "all": (),
    "bounded": ("--public-counts", "federated"),
    "strict": ("--strict-time",),
}
"""How a log is imported."""

Suggesters = Callable[[str, str], Suggester]


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users in groups, with searches that many share, a few, and nobody."""
    draw, rows = np.random.default_rng(5), []
    for user in range(9):
        habits = draw.permutation(60)[:12]
        for number in range(60):
            query = f"{'abc'[draw.integers(3)]}{draw.choice(habits):02} of {'xyz'[draw.integers(3)]}"
            if number % 9 == 0:
                query = f"a secret {user} {number % 4}"
            time = pd.Timestamp("2026-01-01") + pd.Timedelta(hours=5 * number + user)
            rows.append((f"user/{user}", time.isoformat(), query, f"group {user % 2}" if user else None))
    out = tmp_path_factory.mktemp("devices") / "log.csv"
    pd.DataFrame(rows, columns=["user", "time", "query", "group"]).to_csv(out, index=False)
    return out


@pytest.fixture(scope="session")
def suggesters(tiny: Path, log: Path, tmp_path_factory: pytest.TempPathFactory) -> Suggesters:
    """A run of a ranker on some data, trained once: on simulated users, or on the log as it is imported."""
    place = tmp_path_factory.mktemp("devices")

    @cache
    def of(data: str, ranker: str) -> Suggester:
        folder = tiny if data == "simulated" else place / data
        if data == "simulated bounded" and not folder.exists():
            counts = ("--users", "20", "--seed", "0", "--public-counts", "federated")
            with pytest.raises(SystemExit, match="0"):
                main(["data", "simulate", "--out", str(folder), *counts])
        elif not folder.exists():
            named = ("--user", "user", "--time", "time", "--query", "query", "--group", "group")
            with pytest.raises(SystemExit, match="0"):
                main(["data", "import", str(log), *named, "--out", str(folder), *OPTIONS[data]])
        settings: dict[str, Any] = {
            "algorithm": "persa-fl-me",
            "ranker": ranker,
            "updates": 60,
            "evaluations": 0,
        }
        own = {"lam": 3.0, "personal_samples": 5}
        if ranker in ("forest", "lightgbm"):
            settings, own = {"algorithm": "local", "ranker": ranker}, {"n_estimators": 3}
        if ranker == "federated forest":
            settings, own = {"algorithm": "federated", "ranker": "forest"}, {"n_estimators": 3}
        out = place / f"{data} {ranker}"
        train_run(resolve(settings, own), folder, read(folder), out, lambda event: None)
        return of_run(out, shared_by=2)

    return of
