"""Logs of next to nothing: every row of the algorithm table and every ranker trains on them and is judged."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from app.runs.evaluation import compare, describe, evaluate, save_report
from app.runs.settings import resolve
from app.runs.training import train_run
from app.suggestions.suggester import Suggester
from data.card import card
from data.log_import import ImportOptions, import_log
from data.schema import DataError, Dataset
from data.storage import read, write
from federated.algorithms import ALGORITHMS
from ranking.rankers import RANKERS
from ranking.slates import StoredSlates
from ranking.sources import Log

LOGS: dict[str, tuple[Mapping[str, list[str]], ImportOptions]] = {
    "every pool is empty": ({"ann": list("abcde"), "bob": list("fghij")}, ImportOptions(strict_time=True)),
    "training pools are empty": (
        {"ann": ["m1", "n1", "o1", "o1", "o1"], "bob": ["p2", "q2", "r2", "r2", "r2"]},
        ImportOptions(strict_time=True),
    ),
    "one of empty pools": ({"ann": list("mnopq"), "bob": ["ls", "cd"] * 5}, ImportOptions(strict_time=True)),
    "one user": ({"ann": ["ls", "cd", "ls", "cd", "ls"]}, ImportOptions()),
    "one event a split": ({"ann": ["ls"] * 3, "bob": ["ls", "cd", "ls"]}, ImportOptions(min_events=3)),
    "one query": ({"ann": ["ls"] * 6, "bob": ["ls"] * 6}, ImportOptions(typed=1)),
    "only misses": ({"ann": ["aa", "ab", "ac", "ad", "ae"], "bob": ["aa", "ab"] * 5}, ImportOptions(typed=1)),
}
CELLS = [("mlp", algorithm, None) for algorithm in ALGORITHMS]
CELLS += [
    (ranker, algorithm, loss)
    for ranker, algorithms in (
        ("forest", ("local", "pooled", "federated")),
        ("lightgbm", ("local", "pooled")),
        ("mlp-cnn", ("local", "pooled", "per-fedavg")),
    )
    for algorithm in algorithms
    for loss in RANKERS[ranker].losses
]


def log(users: Mapping[str, list[str]]) -> str:
    rows = [
        f"{user},{1_600_000_000 + 7000 * e + u},{query}"
        for u, (user, queries) in enumerate(users.items())
        for e, query in enumerate(queries)
    ]
    return "\n".join(["user,time,query", *rows]) + "\n"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The logs as datasets."""
    made = {}
    for name, (users, options) in LOGS.items():
        place = tmp_path_factory.mktemp("tiny")
        (place / "log.csv").write_text(log(users))
        write(import_log(place / "log.csv", "user", "time", "query", options=options), place / "data")
        made[name] = place / "data"
    return made


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize(("ranker", "algorithm", "loss"), CELLS, ids=lambda part: str(part or ""))
def test_it_trains_and_every_figure_is_a_number(
    name: str, ranker: str, algorithm: str, loss: str | None, places: dict[str, Path], tmp_path: Path
) -> None:
    dataset = read(places[name])
    few = {"n_estimators": 3} if ranker in ("forest", "lightgbm") else {}
    given = {"algorithm": algorithm, "ranker": ranker, "loss": loss, "updates": 10, "evaluations": 1}
    train_run(resolve(given, few), places[name], dataset, tmp_path / "run", lambda event: None)
    (judged,) = evaluate([tmp_path / "run"], None, "test")
    save_report(judged)
    for over in ("users", "slates"):
        told = describe(judged, over)
        json.dumps([told, compare(judged, judged, over), card(dataset)], allow_nan=False)
        for figures in filter(None, told["metrics"].values()):
            assert all(0 <= figure <= 1 for figure in figures.values())
    source = Log(dataset)
    suggester = Suggester(source, judged.run.model(source))
    for user in range(len(suggester.users)):
        for typed in ("", "l", "zz", "m"):
            answer = suggester.suggest(suggester.visit(user), typed)
            sizes = [len(answer.lists[name]) for name in answer.models.rankings]
            assert sizes == [len(answer.personal)] * len(sizes) or not typed


def test_what_is_learned_of_nothing_is_nothing(places: dict[str, Path], tmp_path: Path) -> None:
    """Where no pool holds anything the model stays as it was drawn, and every slate is missed."""
    place = places["every pool is empty"]
    settings = resolve({"algorithm": "pooled", "updates": 10}, {})
    train_run(settings, place, read(place), tmp_path / "run", lambda event: None)
    (judged,) = evaluate([tmp_path / "run"], None, "test")
    told = describe(judged)
    assert told["missed"] == told["slates"] == 2
    assert told["metrics"]["personal"]["nmrr"] == told["metrics"]["random"]["nmrr"] == 0


@pytest.mark.parametrize("options", [{}, {"strict_time": True}])
def test_a_log_without_repeats_has_nothing_to_drop(options: dict[str, bool], tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(log(LOGS["every pool is empty"][0]))
    with pytest.raises(DataError, match="the log has no repeats to learn from"):
        import_log(
            tmp_path / "log.csv", "user", "time", "query", options=ImportOptions(drop_missed=True, **options)
        )


def without_training(dataset: Dataset, user: int) -> Dataset:
    """The dataset of somebody who left a user's training slates out."""
    events, slates = dataset.events, dataset.slates
    training = pc.and_(pc.equal(events.column("split"), "train"), pc.equal(events.column("user_id"), user))
    kept = slates.filter(pc.invert(training.take(slates.column("event_id"))))
    kept = kept.set_column(0, slates.schema.field(0), pa.array(range(kept.num_rows), pa.int64()))
    return replace(dataset, slates=kept, truth={})


@pytest.mark.parametrize(
    ("ranker", "algorithm"),
    [
        ("mlp", "persa-fl-me"),
        ("mlp", "memrl"),
        ("mlp", "pooled"),
        ("lightgbm", "local"),
        ("forest", "pooled"),
    ],
)
def test_a_user_without_a_training_slate_is_named_as_in_the_log(
    ranker: str, algorithm: str, places: dict[str, Path], tmp_path: Path
) -> None:
    write(without_training(read(places["one event a split"]), 1), tmp_path / "data")
    settings = resolve({"algorithm": algorithm, "ranker": ranker, "updates": 10}, {})
    with pytest.raises(DataError, match=r"^user 'bob' has no slate to train on: leave such users out\.$"):
        train_run(settings, tmp_path / "data", read(tmp_path / "data"), tmp_path / "run", lambda event: None)
    assert not (tmp_path / "run").exists()


def test_rows_of_nothing_are_one_row_that_nobody_sees() -> None:
    """Of clients all of whose pools are empty, beside others or alone."""
    for sizes in ([0, 0, 0], [0, 2, 0]):
        slates = StoredSlates.empty(torch.tensor(sizes), 4)
        index = torch.tensor([[0], [2]])
        rows = slates.rows(index, torch.ones(2, 1, dtype=torch.bool))
        assert rows.features.shape == (2, 1, 4)
        padded = slates.all().rows(index, torch.ones(2, 1, dtype=torch.bool))
        assert padded.features.shape == (2, 1, 4)
        for some in (rows, padded):
            assert some.unpack(torch.zeros(2, 1)).shape == (2, 1, slates.widest)
        assert not slates[index].mask.any()
