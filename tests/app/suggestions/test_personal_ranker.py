"""The Python API: what the command line does, to the last digit; no user sees another's searches."""

import doctest
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from persarank import PersonalRanker
from sklearn.exceptions import NotFittedError

from app.runs.checks import ConfigError
from app.runs.directory import RunError
from app.suggestions import personal_ranker
from app.suggestions.adaptation import NotAdaptableError
from data.schema import DataError
from ranking.models import NeuralModel

Cli = Callable[..., Any]
WORDS = ("weather", "web", "west", "wedding", "well", "oslo", "rome", "radio", "mail", "dress")
SHORT = {"updates": 60, "evaluations": 2, "personal_samples": 5, "lam": 3.0}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Twelve users who each have some favourites."""
    draw, rows = np.random.default_rng(0), []
    for user in range(12):
        favourites = draw.choice(25, 6, replace=False)
        for number, chosen in enumerate(draw.choice(favourites, 40)):
            query = f"{WORDS[chosen // 5]} {WORDS[5 + chosen % 5]}"
            time = pd.Timestamp("2026-01-01") + pd.Timedelta(hours=7 * number + user)
            rows.append((f"user {user}", time.isoformat(), query))
    return pd.DataFrame(rows, columns=["user", "time", "query"])


@pytest.fixture(scope="module")
def fitted(log: pd.DataFrame) -> PersonalRanker:
    return PersonalRanker("persa-fl-me", **SHORT).fit(log)


def texts(ranker: PersonalRanker, user: str, prefix: str, k: int = 10) -> list[tuple[str, float]]:
    return [(one.text, one.score) for one in ranker.suggest(user, prefix, k)]


def test_the_example_of_its_documentation_runs() -> None:
    assert doctest.testmod(personal_ranker).attempted > 4
    assert doctest.testmod(personal_ranker).failed == 0


@pytest.mark.parametrize("kind", ["file", "table", "arrow", "dataset"])
def test_it_gives_what_the_command_line_gives(
    kind: str, log: pd.DataFrame, fitted: PersonalRanker, cli: Cli, tmp_path: Path
) -> None:
    """All digits of the test figures, of the parameters and of the scores."""
    file, data, run = tmp_path / "log.csv", tmp_path / "data", tmp_path / "run"
    log.to_csv(file, index=False)
    columns = ("--user", "user", "--time", "time", "--query", "query")
    assert cli("data", "import", file, *columns, "--out", data).code == 0
    size = ("--updates", 60, "--evaluations", 2, "--set", "personal_samples=5", "--set", "lam=3.0")
    assert cli("train", "--algorithm", "persa-fl-me", *size, "--data", data, "--out", run).code == 0
    given = {"file": file, "table": log, "arrow": pa.Table.from_pandas(log), "dataset": str(data)}[kind]
    ours = fitted if kind == "table" else PersonalRanker("persa-fl-me", **SHORT).fit(given)
    told = json.loads(cli("evaluate", run, "--json").out)["runs"][0]
    mine = json.loads(json.dumps(ours.evaluate()))
    assert {name: value for name, value in mine.items() if name != "run"} == {
        name: value for name, value in told.items() if name != "run"
    }
    answer = json.loads(cli("suggest", run, "we", "--user", "user 3", "--json").out)
    assert texts(ours, "user 3", "we") == [(one["text"], one["score"]) for one in answer["personal"]]


def test_what_is_saved_is_a_run_for_every_command(fitted: PersonalRanker, cli: Cli, tmp_path: Path) -> None:
    saved = fitted.save(tmp_path / "run")
    again = PersonalRanker.load(saved)
    assert texts(again, "user 1", "w") == texts(fitted, "user 1", "w")
    assert json.loads(cli("evaluate", saved, "--json").out)["runs"][0]["run"] == str(saved)
    moved = saved.rename(tmp_path / "moved")
    (saved / "data").mkdir(parents=True)
    assert texts(PersonalRanker.load(moved), "user 1", "w") == texts(fitted, "user 1", "w")
    with pytest.raises(RunError, match="exists and is not empty"):
        fitted.save(moved)


def test_what_a_user_does_changes_their_own_lists_alone(fitted: PersonalRanker, tmp_path: Path) -> None:
    ranker = PersonalRanker.load(fitted.save(tmp_path / "run"))
    before = texts(ranker, "user 2", "we"), texts(ranker, "somebody new", "we")
    ranker.observe("user 1", "wetter bergen", "wet").observe("user 1", "weather oslo", "we")
    ranker.adapt("user 1")
    assert "wetter bergen" in [text for text, _ in texts(ranker, "user 1", "wet")]
    assert (texts(ranker, "user 2", "we"), texts(ranker, "somebody new", "we")) == before
    assert texts(ranker, "user 2", "wet") == texts(ranker, "another", "wet") == []


def test_for_a_new_user_the_common_model_ranks_and_learns(fitted: PersonalRanker, tmp_path: Path) -> None:
    ranker = PersonalRanker.load(fitted.save(tmp_path / "run"))
    suggester = ranker._fitted
    visit = suggester.guest()
    standing = suggester.candidates.standing(visit)
    _, w = suggester.weights(visit, standing)
    assert torch.equal(w[0], w[1])
    assert isinstance(suggester.model, NeuralModel)
    assert not torch.equal(w[0], suggester.model.of(11))
    with pytest.raises(NotAdaptableError, match="nothing to learn from yet"):
        ranker.adapt("new")
    for _ in range(3):
        ranker.observe("new", "west radio", "we")
    first = ranker.suggest("new", "we")[0]
    assert (first.text, first.own, first.recent) == ("west radio", True, True)
    assert ranker.adapt("new").visit == 3
    assert texts(ranker, "new", "we") != texts(ranker, "another", "we")


@pytest.mark.parametrize(
    ("ranker", "algorithm"), [("forest", "local"), ("forest", "federated"), ("mlp", "local")]
)
def test_a_new_user_never_gets_the_model_of_another(ranker: str, algorithm: str, log: pd.DataFrame) -> None:
    size: dict[str, Any] = {"n_estimators": 3} if ranker == "forest" else {"updates": 24, "evaluations": 0}
    size |= {"own_price": 1.0} if algorithm == "federated" else {}
    found = PersonalRanker(algorithm, ranker, **size).fit(log)
    suggester, guest = found._fitted, found._fitted.guest()
    lists = suggester.suggest(guest, "we").lists
    assert "everyone" not in lists
    if algorithm == "local":
        assert lists["personal"] == lists["popularity"]
        assert suggester.models(guest).why.endswith("no model ranks here.")
    else:
        model, candidates = suggester.model, suggester.candidates
        standing = candidates.standing(guest)
        slates = candidates.slate(guest.user, standing, "we", candidates.pool(standing, "we"))
        common, last = model.global_scores(slates), model.personal_scores(slates)
        assert common is not None
        shown = torch.tensor([one.score for one in lists["personal"]], dtype=torch.float64)
        assert torch.allclose(shown, common[0].double().sort(descending=True).values[: len(shown)])
        assert not torch.equal(last, common), "or the last user's own votes could not be told from these"
        assert suggester.models(guest).why == "This user is new: the model that all share ranks for them."


def test_before_it_is_fitted_it_says_so() -> None:
    for verb, arguments in {
        "suggest": ("ann", "we"),
        "observe": ("ann", "we"),
        "adapt": ("ann",),
        "save": ("x",),
    }.items():
        with pytest.raises(NotFittedError, match="call fit first"):
            getattr(PersonalRanker(), verb)(*arguments)
    with pytest.raises(NotFittedError, match="call fit first"):
        PersonalRanker().evaluate()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"algorithm": "persa"}, "unknown algorithm 'persa'"),
        ({"lamb": 3}, "did you mean 'lam'"),
        ({"updates": 0}, "updates"),
        ({"updates": "many"}, "updates"),
        ({"algorithm": "pars-push", "engine": "ray"}, "simulated only"),
        ({"privacy__epsilon": -1, "privacy__delta": 0.001}, "epsilon"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        PersonalRanker(**settings)


def test_hyper_parameters_of_a_section_are_named_with_two_underscores() -> None:
    row = PersonalRanker("fedavg", privacy__epsilon=2, privacy__delta=0.001).settings.row
    assert row.privacy is not None
    assert (row.privacy.epsilon, row.privacy.delta) == (2, 0.001)


def test_nonsense_gets_a_sentence(fitted: PersonalRanker, log: pd.DataFrame, tmp_path: Path) -> None:
    for given, error in (
        (log.drop(columns="query"), DataError),
        (log.head(0), DataError),
        (3, DataError),
        (tmp_path / "nowhere.csv", DataError),
        (log.assign(time="yesterday"), DataError),
    ):
        with pytest.raises(error):
            PersonalRanker().fit(given)
    wrong: list[tuple[Any, Any]] = [(3, "we"), ("user 1", None)]
    for user, prefix in wrong:
        with pytest.raises(TypeError, match="it must be a string"):
            fitted.suggest(user, prefix, 1)
    lengths: tuple[Any, ...] = (0, -1, 2.5, True, "3", None)
    for k in lengths:
        with pytest.raises(ValueError, match="a whole number, and at least 1"):
            fitted.suggest("user 1", "we", k)
    twice = pd.concat([log, log[["user"]]], axis=1)
    with pytest.raises(DataError, match="the log cannot be read: "):
        PersonalRanker().fit(twice)
    columns: dict[str, Any] = {"user": 0}
    with pytest.raises(TypeError, match="user is 0: it must be a string"):
        PersonalRanker().fit(log, **columns)
    options: Any = "any"
    with pytest.raises(TypeError, match="it must be ImportOptions"):
        PersonalRanker().fit(log, options=options)
    assert PersonalRanker("persa-fl-me", updates=np.int64(60), lam=np.float32(3)).settings
    with pytest.raises(ValueError, match="it must be one of train"):
        fitted.evaluate("tests")
    assert fitted.suggest("user 1", "x" * 10_000) == []
    assert len(fitted.suggest("user 1", "")) == 6
    with pytest.raises(RunError, match="not a run directory"):
        PersonalRanker.load(tmp_path)
