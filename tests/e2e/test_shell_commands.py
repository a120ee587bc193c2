"""The real log, one command each: import, train, evaluate."""

import json
from collections.abc import Callable
from pathlib import Path

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
    assert run["metrics"]["global"]["mrr@10"] > 0.55
