"""Runs on nodes: as good as in simulation, resumable, and nothing leaves a node that must not."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("flwr", reason="the engine flower is not installed")

from app.runs.directory import open_run, read_metrics
from app.runs.evaluation import describe, evaluate, judge, prepare
from app.runs.flower.home import Home
from app.runs.settings import resolve
from app.runs.training import UnfinishedError, train_run
from data.public_counts import Bounds
from data.storage import read
from federated.engines.messages import Content
from tests.app.runs.flower.nodes import LocalPost, ignore, log_with_secrets, network, trained
from tests.ranking.nodes import imported

Run = tuple[Path, dict[str, Any], LocalPost]
"""Its directory, its summary, and the nodes."""

BOUNDS = Bounds(2, 50, 5)


@pytest.fixture(scope="module")
def finished(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on three nodes, its summary, and the nodes."""
    place = tmp_path_factory.mktemp("finished")
    post = network(shared, 3, place)
    return place / "run", trained(post, shared, place / "run", 240), post


def test_it_is_as_good_as_in_simulation(finished: Run, shared: Path, tmp_path: Path) -> None:
    _, summary, _ = finished
    settings = resolve({"algorithm": "persa-fl-me", "updates": 240, "evaluations": 2}, {"concurrency": 12})
    alone = train_run(settings, shared, read(shared), tmp_path / "run", ignore)
    for ranking in ("random", "global", "personal"):
        there, here = summary["validation_nmrr"][ranking], alone["validation_nmrr"][ranking]
        assert there == pytest.approx(here, abs=1e-12 if ranking == "random" else 0.01)
    assert summary["updates"] == 240
    assert summary["finished"] is True
    assert summary["own_models"]["setting"] == "lam"


def test_the_common_model_is_judged_on_nodes_as_it_is_here(finished: Run, shared: Path) -> None:
    """The same slates, features and metrics: sums over nodes are the means of one place."""
    out, summary, _ = finished
    for split in ("validation", "test"):
        judged = judge(open_run(out), prepare(shared, split), split)
        told = describe(judged)["metrics"]["global"]
        there = summary["nodes"][split]
        assert there["users"] == 12
        for name, value in there["metrics"]["global"].items():
            assert value == pytest.approx(told[name], abs=1e-9), name


def test_own_models_are_on_the_nodes_and_nowhere_else(
    finished: Run,
) -> None:
    out, summary, post = finished
    assert set(load_file(out / "model.safetensors")) == {"common"}
    for config in post.configs.values():
        (kept,) = (Path(config["home"]) / "trainings").iterdir()
        own = load_file(kept / "own.safetensors")["personal"]
        assert own.shape == (4, load_file(out / "model.safetensors")["common"].numel())
        assert torch.isfinite(own).all()
        assert not list(kept.glob("train.*")), "slates are no longer needed"
    gain = summary["nodes"]["test"]["personal_minus_global"]
    assert gain["low"] <= gain["mean"] <= gain["high"]


def test_metrics_are_those_of_every_run(finished: Run) -> None:
    out, summary, _ = finished
    events = read_metrics(out)
    merged = [event for event in events if event["event"] == "merged"]
    assert sum(len(event["users"]) for event in merged) == 240
    late = [s for event in merged for s in event["staleness"]]
    assert summary["staleness"] == {"mean": round(float(np.mean(late)), 3), "max": max(late)}
    assert max(late) >= 4, "three nodes with four users each"
    assert len([event for event in events if event["event"] == "evaluated"]) == 2
    assert merged[-1]["network"]["users"] == 12


def test_evaluate_reads_the_run(finished: Run, shared: Path) -> None:
    (judged,) = evaluate([finished[0]], shared, "test")
    told = describe(judged)
    assert told["metrics"]["personal"] == told["metrics"]["global"]
    assert not told["warnings"]
    assert [note["kind"] for note in told["notes"]] == ["are on their nodes"], "nothing wrong, but said"
    assert told["nodes"]["test"]["metrics"]["personal"]["nmrr"] > 0


def test_nothing_leaves_a_node_that_must_not(tmp_path: Path) -> None:
    """Everything that nodes have answered, byte by byte: of a log in which each has searches of their own."""
    secrets = log_with_secrets(tmp_path / "log.csv")
    dataset = imported(tmp_path / "log.csv", tmp_path / "data", BOUNDS)
    post = network(tmp_path / "data", 3, tmp_path)
    trained(post, tmp_path / "data", tmp_path / "run", 60)
    assert not post.failed
    sent = b"".join(post.wire)
    assert b"common search" in sent, "what is shared is told by name"
    assert not [text for text in secrets if text.encode() in sent]
    assert not [name for name in dataset.users.column("name").to_pylist() if name.encode() in sent]
    assert b"a query" not in sent, "nor a part of them: no prefix either"
    assert bytes(range(32)) not in sent, "nor the secret by which searches are hashed"
    train = read(tmp_path / "data").slates.num_rows
    sizes = dict.fromkeys(post.kinds, 0)
    assert set(sizes) == {"marks", "names", "begin", "updates", "judge", "rehearse", "finish"}
    assert train > 0


@pytest.mark.parametrize("kind", ["judge", "rehearse", "finish"])
def test_what_is_told_of_users_models_is_sums(kind: str, shared: Path, tmp_path: Path) -> None:
    answers: list[Content] = []

    def listening(said: str, content: Content) -> Content:
        answers.extend([content] if said == kind else [])
        return content

    post = network(shared, 3, tmp_path)
    post.spoil = dict.fromkeys(post.configs, listening)
    trained(post, shared, tmp_path / "run", 24)
    assert len(answers) >= 3
    numbers = json.dumps([dict(answer.plain) for answer in answers])
    assert len(numbers) < 6000 * len(answers), "no list of users"
    for answer in answers:
        assert {name: array.shape for name, array in answer.arrays.items()} == (
            {"sums": (8,), "products": (8, 8), "finite": (8,)} if kind == "rehearse" else {}
        )


@pytest.mark.parametrize(
    "algorithm", ["fedavg", "fedbuff", "fedasync", "persa-fl", "persa-fl-maml", "pfedme"]
)
def test_algorithms_with_a_server_learn(algorithm: str, shared: Path, tmp_path: Path) -> None:
    post = network(shared, 2, tmp_path)
    summary = trained(post, shared, tmp_path / "run", 100, algorithm=algorithm)
    assert not post.failed
    assert summary["validation_nmrr"]["global"] > summary["validation_nmrr"]["random"] + 0.2


def test_a_server_that_stops_goes_on_from_its_checkpoint(shared: Path, tmp_path: Path) -> None:
    post = network(shared, 3, tmp_path)
    first = trained(post, shared, tmp_path / "run", 120, until=50)
    assert first["finished"] is False
    assert first["updates"] >= 50
    counted = post.kinds.count("marks")
    summary = trained(post, shared, tmp_path / "run", 120)
    assert post.kinds.count("marks") == counted, "what is public was counted before"
    assert summary["finished"] is True
    merged = [event for event in read_metrics(tmp_path / "run") if event["event"] == "merged"]
    updates = [event["updates"] for event in merged]
    assert updates == list(range(1, 121))
    users = [user for event in merged for user in event["users"]]
    assert max(map(users.count, range(12))) - min(map(users.count, range(12))) <= 2


def test_a_node_without_the_secret_cannot_count_but_can_learn(shared: Path, tmp_path: Path) -> None:
    post = network(shared, 3, tmp_path)
    (Path(post.configs[2]["home"]) / "counting.key").unlink()
    summary = trained(post, shared, tmp_path / "run", 60)
    assert summary["nodes"]["public"]["nodes"] == 2
    assert summary["nodes"]["nodes"] == 3
    assert summary["network"]["errors"] == 1


def test_own_models_that_are_lost_are_told(shared: Path, tmp_path: Path) -> None:
    from app.runs.training import NotFiniteError

    post = network(shared, 2, tmp_path)
    with pytest.raises((NotFiniteError, FloatingPointError, UnfinishedError)):
        trained(
            post,
            shared,
            tmp_path / "run",
            40,
            overrides={"personal_steps": 500, "lam": 0.1, "inner_lr": 15.0},
        )


def test_a_home_keeps_its_name(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.name == Home(tmp_path).name
    assert len(home.name) == 32
    for name in ("../x", "", "a/b", "é", "x" * 65):
        with pytest.raises(ValueError, match="name"):
            home.training(name)


def test_the_summary_and_the_evaluation_are_told_for_people(
    finished: Run, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from app.reports import tables

    out, summary, _ = finished
    tables.summary(summary, Console(width=2000))
    (judged,) = evaluate([out], shared, "test")
    tables.evaluation({"runs": [describe(judged)], "differences": []}, Console(width=2000))
    said = capsys.readouterr().out
    there = summary["nodes"]["test"]["metrics"]["personal"]["nmrr"]
    assert f"personal {there:.4f}." in said
    assert "orders to 3 nodes with 12 users" in said
    assert "personal − global" not in said, "there is no own model here to compare"
    rows = [line.split("│")[1].strip() for line in said.splitlines() if line.startswith("│")]
    assert "global" in rows
    assert "personal" not in rows, "it would be the common model's"


# what a fresh pair of eyes found


def test_a_node_with_another_secret_is_left_out_of_the_counts(shared: Path, tmp_path: Path) -> None:
    post = network(shared, 3, tmp_path)
    (Path(post.configs[2]["home"]) / "counting.key").write_bytes(bytes(32))
    summary = trained(post, shared, tmp_path / "run", 60)
    assert summary["nodes"]["public"]["nodes"] == 2
    assert summary["network"]["rejected"] == 1
    assert summary["nodes"]["test"]["users"] == 12, "it learns all the same"


def test_a_validation_that_nobody_answers_is_asked_again(shared: Path, tmp_path: Path) -> None:
    post, asked = network(shared, 2, tmp_path), []

    def forgetful(kind: str, content: Content) -> Content:
        asked.extend([kind] if kind == "judge" else [])
        return Content({"order": content.plain["order"]}) if kind == "judge" and len(asked) < 3 else content

    post.spoil = dict.fromkeys(post.configs, forgetful)
    summary = trained(post, shared, tmp_path / "run", 40)
    assert summary["finished"] is True
    assert summary["network"]["rejected"] == 2


def test_scores_that_are_not_finite_at_a_node_end_the_training(shared: Path, tmp_path: Path) -> None:
    post = network(shared, 2, tmp_path)
    post.spoil = {2: lambda kind, c: Content({**c.plain, "sums": None}) if kind == "judge" else c}
    with pytest.raises(FloatingPointError, match="no longer finite"):
        trained(post, shared, tmp_path / "run", 40)


def test_a_node_that_has_lost_what_it_kept_is_told_to_begin_again(shared: Path, tmp_path: Path) -> None:
    post, seen = network(shared, 2, tmp_path), []

    def losing(kind: str, content: Content) -> Content:
        seen.append(kind)
        if seen.count("updates") == 2 and kind == "updates":
            shutil.rmtree(Path(post.configs[2]["home"]) / "trainings")
        return content

    post.spoil = {2: losing}
    summary = trained(post, shared, tmp_path / "run", 80)
    assert seen.count("begin") == 2
    assert summary["network"]["errors"] >= 1
    assert summary["nodes"]["test"]["users"] == 12


def test_two_trainings_alike_do_not_share_a_folder(shared: Path, tmp_path: Path) -> None:
    post = network(shared, 2, tmp_path)
    for name in ("one", "two"):
        trained(post, shared, tmp_path / name, 24)
    assert len(list((Path(post.configs[1]["home"]) / "trainings").iterdir())) == 2
