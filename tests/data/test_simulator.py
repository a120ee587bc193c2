"""The simulator: sizes as the talk has them, users of their own, and nothing but the seed decides."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import simulator
from data.card import card
from data.schema import SCHEMAS, DataError, Dataset, column, ragged
from data.simulator import simulate
from data.storage import read, write


def rows(dataset: Dataset, name: str) -> list[list[int]]:
    """A list column of the slates, row by row."""
    return dataset.slates.column(name).to_pylist()


def test_sizes(tiny_dataset: Dataset) -> None:
    per_user = np.bincount(column(tiny_dataset.events, "user_id"))
    assert len(per_user) == tiny_dataset.users.num_rows == 20
    assert per_user.min() >= 30
    assert per_user.max() <= 100
    assert len(set(per_user)) > 10
    wanted = np.diff(ragged(tiny_dataset.slates, "reference")[0])
    pool = np.diff(ragged(tiny_dataset.slates, "pool")[0])
    assert set(wanted) == set(range(2, 26))
    assert (pool == 3 * wanted).all()
    assert (np.bincount(wanted)[2:] > len(wanted) / 24 / 3).all(), "m is drawn evenly"


def test_candidates_and_references(tiny_dataset: Dataset) -> None:
    texts = tiny_dataset.queries.column("text").to_pylist()
    prefixes = tiny_dataset.slates.column("prefix").to_pylist()
    chosen = column(tiny_dataset.events, "query_id")
    for row, (pool, reference) in enumerate(
        zip(rows(tiny_dataset, "pool"), rows(tiny_dataset, "reference"), strict=True)
    ):
        assert all(texts[candidate].startswith(prefixes[row]) for candidate in pool)
        assert pool == sorted(set(pool)), "a candidate's place must tell nothing"
        assert len(set(reference)) == len(reference)
        assert set(reference) <= set(pool)
        assert reference[0] == chosen[row], "the query submitted is the user's first choice"
    assert 1 <= min(map(len, prefixes)) < max(map(len, prefixes)) <= 10


def test_truth_is_apart(tiny: Path, tiny_dataset: Dataset) -> None:
    public = read(tiny)
    assert public.truth == {}
    for name, schema in SCHEMAS.items():
        assert getattr(public, name).schema.names == schema.names
        assert getattr(public, name).equals(getattr(tiny_dataset, name))
    assert {path.name for path in (tiny / "truth").iterdir()} == {"weights.parquet", "utilities.parquet"}


def test_truth_explains_the_references(tiny_dataset: Dataset) -> None:
    first_is_best = []
    for pool, reference, utility in zip(
        rows(tiny_dataset, "pool"),
        rows(tiny_dataset, "reference"),
        tiny_dataset.truth["utilities"].column("utility").to_pylist(),
        strict=True,
    ):
        assert len(utility) == len(pool)
        first_is_best.append(pool[int(np.argmax(utility))] == reference[0])
    assert 0.3 < np.mean(first_is_best) < 0.9, "utilities decide, but a Plackett-Luce draw keeps its chance"


def weights(dataset: Dataset) -> np.ndarray:
    return np.array(dataset.truth["weights"].column("weights").to_pylist())


def test_strength_zero_makes_all_users_alike() -> None:
    alike = weights(simulate(users=8, seed=3, strength=0))
    assert (alike == alike[0]).all()


def test_strength_scales_the_deviations() -> None:
    none, some, more = (weights(simulate(users=8, seed=3, strength=s)) for s in (0, 0.25, 0.5))
    assert len(np.unique(some, axis=0)) == 8
    np.testing.assert_allclose(more - none, 2 * (some - none), atol=1e-12)


def test_a_user_depends_on_the_seed_and_their_number_alone(tiny_dataset: Dataset) -> None:
    fewer = simulate(users=10, seed=0)
    count = fewer.events.num_rows
    assert fewer.events.equals(tiny_dataset.events.slice(0, count))
    assert fewer.slates.equals(tiny_dataset.slates.slice(0, count))
    assert fewer.queries.equals(tiny_dataset.queries)
    assert (weights(fewer) == weights(tiny_dataset)[:10]).all()


def test_a_user_does_not_depend_on_who_comes_before(tiny_dataset: Dataset) -> None:
    """User 7 alone in the world searches as they do among others."""
    world = simulator._world(0)
    events: list[tuple[int, int, int, int]] = []
    simulator._search(world, simulator._person(world, 7, 0.25), events, slates := [])
    among = np.flatnonzero(column(tiny_dataset.events, "user_id") == 7)
    assert [e[1] for e in events] == column(tiny_dataset.events, "timestamp")[among].tolist()
    assert [e[2] for e in events] == column(tiny_dataset.events, "query_id")[among].tolist()
    assert [s[1].tolist() for s in slates] == [rows(tiny_dataset, "pool")[row] for row in among]


def test_seeds_differ_and_repeat(tmp_path: Path) -> None:
    names = {write(simulate(3, seed), tmp_path / str(seed)).fingerprint for seed in range(10)}
    assert len(names) == 10
    assert write(simulate(3, 4), tmp_path / "again").fingerprint in names


def test_hash_seed_has_no_part_in_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from data.storage import write; "
        "from data.simulator import simulate; print(write(simulate(3, 1), Path(sys.argv[1])).fingerprint)"
    )
    seen = set()
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-c", program, str(tmp_path / hash_seed)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        seen.add(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    assert len(seen) == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_looks_like_real_logs(seed: int) -> None:
    figures = card(simulate(users=80, seed=seed))
    assert 0.3 <= figures["repeat_rate"] <= 0.55
    assert -1.2 <= figures["zipf_slope_top_200"] <= -0.7
    assert 0.1 <= figures["repeat_lag_share"]["<=1"] <= 0.4
    assert 0.7 <= figures["repeat_lag_share"]["<=20"] <= 0.95
    assert figures["pool_recall"] == 1
    assert figures["missed"] == 0


def test_time_and_sessions_go_forward(tiny_dataset: Dataset) -> None:
    user, session = column(tiny_dataset.events, "user_id"), column(tiny_dataset.events, "session_id")
    time = column(tiny_dataset.events, "timestamp")
    within = np.diff(user) == 0
    assert (np.diff(time)[within] >= 0).all()
    assert set(np.diff(session)) == {0, 1}
    assert (np.diff(session)[~within] == 1).all(), "no session is shared by two users"


@pytest.mark.parametrize(
    "wrong", [{"users": 0}, {"seed": -1}, {"strength": -0.1}, {"strength": 11}, {"strength": float("nan")}]
)
def test_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError, match="users ≥ 1, seed ≥ 0 and 0 ≤ strength ≤ 10"):
        simulate(**{"users": 2, **wrong})
