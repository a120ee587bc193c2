"""What a search chooses from: combinations that can be, once each, and a space that the algorithm has."""

import re
from pathlib import Path
from typing import Any

import pytest

from app.experiments.tuning.candidates import FACTORS, Base, combinations, drawn, parse_over, space
from app.experiments.tuning.race import MOST, USUAL, race_of
from app.runs.checks import ConfigError
from app.runs.presets import has
from app.runs.settings import resolve
from federated.algorithms import ALGORITHMS
from ranking.rankers import RANKERS, TREES

DEFAULTS = Base({}, {})


def race(over: dict[str, Any], budget: int | None = None, base: Base = DEFAULTS, **more: Any) -> Any:
    given = {"fixed": (), "seeds": [0], "data": Path("data"), "users": 200} | more
    return race_of(base, over=over, budget=budget, **given)


def test_values_are_written_as_in_toml_or_as_bare_words() -> None:
    pairs = [
        "lr=0.02, 1e-3",
        "hidden=[64, 64], [8]",
        "algorithm=fedavg,persa-fl-me",
        "lam=5,auto",
        "asleep_too=true",
    ]
    assert parse_over(pairs) == {
        "lr": [0.02, 1e-3],
        "hidden": [[64, 64], [8]],
        "algorithm": ["fedavg", "persa-fl-me"],
        "lam": [5, "auto"],
        "asleep_too": [True],
    }


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["lr"], "--over 'lr': write key=value,value"),
        (["=1"], "write key=value,value"),
        (["lr="], "write key=value,value"),
        (["lr= , "], "write key=value,value"),
        (["lr=1", "lr=2"], "lr is given twice: write all its values in one, lr=v1,v2"),
        (["seed=0,1"], "seed cannot be searched"),
        (["preset=talk"], "preset cannot be searched"),
    ],
)
def test_what_is_not_written_so_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_over(pairs)


def test_all_combinations_and_the_defaults_first_once() -> None:
    found, impossible = combinations(DEFAULTS, {"lr": [0.1, 0.05], "loss": ["listmle", "mse", "mse"]})
    assert [c.changed for c in found] == [
        {},
        {"lr": 0.1, "loss": "listmle"},
        {"lr": 0.1, "loss": "mse"},
        {"lr": 0.05, "loss": "mse"},
    ]
    assert found[0].settings == resolve({}, {})
    assert found[2].settings == resolve({"loss": "mse"}, {"lr": 0.1})
    assert impossible == []


def test_the_defaults_are_what_somebody_has_set() -> None:
    base = Base({"algorithm": "fedavg"}, {"lr": 0.2})
    found, _ = combinations(base, {"local_steps": [3]})
    assert [c.settings for c in found] == [
        resolve({"algorithm": "fedavg"}, {"lr": 0.2}),
        resolve({"algorithm": "fedavg"}, {"lr": 0.2, "local_steps": 3}),
    ]


def test_what_an_algorithm_does_not_have_is_left_out_of_its_candidates() -> None:
    base = Base({"algorithm": "persa-fl-me"}, {"inner_steps": 2, "lr": 0.2})
    found, impossible = combinations(base, {"algorithm": ["fedavg", "persa-fl-me"], "lam": [5, 20]})
    assert impossible == []
    assert [c.changed for c in found] == [
        {},
        {"algorithm": "fedavg"},
        {"algorithm": "persa-fl-me", "lam": 5},
        {"algorithm": "persa-fl-me", "lam": 20},
    ]
    assert found[1].settings == resolve({"algorithm": "fedavg"}, {"lr": 0.2})
    assert found[2].settings.row.objective.inner_steps == 2


def test_combinations_that_cannot_be_are_said_and_values_that_cannot_are_refused() -> None:
    found, impossible = combinations(DEFAULTS, {"lam": [10, 100], "inner_lr": [0.001, 0.05]})
    assert [c.changed for c in found[1:]] == [
        {"lam": 10, "inner_lr": 0.001},
        {"lam": 10, "inner_lr": 0.05},
        {"lam": 100, "inner_lr": 0.001},
    ]
    (sentence,) = impossible
    assert sentence.startswith("lam = 100, inner_lr = 0.05: ")
    assert "must be under 2" in sentence


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"lr": [0.1, -1]}, "local.lr = -1"),
        ({"lr": [0.1, "fast"]}, "local.lr = 'fast'"),
        ({"lrr": [0.1, 0.2]}, "unknown setting 'lrr' for persa-fl-ditto; did you mean 'lr'?"),
        ({"loss": ["bce", "hinge"]}, "unknown loss of mlp 'hinge'"),
        ({"algorithm": ["fedavg", "fedavgg"]}, "did you mean 'fedavg'?"),
        ({"updates": [0]}, "updates = 0: it must be a whole number"),
        ({"algorithm": ["fedavg", "persa-fl"], "lam": [5]}, "--over lam: no candidate has such a setting"),
        ({"lr": [0.05]}, "there is nothing to choose from"),
    ],
)
def test_nonsense_is_refused(over: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        combinations(DEFAULTS, over)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("ranker", RANKERS)
def test_the_usual_space_is_of_settings_that_there_are(algorithm: str, ranker: str) -> None:
    if ranker in TREES and algorithm not in ("local", "pooled"):
        return
    base = Base({"algorithm": algorithm, "ranker": ranker}, {})
    values = space(base, (), users=200)
    assert values
    assert all(name == "loss" or has(base.settings(), name) for name in values)
    assert all(len(set(tried)) == len(tried) > 1 for tried in values.values())
    found = drawn(base, values, USUAL)
    assert found[0].changed == {}
    labels = [c.settings.to_toml({}) for c in found]
    assert len(set(labels)) == len(labels), "every candidate once"
    assert found == drawn(base, values, USUAL), "always the same"
    assert drawn(base, values, 3) == found[:4]


def test_the_usual_space_of_the_default_algorithm() -> None:
    base = Base({}, {"schedule.concurrency": 5, "lam": 15, "lr": 0.05, "local_steps": 10})
    values = space(base, (), users=200)
    assert {name: values[name] for name in ("loss", "lr", "local_steps", "lam")} == {
        "loss": ["listmle", "softmax", "bce", "mse"],
        "lr": [0.05, 0.0167, 0.15],
        "local_steps": [10, 5, 20],
        "lam": [15, 5, 45],
    }


def test_a_server_step_of_its_own_is_searched_from_one_nth_to_one_over_the_users_in_flight() -> None:
    base = Base({"algorithm": "persa-fl"}, {})
    assert base.settings().row.schedule.server_lr is None
    assert space(base, (), users=500)["server_lr"] == [None, 0.02, 0.2]
    assert "server_lr" not in space(base, (), users=1)
    assert space(Base({"algorithm": "fedavg"}, {}), (), 500)["server_lr"] == [1.0, 0.333, 3.0]


def test_what_somebody_has_set_is_not_searched() -> None:
    base = Base({"loss": "bce"}, {"local.lr": 0.1})
    values = space(base, ("loss", "local.lr"), users=200)
    assert not {"loss", "lr"} & values.keys()
    with pytest.raises(ConfigError, match="nothing is left to search"):
        race({}, base=Base({"algorithm": "pooled"}, {}), fixed=("loss", *FACTORS))


def test_a_budget_decides_how_many_are_drawn() -> None:
    assert len(race({}).candidates) == USUAL + 1
    assert len(race({}, budget=16_000).candidates) == 2
    assert len(race({}, budget=10**9).candidates) == MOST + 1
    for budget in (20_000, 50_000, 200_000):
        found = race({}, budget=budget)
        assert found.plan.cost([8000] * len(found.candidates)) <= budget
    with pytest.raises(ConfigError, match=r"--budget 15999 is too small for 2 candidates, .* 16000 client"):
        race({}, budget=15_999)


def test_a_budget_that_is_too_small_for_what_is_asked_names_what_is_enough() -> None:
    over = {"lr": [0.01, 0.02, 0.1, 0.2], "lam": [1, 5]}
    with pytest.raises(ConfigError) as refused:
        race(over, budget=100, seeds=[0, 1, 2])
    assert "--budget 100 is too small for 9 candidates with 3 seeds each" in str(refused.value)
    enough = int(re.search(r"(\d+) client updates would be enough", str(refused.value))[1])
    assert race(over, budget=enough, seeds=[0, 1, 2]).plan.halvings > 0
    with pytest.raises(ConfigError):
        race(over, budget=enough - 1, seeds=[0, 1, 2])


def test_candidates_of_other_lengths_are_stopped_at_the_same_part() -> None:
    found = race({"updates": [100, 1000], "lr": [0.01, 0.02]})
    full = [c.settings.updates for c in found.candidates]
    assert [found.target(c, found.plan.halvings) for c in range(len(full))] == full
    assert [found.target(c, 0) for c in range(len(full))] == [-(-u // 2**found.plan.halvings) for u in full]
    assert [found.target(c, -1) for c in range(len(full))] == [0] * len(full)


def test_the_clip_of_private_runs_can_be_searched() -> None:
    base = Base({"algorithm": "fedavg"}, {"privacy.epsilon": 2.0, "privacy.delta": 1e-3})
    found, impossible = combinations(base, {"privacy.clip": [0.1, 1.0], "lr": [0.02, 0.05]})
    assert not impossible
    clips = {candidate.settings.row.privacy.clip for candidate in found}  # type: ignore[union-attr]
    assert (clips, len(found)) == ({0.1, 1.0}, 4)
    with pytest.raises(ConfigError, match="privacy is what a server does"):
        combinations(base, {"algorithm": ["fedavg", "local"]})
