"""A search on a small dataset: who wins and why, and that it goes on wherever it was ended."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import ranking.building
from app.commands import main
from app.commands.exits import BAD_CONFIG, OK
from app.runs.evaluation import evaluate
from ranking.metrics import per_user
from tests.app.experiments.tuning.searching import PLANTED, SHORT, SMALL, Ended, Here

Cli = Callable[..., Any]


def files(out: Path) -> dict[str, bytes]:
    """What a search says, byte by byte, and the bits of the runs that it ends with."""
    named = [out / name for name in ("rungs.json", "result.json", "best.toml")]
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in (*named, *out.glob("runs/*/model.*"))}


def test_the_one_that_learns_wins_and_the_one_that_diverges_is_out(
    few: Path, tmp_path: Path, tune: Callable[..., Any], cli: Cli, here: Here
) -> None:
    out = tmp_path / "out"
    result = tune(out, *PLANTED)
    assert [c.get("lr") for c in result["candidates"]] == [None, 0.05, 1e-8, 1e30, 1e-7, 1e-6]
    assert result["winner"] == 1
    assert result["verdict"]["beats"] is True
    assert "The winner beats the defaults on test slates: NMRR +" in result["verdict"]["sentence"]
    assert list(result["rungs"][0]["out"]) == ["3"]
    assert "were refused (not finite)" in result["rungs"][0]["out"]["3"]
    assert "Out of the race: lr = 1e+30: the last" in result["said"]

    # from rung to rung: the defaults and the better half, a half further each
    assert [list(r["updates"].values()) for r in result["rungs"]] == [[20] * 6, [40] * 4, [80] * 3]
    assert all(0 in r["goes_on"] and r["goes_on"][0] == 1 for r in result["rungs"])
    assert [command[0] for command in here.commands] == ["train"] * 6 + ["resume"] * 7
    kept = {path.name for path in (out / "runs").iterdir()}
    assert kept == {f"candidate-{c}-seed-0" for c in result["rungs"][-1]["goes_on"]}

    # its settings train to its bits, in one go
    assert cli("train", "--config", out / "best.toml", "--data", few, "--out", tmp_path / "again").code == OK
    for name in ("model.safetensors", "metrics.jsonl", "config.toml"):
        run = out / "runs" / "candidate-1-seed-0"
        assert (run / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name

    # test figures are those of `evaluate`
    pair = [out / "runs" / f"candidate-{c}-seed-0" for c in (1, 0)]
    told = json.loads(cli("evaluate", pair[1], pair[0], "--json").out)
    assert result["test"]["defaults"]["personal"] == told["runs"][0]["metrics"]["personal"]
    assert result["test"]["winner"]["personal"] == told["runs"][1]["metrics"]["personal"]
    assert result["test"]["difference"]["nmrr"] == told["differences"][0]["nmrr"]
    assert result["test"]["yardsticks"]["oracle"] == told["runs"][0]["metrics"]["oracle"]

    # a second call trains nothing, and says the same
    trained = len(here.commands)
    again = tune(out, *PLANTED)
    assert {**again, "said": ""} == {**result, "said": ""}
    assert len(here.commands) == trained


def test_seeds_are_averaged(few: Path, tmp_path: Path, tune: Callable[..., Any], cli: Cli) -> None:
    """On validation by what users would get, and on test by users whom every seed has seen."""
    out = tmp_path / "out"
    result = tune(out, *SHORT, "--seeds", "0,3", "--over", "lr=0.02,0.1,0.4,0.6")
    first, *_, last = result["rungs"]
    assert all(len(figures) == 2 for figures in first["validation_nmrr"].values())
    means = {int(c): fmean(figures) for c, figures in last["validation_nmrr"].items()}
    assert last["goes_on"] == sorted(means, key=lambda c: -means[c])
    runs = {(c, s): out / "runs" / f"candidate-{c}-seed-{s}" for c in means for s in (0, 3)}
    for (candidate, seed), run in runs.items():
        (judged,) = evaluate([run], few, "validation")
        own = float(per_user(judged.personal["nmrr"], judged.ground.slates.user)[1].mean())
        assert last["validation_nmrr"][str(candidate)][(0, 3).index(seed)] == pytest.approx(own, abs=1e-9)
    best = result["winner"]
    assert best, "or there is nothing to compare"
    judged = evaluate([runs[best, 0], runs[best, 3], runs[0, 0], runs[0, 3]], few, "test")
    own = [float(per_user(j.personal["nmrr"], j.ground.slates.user)[1].mean()) for j in judged]
    gain = result["test"]["difference"]["nmrr"]
    assert gain["mean"] == pytest.approx((own[0] + own[1] - own[2] - own[3]) / 2)
    assert gain["low"] < gain["mean"] < gain["high"]
    assert result["test"]["winner"]["personal"]["nmrr"] == pytest.approx(fmean(own[:2]))
    assert "seed = 0" in (out / "best.toml").read_text()


def test_test_slates_are_read_only_in_the_end(
    tmp_path: Path, tune: Callable[..., Any], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int]] = []
    rows = ranking.building.split_rows

    def watched(dataset: Any, split: str) -> Any:
        read.append((split, len(here.commands)))
        return rows(dataset, split)

    monkeypatch.setattr(ranking.building, "split_rows", watched)
    tune(tmp_path / "out", *PLANTED)
    assert {split for split, _ in read} == {"train", "validation", "test"}
    assert {trained for split, trained in read if split == "test"} == {13}, "all trainings had ended"
    chosen = (tmp_path / "out" / "best.toml").read_bytes()
    (tmp_path / "out" / "result.json").unlink()
    monkeypatch.setattr("app.experiments.tuning.winner.prepare", None)
    with pytest.raises(AssertionError, match="unexpected TypeError"):
        tune(tmp_path / "out", *PLANTED)
    assert (tmp_path / "out" / "best.toml").read_bytes() == chosen, "which is known without them"


def test_ended_before_any_training_it_goes_on_to_the_same_bits(
    few: Path, tmp_path: Path, tune: Callable[..., Any], here: Here
) -> None:
    options = (*SHORT, "--over", "lr=0.2,0.02,0.1")
    tune(tmp_path / "whole", *options)
    whole, trainings = files(tmp_path / "whole"), len(here.commands)
    out = tmp_path / "out"
    for _ in range(trainings - 1):
        here.commands.clear()
        here.left = 1  # one more each time
        with pytest.raises(Ended):
            main.main(["tune", f"--data={few}", f"--out={out}", "--json", *map(str, options)])
        assert not (out / "result.json").exists()
    here.left = None
    tune(out, *options)
    assert files(out) == whole


def test_defaults_that_diverge_are_said_to(tmp_path: Path, tune: Callable[..., Any]) -> None:
    result = tune(tmp_path / "out", *SMALL, 80, "--set", "lr=1e30", "--over", "lr=0.02,0.05")
    assert "Out of the race: the defaults: the last" in result["said"]
    assert result["winner"] in (1, 2)
    assert result["verdict"]["beats"] is None
    assert "The defaults have diverged" in result["verdict"]["sentence"]


def test_own_models_that_are_lost_are_out_of_the_race(tmp_path: Path, tune: Callable[..., Any]) -> None:
    options = ("--algorithm", "reptile", "--updates", 40, "--set", "adapt_steps=2")
    result = tune(tmp_path / "out", *options, "--over", "adapt_lr=1e9,0.01")
    assert result["rungs"][0]["out"] == {
        "1": "the own models of 8 users are not finite; what they are made from ranks instead."
    }


def test_where_all_diverge_there_is_no_winner(few: Path, tmp_path: Path, cli: Cli) -> None:
    options = (*SMALL, 80, "--set", "lr=1e30", "--over", "lr=1e29,1e28")
    called = cli("tune", "--data", few, "--out", tmp_path / "out", *options)
    assert called.code == BAD_CONFIG
    assert "persarank: no candidate is left. the last" in called.err.splitlines()[-1]


def test_the_defaults_may_win(tmp_path: Path, tune: Callable[..., Any]) -> None:
    result = tune(tmp_path / "out", *SHORT, "--set", "lr=0.05", "--over", "lr=1e-9,1e-8")
    assert result["winner"] == 0
    assert result["verdict"] == {
        "beats": False,
        "sentence": "No candidate beats the defaults on validation slates.",
    }
    assert result["test"]["difference"] is None
    assert result["test"]["winner"]["personal"]["nmrr"] > 0.7


def test_algorithms_and_trees_in_one_search(tmp_path: Path, tune: Callable[..., Any], here: Here) -> None:
    options = ("--over", "algorithm=pooled,local,fedavg", "--over", "ranker=forest,mlp")
    options += ("--over", "n_estimators=3", "--updates", 20)
    result = tune(tmp_path / "out", *options)
    assert {"algorithm": "pooled", "ranker": "forest", "n_estimators": 3} in result["candidates"]
    assert {"algorithm": "fedavg", "ranker": "forest", "n_estimators": 3} not in result["candidates"]
    assert "algorithm = fedavg, ranker = forest, n_estimators = 3: forest is fitted" in result["said"]
    fitted = [command for command in here.commands if not any(w.startswith("--until") for w in command)]
    assert len(fitted) == 2
    assert {command[0] for command in fitted} == {"train"}, "once each"


def test_what_is_printed_for_people(few: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "out"
    called = cli("tune", "--data", few, "--out", out, *PLANTED, "--over", "loss=bce,softmax")
    assert called.code == OK, called.err
    for part in (
        "Users' own models on validation slates, NMRR, after parts of a full training",
        "the defaults",
        "Out of the race: lr = 1e+30, loss = bce: the last",
        "on test: ",
        " winner, ",
        "winner − defaults, personal nmrr over users: +",
        "The winner beats the defaults on test slates",
        f"persarank train --config {out}/best.toml --data",
    ):
        assert part in called.out, part
    assert "at most" in called.err
    assert "client updates." in called.err


def test_a_search_around_the_talk(tmp_path: Path, tune: Callable[..., Any]) -> None:
    options = ("--preset", "talk", "--updates", 20, "--budget", 60)
    result = tune(tmp_path / "out", *options)
    assert len(result["candidates"]) == 3
    best = (tmp_path / "out" / "candidates" / "0.toml").read_text()
    assert "server_lr = 0.125" in best
    assert result["candidates"][0] == {}
