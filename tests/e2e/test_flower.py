"""A Flower network on loopback, with TLS and node keys: a node and the server die, and strangers come."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flwr", reason="the engine flower is not installed")

from app.commands.exits import BAD_RUN, OK
from app.runs.directory import read_metrics
from app.runs.evaluation import describe, evaluate
from app.runs.flower.certificates import make_key
from app.runs.flower.network import Network
from data.public_counts import Bounds
from tests.app.runs.flower.nodes import log_with_secrets
from tests.e2e.flower import command, done, events, intruder, kill_all, processes_of, told, wait_until
from tests.ranking.nodes import imported

NODES, USERS, UPDATES = 2, 12, 48
OPTIONS = ("--algorithm", "persa-fl-me", "--updates", UPDATES, "--evaluations", 1, "--checkpoint-every", 6)
SHORT = ("--set", "deadline=15", "--set", "batch_users=6")

Log = tuple[Path, list[str]]
"""A dataset, and searches in it that nobody shares."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    place = tmp_path_factory.mktemp("log")
    secrets = log_with_secrets(place / "log.csv", USERS)
    imported(place / "log.csv", place / "data", Bounds())
    return place / "data", secrets


@pytest.fixture(scope="module")
def network(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    place = tmp_path_factory.mktemp("flower") / "net work"  # with a blank, as people's folders have
    try:
        done("flower", "up", "--data", log[0], "--nodes", NODES, "--network", place)
        yield Network.open(place)
    finally:
        done("flower", "down", "--network", place)
        assert not processes_of(place), "something is left behind"


def merged(run: Path) -> list[dict[str, Any]]:
    return [event for event in events(run) if event["event"] == "merged"]


def test_a_node_and_the_server_are_killed_and_strangers_are_refused(
    network: Network, log: Log, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    """One training: a node dies and another takes its place, then the server dies and goes on."""
    run, place = tmp_path / "run", ("--network", network.directory)
    unknown = make_key(tmp_path / "unknown.key").with_suffix(".key")
    ca = str(network.directory / "ca.pem")
    training = command("flower", "train", "--data", log[0], "--out", run, *place, *OPTIONS, *SHORT)
    strangers = [
        intruder(network, "--root-certificates", ca, "--auth-supernode-private-key", str(unknown)),
        intruder(network, "--insecure"),
    ]
    try:
        wait_until(lambda: len(merged(run)) >= 12, "both nodes have answered")
        kill_all(network, "node-1")
        network.register(make_key(network.directory / "keys" / "node-2.key"))
        network.start_node("node-2", "node-1")
        before = len(merged(run))
        wait_until(lambda: _by_both(merged(run)[before + 6 :]), "the new node goes on in its place")
        os.kill(next(about for what, about in told(network) if what == "pid"), signal.SIGKILL)
        _, err = training.communicate(timeout=60)
    finally:
        training.kill()
        kill_all(network, "intruder")
        for process, _ in strangers:
            process.wait()
    assert training.returncode == BAD_RUN, err
    assert f"persarank resume {run}" in err
    unknown_node, without_tls = (said.read_text() for _, said in strangers)
    assert "Failed to activate SuperNode" in unknown_node
    assert "Connection attempt failed" in without_tls

    died_at = len(merged(run))
    summary = done("resume", run, *place)
    assert summary["finished"] is True
    lines = merged(run)
    assert [line["updates"] for line in lines] == list(range(1, UPDATES + 1)), "nothing twice, nothing lost"
    assert max(line["staleness"][0] for line in lines) >= 6, "two nodes with six users each"
    assert died_at < UPDATES
    assert lines[-1]["network"]["users"] == USERS
    # A node that is sending to a server that dies is busy with it for half a minute: it may miss the end.
    assert summary["nodes"]["validation"]["users"] in (USERS, USERS // NODES)
    assert summary["validation_nmrr"]["personal"] > summary["validation_nmrr"]["random"] + 0.1

    (judged,) = evaluate([run], log[0], "test")
    assert describe(judged)["metrics"]["global"]["nmrr"] > 0.5
    assert cli("report", run, "--out", tmp_path / "report.html").code == OK
    assert len(read_metrics(run)) == UPDATES + 1

    seen = b"".join(file.read_bytes() for file in _of_the_server(network, run))
    assert b"common search" in seen
    assert not [text for text in log[1] if text.encode() in seen], "what nobody shares stays where it is"


def _by_both(lines: list[dict[str, Any]]) -> bool:
    """Whether users of both nodes are in these merges."""
    return len({user < USERS // NODES for line in lines for user in line["users"]}) == NODES


def _of_the_server(network: Network, run: Path) -> list[Path]:
    """All files of the SuperLink, of the ServerApp and of the run."""
    own = [*network.directory.glob("state.db*"), *network.directory.glob("logs/superlink.log")]
    folders = [run, network.directory / "jobs", network.directory / "flwr-superlink"]
    return [*own, *(file for folder in folders for file in folder.rglob("*") if file.is_file())]
