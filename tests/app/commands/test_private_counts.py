"""Public counts by a threshold in words, or with differential privacy, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ranking.test_releasing import log_of

COLUMNS = ("--user", "user", "--time", "time", "--query", "query")
SIMULATE = ("data", "simulate", "--users", 4)
DP = ("--public-counts", "dp")


def manifest(directory: Path) -> Any:
    return json.loads((directory / "manifest.json").read_text())


@pytest.mark.parametrize("kind", ["import", "simulate"])
def test_a_threshold_is_federated_with_so_many_users(kind: str, tmp_path: Path, cli: Any) -> None:
    log_of(tmp_path / "log.csv")
    made = SIMULATE if kind == "simulate" else ("data", "import", tmp_path / "log.csv", *COLUMNS)
    more = ("--public-things", 4, "--public-times", 2)
    one = cli(*made, "--out", tmp_path / "one", "--public-counts", "threshold=3", *more)
    two = cli(*made, "--out", tmp_path / "two", "--public-counts", "federated", "--public-users", 3, *more)
    assert not one.code | two.code, one.err
    assert one.out == two.out
    assert manifest(tmp_path / "one") == manifest(tmp_path / "two")
    assert "not differential privacy" in " ".join(one.out.split())


@pytest.mark.parametrize("command", ["import", "simulate"])
def test_the_help_says_what_a_threshold_is_not(command: str, cli: Any) -> None:
    shown = cli("data", command, "--help").out
    words = " ".join(shown.replace("│", " ").split())
    assert "threshold=K: the same, shared by K users, which is not differential privacy" in words
    assert "--public-epsilon" in words


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--public-counts", "threshold=0"), "needs a whole number of users, at least 1"),
        (("--public-counts", "threshold="), "needs a whole number of users"),
        (("--public-counts", "threshold=2.5"), "needs a whole number of users"),
        (("--public-counts", "threshold=3", "--public-users", 3), "says already what --public-users would"),
        (("--public-counts", "threshold=3", "--public-epsilon", 1), "needs --public-counts dp"),
        (("--public-epsilon", 1), "--public-epsilon needs --public-counts dp."),
        (("--public-counts", "federated", "--public-delta", 0.1), "--public-delta needs --public-counts dp."),
        (DP, "--public-counts dp needs --public-epsilon, e.g. --public-epsilon 4."),
        (
            (*DP, "--public-epsilon", 1, "--public-users", 2),
            "--public-users needs --public-counts federated.",
        ),
        ((*DP, "--public-epsilon", 0), "public epsilon = 0.0: it must be from 0.01 to 100."),
        ((*DP, "--public-epsilon", -1), "public epsilon = -1.0: it must be from 0.01 to 100."),
        ((*DP, "--public-epsilon", "nan"), "public epsilon = nan: it must be from 0.01 to 100."),
        ((*DP, "--public-epsilon", 1, "--public-delta", 0), "public delta = 0.0: it must be from"),
        ((*DP, "--public-epsilon", 1, "--public-delta", "nan"), "public delta = nan: it must be from"),
        ((*DP, "--public-epsilon", 1, "--public-things", 10**6), "with noise it must be 10000 or less"),
    ],
)
def test_options_that_make_no_sense(
    options: tuple[Any, ...], sentence: str, tmp_path: Path, cli: Any
) -> None:
    called = cli(*SIMULATE, "--out", tmp_path / "d", *options)
    assert called.code == 2
    assert sentence in " ".join(called.err.replace("│", " ").split())
    assert not (tmp_path / "d").exists()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused before there is any noise is refused with OpenDP or without."""
    for module in ("data.privacy", "ranking.releasing"):
        monkeypatch.setattr(f"{module}.require_mechanism", lambda: None)


@pytest.mark.usefixtures("installed")
def test_a_log_cannot_be_strict_and_private(tmp_path: Path, cli: Any) -> None:
    strict = (*DP, "--public-epsilon", 1, "--strict-time")
    called = cli("data", "import", tmp_path / "no.csv", *COLUMNS, "--out", tmp_path / "d", *strict)
    assert called.code == 2
    assert "--strict-time needs --public-counts central." in " ".join(called.err.split())


@pytest.mark.usefixtures("installed")
def test_delta_must_be_less_than_one_over_the_users(tmp_path: Path, cli: Any) -> None:
    log_of(tmp_path / "log.csv")
    for made in (SIMULATE, ("data", "import", tmp_path / "log.csv", *COLUMNS)):
        called = cli(*made, "--out", tmp_path / "d", *DP, "--public-epsilon", 1, "--public-delta", 0.3)
        assert called.code == 4
        assert "must be less than one over the number of users" in called.err
        assert not (tmp_path / "d").exists()


def test_without_opendp(tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.privacy.find_spec", lambda name: None)
    called = cli(*SIMULATE, "--out", tmp_path / "d", *DP, "--public-epsilon", 1)
    assert called.code == 4
    assert "pip install 'persarank[privacy]'" in called.err


def test_a_run_on_private_counts(tmp_path: Path, cli: Any) -> None:
    """Made, shown, checked, trained on and evaluated; the release that was stored is all that is read."""
    pytest.importorskip("opendp", reason="needs the extra privacy")
    rows = [
        f"u{u},2024-01-{d:02},{'shared' if d % 2 else f'secret of {u}'},g{u % 2}\n"
        for u in range(12)
        for d in range(1, 29)
    ]
    (tmp_path / "log.csv").write_text("user,time,query,group\n" + "".join(rows))
    private = (*DP, "--public-epsilon", 40, "--public-delta", 0.05, "--public-things", 6)
    made = ("data", "import", tmp_path / "log.csv", *COLUMNS, "--group", "group", "--typed", 1)
    called = cli(*made, "--out", tmp_path / "d", *private)
    assert called.code == 0, called.err
    shown = " ".join(called.out.replace("│", " ").split())
    assert "(40, 0.05)-differential privacy of the public counts" in shown
    assert "epsilon 40, delta 0.05, things 6, times 1" in shown
    said = manifest(tmp_path / "d")["release"]
    assert {table["name"] for table in said["tables"].values()} == {
        *("queries", "queries in groups", "query after query", "query after query 2 back"),
        *("query after first word", "first word after first word"),
    }
    assert sum(table["rho"] for table in said["tables"].values()) == pytest.approx(said["rho"])
    card = json.loads(cli("data", "check", tmp_path / "d", "--json").out)
    assert card["released"] == {t["name"]: t["released"] for t in said["tables"].values()}
    assert 0 < card["test_searches_in_index"]["here"] <= card["test_searches_in_index"]["central"]
    run = tmp_path / "run"
    trained = cli("train", "--data", tmp_path / "d", "--out", run, "--updates", 20, "--evaluations", 0)
    assert trained.code == 0, trained.err
    assert cli("evaluate", run).code == 0
    offered = cli("suggest", run, "s", "--user", "u1", "--json").out
    assert "secret of 1" in offered
    assert not any(f"secret of {other}" in offered for other in (0, 2, 3))
