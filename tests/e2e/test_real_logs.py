"""Real logs, one command each: import, train, evaluate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LOG = ["--user", "user", "--time", "timestamp", "--query", "query", "--group", "training"]


def test_import_train_evaluate(shell_csv: Path, tmp_path: Path, cli: Callable[..., object]) -> None:
    data, out = tmp_path / "shell", tmp_path / "run"
    called = cli("data", "import", shell_csv, "--out", data, *LOG, "--protocol", "published", "--json")
    assert called.code == 0, called.err
    card = json.loads(called.out)
    assert card["users"] == 229
    assert abs(card["repeat_rate"] - 0.419) < 0.005, "what others have counted in this log"
    assert abs(card["zipf_slope_top_200"] + 0.93) < 0.02
    assert card["repeat_lag_share"]["<=20"] > 0.8

    called = cli("train", "--data", data, "--out", out, "--algorithm", "fedavg", "--updates", 1000, "--json")
    assert called.code == 0, called.err
    called = cli("evaluate", out, "--average", "slates", "--json")
    assert called.code == 0, called.err
    (run,) = json.loads(called.out)["runs"]
    assert run["metrics"]["oracle"] is None, "nobody knows the truth of a real log"
    assert abs(run["metrics"]["popularity"]["mrr@10"] - 0.44) < 0.03
    assert run["metrics"]["history"]["mrr@10"] == pytest.approx(0.609, abs=0.002)
    assert run["metrics"]["global"]["mrr@10"] > 0.55


def test_package_commits_train_and_evaluate(buildroot_csv: Path, tmp_path: Path, cli: Any) -> None:
    """Another public log: which package each contributor names in a commit, over twenty years."""
    columns = ["--user", "user", "--time", "timestamp", "--query", "query"]
    data = tmp_path / "data"
    called = cli(
        "data", "import", buildroot_csv, "--out", data, *columns, "--protocol", "published", "--json"
    )
    assert called.code == 0, called.err
    card = json.loads(called.out)
    assert (card["users"], card["events"], card["slates"]) == (187, 68_001, 51_377)
    assert card["first_event"] == "2004-12-22T20:05:11Z"
    assert card["left_out"]["exact copies (kept)"] == 175
    run = tmp_path / "run"
    trained = cli("train", "--data", data, "--out", run, "--algorithm", "fedavg", "--updates", 60)
    assert trained.code == 0, trained.err
    evaluated = json.loads(cli("evaluate", run, "--json").out)["runs"][0]
    assert (evaluated["users"], evaluated["all_users"]) == (185, 187)
    assert evaluated["metrics"]["popularity"]["mrr@10"] == pytest.approx(0.182, abs=0.002)
    assert evaluated["metrics"]["history"]["mrr@10"] == pytest.approx(0.559, abs=0.002)
    assert evaluated["metrics"]["global"]["mrr@10"] > 0.182
