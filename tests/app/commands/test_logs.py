"""The commands on imported logs: what is told of users and phases, on whatever terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_cannot_show_all_letters(encoding: str, tmp_path: Path) -> None:
    """Characters are replaced; nothing ends half-way."""
    log = "user,time,query\n" + "".join(
        f"ü{u},2024-01-{d:02},ж {d % 3}\n" for u in range(3) for d in range(1, 29)
    )
    (tmp_path / "log.csv").write_text(log, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    columns = ["--user", "user", "--time", "time", "--query", "query"]
    commands = [
        ["list"],
        ["data", "import", "log.csv", "--out", "data", *columns],
        ["data", "check", "data"],
        ["data", "check", "жжж"],
        ["train", "--data", "data", "--out", "run", "--updates", "20", "--evaluations", "0"],
        ["evaluate", "run"],
    ]
    script = "import sys; from app.commands.main import main\nfor a in eval(sys.argv[1]):\n"
    script += "    try: main(a)\n    except SystemExit as e: print('code', e.code)"
    ended = subprocess.run(
        [sys.executable, "-c", script, repr(commands)], cwd=tmp_path, env=environment, capture_output=True
    )
    assert ended.returncode == 0, ended.stderr.decode(encoding)
    shown = ended.stdout.decode(encoding)
    assert [line for line in shown.splitlines() if line.startswith("code")] == [
        f"code {code}" for code in (0, 0, 0, 3, 0, 0)
    ]
    assert "personal" in shown


def test_an_occupied_place_is_refused_before_the_log_is_read(tmp_path: Path, cli: Any) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    columns = ["--user", "user", "--time", "time", "--query", "query"]
    called = cli("data", "import", tmp_path / "no such log.csv", "--out", tmp_path, *columns)
    assert called.code == 3
    assert "is not an empty directory" in called.err


def test_users_without_a_held_out_slate_are_told_of(tmp_path: Path, cli: Any) -> None:
    """One of five users searches nothing but new queries after the training period."""
    rows = [f"u{u},2024-01-{d:02},q{d % 3}\n" for u in range(4) for d in range(1, 29)]
    rows += [f"odd,2024-01-{d:02},{'q0' if d < 17 else f'new {d}'}\n" for d in range(1, 29)]
    (tmp_path / "log.csv").write_text("user,time,query\n" + "".join(rows))
    columns = ["--user", "user", "--time", "time", "--query", "query"]
    called = cli("data", "import", tmp_path / "log.csv", "--out", tmp_path / "d", "--drop-missed", *columns)
    assert called.code == 0, called.err
    assert "1 users without a test slate" in called.out
    run = tmp_path / "run"
    train = ("train", "--data", tmp_path / "d", "--out", run, "--updates", 20, "--evaluations", 0)
    assert cli(*train).code == 0
    assert "slates of 4 of 5 users" in " ".join(cli("evaluate", run).out.split())
    told = json.loads(cli("evaluate", run, "--json").out)["runs"][0]
    assert (told["users"], told["all_users"]) == (4, 5)


@pytest.mark.parametrize("ranker", ["forest", "lightgbm"])
def test_local_trees_for_a_user_whose_pools_are_empty(ranker: str, tmp_path: Path, cli: Any) -> None:
    rows = [f"u{u},2024-01-{d:02},q{d % 3}\n" for u in range(3) for d in range(1, 29)]
    rows += [f"odd,2024-01-{d:02},{chr(97 + d)} alone\n" for d in range(1, 11)]
    (tmp_path / "log.csv").write_text("user,time,query\n" + "".join(rows))
    columns = ["--user", "user", "--time", "time", "--query", "query"]
    assert cli("data", "import", tmp_path / "log.csv", "--out", tmp_path / "d", *columns).code == 0
    few = "min_samples_leaf=1" if ranker == "forest" else "min_child_samples=1"
    trained = cli(
        *("train", "--data", tmp_path / "d", "--out", tmp_path / "run", "--algorithm", "local"),
        *("--ranker", ranker, "--set", "n_estimators=5", "--set", few),
    )
    assert trained.code == 0, trained.err
    evaluated = cli("evaluate", tmp_path / "run")
    assert evaluated.code == 0, evaluated.err


def test_the_summary_says_how_long_each_phase_took(tiny: Path, tmp_path: Path, cli: Any) -> None:
    called = cli("train", "--data", tiny, "--out", tmp_path / "run", "--updates", 40, "--json")
    phases = json.loads(called.out)["phases"]
    parts = ["reading", "features", "compiling", "training", "validation", "personal models", "saving"]
    assert list(phases) == parts
    assert all(seconds >= 0 for seconds in phases.values())
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["phases"] == phases


def test_making_and_checking_data_waits_for_no_model_library(tmp_path: Path) -> None:
    """Their import takes longer than a small log does."""
    rows = [f"u{u},2024-01-{d:02},q{d % 3}\n" for u in range(3) for d in range(1, 29)]
    (tmp_path / "log.csv").write_text("user,time,query\n" + "".join(rows))
    columns = ["--user", "user", "--time", "time", "--query", "query"]
    commands = [["data", "import", "log.csv", "--out", "data", *columns], ["data", "check", "data"]]
    script = "import sys; from app.commands.main import main\nfor a in eval(sys.argv[1]):\n"
    script += "    try: main(a)\n    except SystemExit as e: assert not e.code, e.code\n"
    script += "print('imported', {'torch', 'sklearn', 'lightgbm', 'streamlit'} & set(sys.modules))"
    command = [sys.executable, "-c", script, repr(commands)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "imported set()"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--public-users", "3"], "--public-users needs --public-counts federated."),
        (
            ["--public-counts", "central", "--public-times", "3"],
            "--public-times needs --public-counts federated or dp.",
        ),
        (["--public-counts", "federated", "--strict-time"], "--strict-time needs --public-counts central."),
        (["--public-counts", "federal"], "did you mean 'federated'?"),
        (["--public-counts", "federated", "--public-things", "0"], "0 is not in the range x>=1"),
    ],
)
def test_what_becomes_public_is_bounded_or_not(
    options: list[str], sentence: str, tmp_path: Path, cli: Any
) -> None:
    columns = ["--user", "user", "--time", "time", "--query", "query"]
    called = cli("data", "import", tmp_path / "log.csv", "--out", tmp_path / "d", *columns, *options)
    assert called.code == 2
    assert sentence in " ".join(called.err.split())


def test_simulated_users_may_make_counts_together(tmp_path: Path, cli: Any) -> None:
    """Their searches and pools are the same, and nonsense is refused as of a log."""
    simulate = ("data", "simulate", "--users", 3)
    federated = ("--public-counts", "federated", "--public-users", 3, "--public-times", 4)
    assert not cli(*simulate, "--out", tmp_path / "central").code
    called = cli(*simulate, "--out", tmp_path / "federated", *federated)
    assert "users 3, things 200, times 4" in " ".join(called.out.split())
    one, two = (json.loads((tmp_path / d / "manifest.json").read_text()) for d in ("central", "federated"))
    assert one["files"] == two["files"]
    assert one["fingerprint"] != two["fingerprint"]
    bounds = {"public_counts": {"users": 3, "things": 200, "times": 4}}
    assert two["options"] == one["options"] | bounds
    for options, code, sentence in (
        (("--public-things", 3), 2, "--public-things needs --public-counts federated or dp."),
        (("--public-counts", "federal"), 2, "did you mean 'federated'?"),
        ((*federated[:3], 4), 3, "4 users must tell of something before it counts, and there are 3."),
    ):
        called = cli(*simulate, "--out", tmp_path / "other", *options)
        assert called.code == code
        assert sentence in " ".join(called.err.split())


def test_a_ranker_of_counts_that_users_make_together(tmp_path: Path, cli: Any) -> None:
    """Only what two users have searched is offered to the third, in evaluation and to who types."""
    rows = [
        f"u{u},2024-01-{d:02},{'shared' if d % 2 else f'secret of {u}'}\n"
        for u in range(3)
        for d in range(1, 29)
    ]
    (tmp_path / "log.csv").write_text("user,time,query\n" + "".join(rows))
    columns = ["--user", "user", "--time", "time", "--query", "query", "--typed", "1"]
    counts = ["--public-counts", "federated", "--public-users", "2"]
    called = cli("data", "import", tmp_path / "log.csv", "--out", tmp_path / "d", *columns, *counts)
    assert called.code == 0, called.err
    assert "users 2, things 200, times 10" in " ".join(called.out.split())
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert manifest["options"]["public_counts"] == {"users": 2, "things": 200, "times": 10}
    run = tmp_path / "run"
    assert not cli(
        "train", "--data", tmp_path / "d", "--out", run, "--updates", "20", "--evaluations", "0"
    ).code
    offered = json.loads(cli("suggest", run, "s", "--user", "u1", "--json").out)
    assert "secret of 1" in json.dumps(offered)
    for other in (0, 2):
        assert f"secret of {other}" not in json.dumps(offered)
