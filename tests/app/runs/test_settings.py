"""Settings: defaults from the tables, one sentence for what is wrong, and a file that is read back."""

import dataclasses
import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.runs.checks import ConfigError
from app.runs.given import parse_overrides, read_toml, settings_from
from app.runs.settings import Settings, resolve
from federated.algorithms import ALGORITHMS, FITTED, OBJECTIVES, SCHEDULES
from federated.objectives import Ditto
from federated.schedules.cohort import Cohort
from federated.tasks.ranking_policy import PlackettLuce
from ranking.rankers import RANKERS, TREES
from ranking.rankers.forest import Trees

GRID = [
    (algorithm, ranker)
    for algorithm, ranker in itertools.product(ALGORITHMS | FITTED, RANKERS)
    if algorithm in (TREES[ranker].ALGORITHMS if ranker in TREES else ALGORITHMS)
]


def saved(settings: Settings, tmp_path: Path, extra: dict[str, Any] | None = None) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(settings.to_toml(extra or {}))
    return path


@pytest.mark.parametrize(("algorithm", "ranker"), GRID)
def test_every_cell_resolves_and_round_trips(algorithm: str, ranker: str, tmp_path: Path) -> None:
    chosen = resolve({"algorithm": algorithm, "ranker": ranker, "seed": 7}, {})
    row = (ALGORITHMS | FITTED)[algorithm]
    assert (chosen.row, chosen.ranker) == (row, Trees() if row.growing else RANKERS[ranker].ranker)
    loss = "nmrr" if row.policy else RANKERS[ranker].losses[0]
    assert (chosen.loss, chosen.updates) == (loss, row.updates)
    path = saved(chosen, tmp_path, {"data": {"path": "/somewhere", "fingerprint": "abc"}})
    again = resolve(*read_toml(path))
    assert again == chosen
    assert again.to_toml({}) == chosen.to_toml({}), "or its checkpoints would be those of other settings"
    assert tomllib.loads(path.read_text())["data"]["path"] == "/somewhere"


OVERRIDES: dict[str, Any] = {
    "lam": 3,
    "inner_lr": 0.125,
    "tolerance": 0.0,
    "inner_steps": 9,
    "concurrency": 17,
    "server_lr": 0.01,
    "upload_delay": 2.5,
    "lr": 1e-3,
    "local_steps": 1,
    "hidden": [8, 4, 2],
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_every_override_arrives_and_round_trips(name: str, tmp_path: Path) -> None:
    given = {"algorithm": "persa-fl-me"}
    plain, chosen = resolve(given, {}), resolve(given, {name: OVERRIDES[name]})
    assert chosen != plain
    flat = {key: value for section in chosen.sections().values() for key, value in section.items()}
    assert flat[name] == OVERRIDES[name]
    before = {key: value for section in plain.sections().values() for key, value in section.items()}
    assert {key: v for key, v in flat.items() if key != name} == {
        key: v for key, v in before.items() if key != name
    }
    assert resolve(*read_toml(saved(chosen, tmp_path))) == chosen


def test_a_section_may_be_named() -> None:
    assert resolve({}, {"objective.lam": 3}) == resolve({}, {"lam": 3})
    with pytest.raises(ConfigError, match=r"unknown setting 'local\.lam' for persa-fl-ditto"):
        resolve({}, {"local.lam": 3})


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    lam=st.floats(1e-6, 1e6),
    lr=st.floats(1e-9, 1e3),
    seed=st.integers(0, 2**31),
    hidden=st.lists(st.integers(1, 4096), max_size=8),
)
def test_any_value_round_trips(lam: float, lr: float, seed: int, hidden: list[int]) -> None:
    overrides = {"lam": lam, "inner_lr": min(0.02, 1 / lam), "lr": lr, "hidden": hidden}
    chosen = resolve({"seed": seed}, overrides)
    content = tomllib.loads(chosen.to_toml({}))
    overrides = {f"{s}.{k}": v for s, part in content.items() if s != "run" for k, v in part.items()}
    assert resolve(content["run"], overrides) == chosen


NEAR: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"algorithm": "fedavgg"}, {}, "unknown algorithm 'fedavgg'; did you mean 'fedavg'?"),
    ({"ranker": "mpl"}, {}, "unknown ranker 'mpl'; did you mean 'mlp'?"),
    ({"loss": "sofmax"}, {}, "unknown loss of mlp 'sofmax'; did you mean 'softmax'?"),
    ({"sed": 1}, {}, "unknown setting 'sed'; did you mean 'seed'?"),
    ({}, {"local_step": 1}, "unknown setting 'local_step' for persa-fl-ditto; did you mean 'local_steps'?"),
    ({}, {"objectve.lam": 1}, "did you mean 'objective.lam'?"),
    ({"ranker": "qwxz"}, {}, "unknown ranker 'qwxz'; known are forest, lightgbm, mlp, mlp-cnn"),
    ({"algorithm": 5}, {}, "unknown algorithm 5"),
    ({"algorithm": ["fedavg"]}, {}, "unknown algorithm ['fedavg']"),
]


@pytest.mark.parametrize(("given", "overrides", "message"), NEAR, ids=[n[2] for n in NEAR])
def test_did_you_mean(given: dict[str, Any], overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(given, overrides)
    assert message in str(error.value)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_cell_of_the_grid_can_be_had_by_its_axes(objective: str, schedule: str, tmp_path: Path) -> None:
    chosen = resolve({"objective": objective, "schedule": schedule}, {})
    assert chosen.row.cell == chosen.cell == (objective, schedule)
    assert chosen.label == f"{objective} × {schedule}"
    assert type(chosen.row.objective) is type(OBJECTIVES[objective])
    assert resolve(*read_toml(saved(chosen, tmp_path))) == chosen


def test_one_axis_can_be_exchanged_and_the_other_keeps_its_settings() -> None:
    chosen = resolve({"algorithm": "pfedme", "schedule": "buffered"}, {"buffer": 4})
    assert chosen.row.objective == ALGORITHMS["pfedme"].objective
    assert chosen.row.schedule == dataclasses.replace(SCHEDULES["buffered"], buffer=4)
    assert resolve({"algorithm": "fedavg", "objective": "moreau"}, {}).row.schedule == Cohort()
    with pytest.raises(ConfigError, match="unknown objective 'moro'; did you mean 'moreau'"):
        resolve({"objective": "moro"}, {})
    with pytest.raises(ConfigError, match="unknown schedule 'buffer'; did you mean 'buffered'"):
        resolve({"schedule": "buffer"}, {})
    with pytest.raises(ConfigError, match="not vanilla × cohort"):
        resolve({"algorithm": "local", "schedule": "cohort", "ranker": "forest"}, {})


def test_a_policy_is_paid_and_stays_one_when_an_axis_is_exchanged() -> None:
    given = {"algorithm": "memrl", "objective": "vanilla", "schedule": "gossip"}
    chosen = resolve(given, {"rankings": 3, "policy.reward_scale": 10.0})
    assert chosen.row.policy == PlackettLuce(rankings=3, reward_scale=10.0)
    assert chosen.loss == "nmrr"
    assert chosen.cell == ("vanilla", "gossip")
    with pytest.raises(ConfigError, match="unknown loss of memrl 'bce'; known are nmrr"):
        resolve({"algorithm": "memrl", "loss": "bce"}, {})
    with pytest.raises(ConfigError, match="unknown loss of mlp 'nmrr'"):
        resolve({"algorithm": "persa-fl-me", "loss": "nmrr"}, {})
    with pytest.raises(ConfigError, match="unknown setting 'rankings'"):
        resolve({"algorithm": "persa-fl-me"}, {"rankings": 3})
    with pytest.raises(ConfigError, match=r"policy\.rankings = 1: Input should be greater"):
        resolve({"algorithm": "memrl"}, {"rankings": 1})


def test_settings_that_belong_together_are_taken_together() -> None:
    chosen = resolve({}, {"delay_law": "trace", "delay_trace": "t.csv"})
    assert chosen.row.schedule.delay_trace == str(Path("t.csv").absolute()), "a run may be resumed elsewhere"
    with pytest.raises(ConfigError, match=r"schedule: .*delay_law = trace and delay_trace = FILE belong"):
        resolve({}, {"delay_law": "trace"})


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="buffer = 10 is more than updates = 5"):
        resolve({"algorithm": "fedbuff", "updates": 5}, {})
    with pytest.raises(ConfigError, match="server_lr can be at most 1"):
        resolve({"algorithm": "fedasync"}, {"server_lr": 1.5})
    for name, value in (("download_delay", 1e308), ("online_time", 1e-320), ("offline_time", 1e300)):
        with pytest.raises(ConfigError, match=f"schedule.{name} = "):
            resolve({}, {name: value})


def test_settings_of_other_algorithms_are_unknown() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'lam' for fedavg"):
        resolve({"algorithm": "fedavg"}, {"lam": 3})
    with pytest.raises(ConfigError, match="unknown setting 'lr' for pooled"):
        resolve({"algorithm": "pooled", "ranker": "forest"}, {"lr": 0.1})


@pytest.mark.parametrize("ranker", TREES)
@pytest.mark.parametrize("algorithm", ALGORITHMS | FITTED)
def test_trees_are_trained_by_no_algorithm_for_networks(ranker: str, algorithm: str) -> None:
    if algorithm in TREES[ranker].ALGORITHMS:
        return
    told = {"forest": "local, pooled or federated", "lightgbm": "local or pooled"}[ranker]
    with pytest.raises(ConfigError, match=f"{ranker} is fitted.* {told} but not {algorithm}: choose"):
        resolve({"algorithm": algorithm, "ranker": ranker}, {})


@pytest.mark.parametrize("ranker", [r for r in RANKERS if r not in TREES])
def test_networks_are_not_grown(ranker: str) -> None:
    message = f"federated grows trees, and {ranker} has none: choose the ranker forest."
    with pytest.raises(ConfigError, match=re.escape(message)):
        resolve({"algorithm": "federated", "ranker": ranker}, {})


def test_a_forest_grown_together_has_no_max_samples() -> None:
    forest = {"algorithm": "federated", "ranker": "forest"}
    with pytest.raises(ConfigError, match="unknown setting 'max_samples' for federated"):
        resolve(forest, {"max_samples": 500})
    assert "max_samples" not in resolve(forest, {}).to_toml({})
    assert "max_samples = 500" in resolve(forest | {"algorithm": "pooled"}, {"max_samples": 500}).to_toml({})


def test_how_a_forest_is_grown_can_be_set() -> None:
    chosen = resolve({"algorithm": "federated", "ranker": "forest"}, {"own_price": 2, "growing.bins": 16})
    assert chosen.row.growing is not None
    assert (chosen.row.growing.own_price, chosen.row.growing.bins) == (2, 16)
    with pytest.raises(ConfigError, match="unknown setting 'own_price' for pooled"):
        resolve({"algorithm": "pooled", "ranker": "forest"}, {"own_price": 2})
    with pytest.raises(ConfigError, match=r"growing\.bins = 257"):
        resolve({"algorithm": "federated", "ranker": "forest"}, {"bins": 257})


BOUNDS: list[tuple[str, Any]] = [
    ("lam", 0),
    ("lam", -1.0),
    ("lam", float("inf")),
    ("lam", float("nan")),
    ("lam", "much"),
    ("lr", 0),
    ("tolerance", -1e-9),
    ("inner_steps", 0),
    ("inner_steps", 2.5),
    ("concurrency", 0),
    ("upload_delay", -1),
    ("local_steps", -1),
    ("batch_size", 0),
    ("hidden", [64, 0]),
    ("hidden", 64),
    ("hidden", [1] * 9),
]


@pytest.mark.parametrize(("name", "value"), BOUNDS, ids=[f"{n}={v}" for n, v in BOUNDS])
def test_bounds_name_the_setting_and_the_value(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        resolve({"algorithm": "persa-fl-me"}, {name: value})
    assert re.search(rf"\.{name} = {re.escape(repr(value))}: (Input|Tuple) should ", str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["seed", "updates"])
@pytest.mark.parametrize("value", [-1, 2**70, 1.5, "3", True])
def test_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} = .*: it must be a whole number from [01] to"):
        resolve({name: value}, {})


def test_defaults_are_never_changed() -> None:
    before = {name: dataclasses.asdict(row.local) for name, row in ALGORITHMS.items()}
    resolve({}, {"lr": 0.123, "hidden": [3]})
    assert {name: dataclasses.asdict(row.local) for name, row in ALGORITHMS.items()} == before


def test_set_pairs() -> None:
    pairs = ["lam=3", " lr = 0.5 ", "hidden=[8, 4]", "name=bare word", 'quoted="a=b"', "flag=true", "e=1e-3"]
    expected = {"lam": 3, "lr": 0.5, "hidden": [8, 4], "name": "bare word", "quoted": "a=b"}
    assert parse_overrides(pairs) == {**expected, "flag": True, "e": 0.001}
    assert parse_overrides(["lam=1", "lam=2"]) == {"lam": 2}
    for wrong in ("lam", "=3", " =3", ""):
        with pytest.raises(ConfigError, match="write key=value"):
            parse_overrides([wrong])


FILES = {
    "[objectiv]\nlam = 1": "unknown table 'objectiv'; did you mean 'objective'?",
    "objective = 3": "objective must be a table, written [objective]",
    "[run]\nupdate = 3": "unknown setting 'update'; did you mean 'updates'?",
    "[objective]\nlamb = 3": "'objective.lamb' for persa-fl-ditto; did you mean 'objective.lam'?",
    "[run": "cannot be read",
    "x = \xff": "cannot be read",
}


@pytest.mark.parametrize("content", FILES)
def test_bad_files(content: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        settings_from(tmp_path / "c.toml", {}, [])
    assert FILES[content] in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        read_toml(tmp_path / "none.toml")


def test_later_sources_win(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[run]\nalgorithm = "fedavg"\nseed = 1\nupdates = 9\n[local]\nlr = 0.5\n'
    )
    options = {"algorithm": None, "seed": 2, "updates": None}
    chosen = settings_from(tmp_path / "c.toml", options, ["lr=0.25"])
    assert (chosen.algorithm, chosen.seed, chosen.updates) == ("fedavg", 2, 9)
    assert chosen.row.local.lr == 0.25


def test_settings_that_are_known_are_told_once() -> None:
    with pytest.raises(ConfigError) as refused:
        resolve({"algorithm": "pooled"}, {"zzz": 1})
    assert str(refused.value) == (
        "unknown setting 'zzz' for pooled; known are hidden, lr, local_steps, batch_size, sampling, "
        "personal_samples, keep_common."
    )


def test_a_default_that_is_nothing_is_told_as_such() -> None:
    changed = resolve({"algorithm": "fedavg"}, {"max_update_norm": 2.5}).changes()
    assert changed == " Not at their defaults: max_update_norm = 2.5 (default none)."


def test_of_a_training_only_what_own_models_read_can_be_changed() -> None:
    begun = resolve({"algorithm": "ditto"}, {"lam": 5.0})
    changed = begun.personalised({"lam": 1.0, "objective.inner_lr": 0.1})
    assert changed.row.objective == Ditto(lam=1.0, inner_lr=0.1)
    with pytest.raises(
        ConfigError, match=r"lr cannot be changed while a training goes on; only lam, inner_lr"
    ):
        begun.personalised({"lr": 0.1})
    with pytest.raises(ConfigError, match="mu cannot be changed while a training goes on"):
        resolve({"algorithm": "fedprox"}, {}).personalised({"mu": 0.1})
