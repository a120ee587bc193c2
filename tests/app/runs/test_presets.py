"""Presets: pinned settings that stay what they are, below everything that is said explicitly."""

import dataclasses
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.commands.exits import BAD_CONFIG, BAD_DATA, OK
from app.runs import settings as settings_module
from app.runs.checks import ConfigError
from app.runs.given import settings_from
from app.runs.presets import PRESETS, with_preset
from federated.algorithms import ALGORITHMS, Row
from federated.clients import LocalSGD
from federated.objectives import MoreauEnvelope
from federated.schedules.arrivals import Arrivals
from ranking.rankers.mlp import MLP

Cli = Callable[..., Any]
USERS = 20
TALK = {"preset": "talk"}
OBJECTIVE = {
    "lam": 15.0,
    "inner_steps": 3,
    "inner_lr": 0.02,
    "tolerance": 1e-3,
    "personal_steps": 20,
    "inner_batches": "same",
}
SCHEDULE = {
    "download_delay": 1.0,
    "upload_delay": 1.0,
    "delay_law": "exponential",
    "delay_spread": 1.0,
    "delay_trace": None,
    "online_time": 10.0,
    "offline_time": 0.0,
    "max_update_norm": None,
    "concurrency": 5,
    "idle_time": None,
    "server_lr": 1 / USERS,
    "buffer": 1,
    "merge": "delta",
    "weighting": "constant",
    "power": 0.5,
    "slope": 10.0,
    "late": 4,
    "max_staleness": None,
    "server_optimiser": "sgd",
}
LOCAL = {"lr": 0.05, "local_steps": 10, "batch_size": 4, "sampling": "random", "personal_samples": 100}
LOCAL |= {"keep_common": False}
"""What the talk's run is, all of it: what is added to these classes must leave it as it is."""


def test_the_talk_is_pinned(tiny: Path) -> None:
    chosen = settings_from(None, TALK, [], tiny)
    choices = (chosen.algorithm, chosen.ranker_name, chosen.loss, chosen.updates, chosen.keep)
    assert choices == ("persa-fl-me", "mlp", "bce", 8000, "last")
    assert chosen.ranker == MLP(hidden=(64, 64))
    for part, known in (
        (chosen.row.objective, OBJECTIVE),
        (chosen.row.schedule, SCHEDULE),
        (chosen.row.local, LOCAL),
    ):
        assert {name: value for name, value in dataclasses.asdict(part).items() if name in known} == known


def test_other_defaults_leave_it_as_it_is(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings_from(None, TALK, [], tiny)
    other = Row(
        MoreauEnvelope(lam=3, inner_steps=7, personal_steps=2),
        Arrivals(concurrency=50, server_lr=0.5, weighting="polynomial", download_delay=3.0),
        "other defaults",
        LocalSGD(lr=0.7, local_steps=2, batch_size=9, personal_samples=4),
        updates=77,
    )
    monkeypatch.setitem(ALGORITHMS, "persa-fl-me", other)
    after = settings_from(None, TALK, [], tiny)
    assert settings_module.resolve({"algorithm": "persa-fl-me"}, {}).row == other
    assert after == dataclasses.replace(before, row=after.row, checkpoint_every=after.checkpoint_every)
    assert (after.row.objective, after.row.schedule) == (before.row.objective, before.row.schedule)
    assert after.row.local == before.row.local


def test_what_is_explicit_wins(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[run]\npreset = "talk"\nloss = "mse"\nupdates = 9\n[local]\nlr = 0.5\n')
    chosen = settings_from(tmp_path / "c.toml", {"updates": 7}, ["lam=3", "schedule.server_lr=0.25"], tiny)
    assert (chosen.loss, chosen.updates, chosen.row.local.lr) == ("mse", 7, 0.5)
    assert (chosen.row.objective.lam, chosen.row.schedule.server_lr) == (3, 0.25)
    assert chosen.row.objective.personal_steps == OBJECTIVE["personal_steps"]
    cnn = settings_from(None, {**TALK, "ranker": "mlp-cnn"}, [], tiny)
    assert cnn.ranker_name == "mlp-cnn"
    assert cnn.row.schedule == settings_from(None, TALK, [], tiny).row.schedule


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"algorithm": "fedavg"}, "the preset talk sets lam, inner_steps, inner_lr and 10 more, "),
        ({"algorithm": "fedavg"}, "which fedavg does not have: leave out the preset, or train persa-fl-me."),
        ({"algorithm": "pfedme"}, "sets concurrency, buffer, merge and 4 more, which pfedme"),
        ({"objective": "vanilla"}, "which vanilla × arrivals does not have"),
        ({"algorithm": "memrl"}, "which memrl does not have"),
        ({"preset": "tlk"}, "unknown preset 'tlk'; did you mean 'talk'?"),
        ({"preset": 3}, "unknown preset 3"),
    ],
)
def test_what_contradicts_it_is_refused(given: dict[str, Any], message: str, tiny: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        settings_from(None, {**TALK, **given}, [], tiny)
    assert message in str(refused.value)


def test_another_algorithm_that_has_all_of_it_may_have_it(tiny: Path) -> None:
    chosen = settings_from(None, {**TALK, "algorithm": "persa-fl-me-buffered"}, [], tiny)
    assert (chosen.row.schedule.buffer, chosen.row.schedule.concurrency) == (1, 5)


def test_the_number_of_users_comes_from_the_data(tmp_path: Path, cli: Cli) -> None:
    _, overrides = with_preset("talk", {}, {}, lambda: 250)
    assert overrides["schedule.server_lr"] == 0.004
    with pytest.raises(ConfigError, match="the preset talk depends on the number of users: name the data"):
        settings_from(None, TALK, [])
    called = cli("train", "--preset", "talk", "--data", tmp_path / "none", "--out", tmp_path / "run")
    assert called.code == BAD_DATA
    assert not (tmp_path / "run").exists()


def test_it_trains_as_its_settings_do_and_a_run_no_longer_needs_it(
    tiny: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = ("--updates", 60, "--evaluations", 2)
    first = cli("train", "--preset", "talk", "--data", tiny, "--out", tmp_path / "a", *short, "--until", 25)
    assert first.code == OK, first.err
    monkeypatch.setattr("app.runs.presets.PRESETS", {})
    assert cli("resume", tmp_path / "a").code == OK
    pairs = {**OBJECTIVE, **{n: v for n, v in SCHEDULE.items() if v is not None}, **LOCAL}
    sets = [word for name, value in pairs.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    options = ("--algorithm", "persa-fl-me", "--ranker", "mlp", "--loss", "bce", "--keep", "last", *short)
    assert cli("train", "--data", tiny, "--out", tmp_path / "b", *options, *sets).code == OK
    for name in ("config.toml", "metrics.jsonl", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    config = tomllib.loads((tmp_path / "a" / "config.toml").read_text())
    assert config["schedule"]["server_lr"] == 1 / USERS
    assert "preset" not in config["run"]


def test_they_are_listed(cli: Cli) -> None:
    (told,) = (preset for preset in json.loads(cli("list", "--json").out)["presets"])
    assert told["name"] == "talk"
    assert told["settings"]["objective.lam"] == 15
    assert told["settings"]["schedule.server_lr"] == "1/n"
    assert "--preset" in cli("list").out


def test_a_wrong_one_is_a_bad_config(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    called = cli("train", "--preset", "talks", "--data", tiny, "--out", tmp_path / "run")
    assert (called.code, len(called.err.splitlines())) == (BAD_CONFIG, 1)
    assert "did you mean 'talk'?" in called.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_resolves(name: str, tiny: Path) -> None:
    settings_from(None, {"preset": name}, [], tiny)
