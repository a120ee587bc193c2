"""Learning from a visit: the run's own personal step, on one user's data, and what can be said of it."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from app.runs.directory import open_run
from app.runs.evaluation import evaluate, users_table
from app.runs.settings import resolve
from app.runs.training import train_run
from app.suggestions import adaptation
from app.suggestions.adaptation import (
    Adaptation,
    NotAdaptableError,
    called,
    further,
    joined,
    offered,
    past_slates,
)
from app.suggestions.suggester import Suggester, of_run
from app.suggestions.visit import Visit
from data.schema import DataError, Dataset, column
from data.simulator import simulate
from data.storage import read, write
from ranking.building import build
from ranking.metrics import slate_metrics
from ranking.models import Model, NeuralModel, TreeModel
from ranking.rankers.trees import Constant
from ranking.slates import Slates, StoredSlates
from ranking.sources import Log

USER = 5
NEVER = "how on earth, nobody asked"
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "moreau": ({"algorithm": "persa-fl-me"}, {"lam": 7}),
    "ditto, few samples": ({"algorithm": "ditto"}, {"lam": 3, "personal_samples": 4}),
    "maml, mlp-cnn": (
        {"algorithm": "per-fedavg", "ranker": "mlp-cnn"},
        {"personal_steps": 5, "curvature": "first-order", "hidden": [8]},
    ),
    "policy": ({"algorithm": "memrl"}, {"personal_steps": 3, "hidden": [8]}),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six users: each training builds all slates."""
    out = tmp_path_factory.mktemp("six") / "data"
    write(simulate(users=6, seed=0), out)
    return out


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return read(data)


@pytest.fixture(scope="module")
def run(data: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a run with one of SETTINGS, trained when it is first asked for."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            given, overrides = SETTINGS[name]
            made[name] = tmp_path_factory.mktemp("adaptation") / "run"
            settings = resolve({"updates": 20, "evaluations": 0} | given, overrides)
            train_run(settings, data, dataset, made[name], lambda event: None)
        return made[name]

    return get


@pytest.fixture(scope="module")
def suggester(run: Callable[[str], Path]) -> Suggester:
    return of_run(run("moreau"))


def model_of(suggester: Suggester) -> NeuralModel:
    assert isinstance(suggester.model, NeuralModel)
    return suggester.model


def own_weights(visit: Visit) -> torch.Tensor:
    assert visit.own is not None
    return visit.own


@pytest.mark.parametrize(
    "name", [name for name in SETTINGS if name not in ("fedavg", "local", "gossip", "trees")]
)
def test_an_empty_visit_gives_the_runs_own_models(run: Callable[[str], Path], name: str) -> None:
    """So it is the same step."""
    suggester = of_run(run(name))
    model = model_of(suggester)
    assert model.personal is not None
    assert model.common is not None
    for user in (0, USER):
        visit, found = suggester.adapt(suggester.visit(user))
        assert torch.allclose(own_weights(visit), model.personal[user], rtol=0, atol=1e-6)
        assert not torch.equal(own_weights(visit), model.common)
        assert (found.visit, found.unused) == (0, 0)
        assert found.distance_after == pytest.approx(found.distance_before, abs=1e-5)
        assert found.nmrr_after == pytest.approx(found.nmrr_before, abs=1e-6)


def test_what_is_said_of_it(run: Callable[[str], Path], suggester: Suggester, dataset: Dataset) -> None:
    before = suggester.visit(USER)
    text = suggester.recent(before, 1)[0]
    visit = suggester.observe(before, text, text[:2])
    visit = suggester.observe(visit, text)  # nothing was typed
    visit = suggester.observe(visit, NEVER, "how")  # nobody had ever searched it
    visit = suggester.observe(visit, NEVER, "how ")
    after, found = suggester.adapt(visit)
    model = model_of(suggester)
    assert model.personal is not None
    assert model.common is not None
    user, split = column(dataset.events, "user_id"), dataset.events["split"].to_pylist()
    training = sum(u == USER and s == "train" for u, s in zip(user.tolist(), split, strict=True))
    assert (found.setting, found.strength, found.called) == ("lam", 7, "λ = 7")
    assert (found.past, found.visit, found.unused) == (training, 2, 2)
    assert found.distance_before == pytest.approx(float((model.personal[USER] - model.common).norm()))
    assert found.distance_after == pytest.approx(float((own_weights(after) - model.common).norm()))
    assert found.distance_after != pytest.approx(found.distance_before, abs=1e-6)
    (judged,) = evaluate([run("moreau")], None, "test")
    row = users_table(judged)[USER]
    assert found.held_out == row["slates"] > 0
    assert found.nmrr_before == pytest.approx(row["personal"]["nmrr"], abs=1e-9)
    again = suggester.adapt(after)[1]
    assert again == replace(found, distance_before=found.distance_after, nmrr_before=found.nmrr_after), (
        "it begins at the common model, not where the last step ended"
    )


def test_nmrr_after_is_that_of_the_adapted_weights(
    run: Callable[[str], Path], suggester: Suggester, dataset: Dataset
) -> None:
    visit = suggester.visit(USER)
    for _ in range(5):
        visit = suggester.observe(visit, NEVER, "how")
    visit, found = suggester.adapt(visit)
    model = model_of(suggester)
    assert model.personal is not None
    personal = model.personal.clone()
    personal[USER] = own_weights(visit)
    slates = build(dataset, None, "test").all().where_user(torch.tensor([USER]))
    scores = NeuralModel(model.network, None, personal).personal_scores(slates)
    assert found.nmrr_after == pytest.approx(float(slate_metrics(scores, slates)["nmrr"].mean()), abs=1e-9)


@pytest.mark.parametrize("name", ["moreau", "maml, mlp-cnn"])
def test_what_was_accepted_goes_up(run: Callable[[str], Path], name: str) -> None:
    """Where somebody keeps choosing what ranked low, its score gains on the candidates' mean."""
    suggester = of_run(run(name))
    visit = suggester.visit(USER)
    text = suggester.suggest(visit, "h", 100).personal[-1].text
    for _ in range(6):
        visit = suggester.observe(visit, text, "h")
    plain = suggester.adapt(suggester.visit(USER))[0].own

    def lead(now: Visit) -> float:
        shown = suggester.suggest(now, "h", 1000).personal
        mean = sum(one.score for one in shown) / len(shown)
        return next(one.score for one in shown if one.text == text) - mean

    after, _ = suggester.adapt(visit)
    assert lead(after) > lead(replace(visit, own=plain)) + 1e-3
    assert suggester.suggest(after, "h").everyone == suggester.suggest(visit, "h").everyone
    assert suggester.suggest(visit, "h") == suggester.suggest(replace(after, own=None), "h"), "undo"


def test_visit_slates_are_the_moments_as_they_were(suggester: Suggester) -> None:
    """Each has what was accepted before it among its past, and what was accepted then as wanted."""
    visit = suggester.visit(USER)
    moments = []
    for typed in ("h", "ho", "how"):
        standing = suggester.candidates.standing(visit)
        pool = suggester.candidates.pool(standing, typed)
        moments.append(suggester.candidates.slate(USER, standing, typed, pool))
        visit = suggester.observe(visit, standing.others.texts[pool[3]], typed)
    for slate, kept in zip(moments, suggester.candidates.accepted(visit), strict=True):
        assert torch.equal(kept.features, slate.features[0])
        assert torch.equal(kept.candidates, slate.candidates[0])
        assert kept.position.tolist() == [int(at == 3) for at in range(len(kept.position))]
        assert int(kept.typed) == int(slate.typed)


def test_only_this_users_slates_are_looked_at(run: Callable[[str], Path], dataset: Dataset) -> None:
    started = open_run(run("moreau"))
    whole = Log(dataset)
    model = started.model(whole)
    user = column(dataset.events, "user_id")
    mine = (user == USER)[column(dataset.slates, "event_id")]
    alone = Log(replace(dataset, slates=dataset.slates.filter(mine), truth={}))
    found = [(s := Suggester(log, model, started)).adapt(s.visit(USER)) for log in (whole, alone)]
    assert torch.equal(own_weights(found[0][0]), own_weights(found[1][0]))
    assert found[0][1] == found[1][1]


def test_deleted_searches_are_not_learned_from(suggester: Suggester) -> None:
    visit = suggester.visit(USER)
    text = suggester.recent(visit, 1000)[-1]
    gone = suggester.forget(suggester.observe(visit, text, text[:3]), text)
    found = [suggester.adapt(one)[1] for one in (visit, gone)]
    assert found[1].past < found[0].past
    assert found[1].visit == 0
    emptied = suggester.candidates.settled(replace(visit, forgotten=frozenset(suggester.recent(visit, 1000))))
    with pytest.raises(NotAdaptableError, match="There is nothing to learn from yet: accept a search first"):
        suggester.adapt(emptied)


@pytest.mark.parametrize(
    ("algorithm", "ranker", "sentence"),
    [
        ("fedavg", "mlp", "With fedavg there is no personal step: nobody has a model of their own"),
        ("local", "mlp", "With local there is no common model, and learning from a visit begins at one"),
        ("pars-push", "mlp", "With pars-push there is no common model"),
        ("pooled", "forest", "The ranker is made of trees: they are fitted in one piece"),
    ],
)
def test_runs_without_a_step_say_so(
    suggester: Suggester, dataset: Dataset, algorithm: str, ranker: str, sentence: str
) -> None:
    trained = suggester.run
    assert trained is not None
    other = replace(trained, settings=resolve({"algorithm": algorithm, "ranker": ranker}, {}))
    model: Model = model_of(suggester)
    if ranker == "forest":
        model = TreeModel(Constant(), ())
    elif algorithm != "fedavg":
        model = replace(model_of(suggester), common=None)
    refusing = Suggester(Log(dataset), model, other)
    with pytest.raises(NotAdaptableError, match=sentence):
        refusing.adapt(refusing.visit(USER))
    with pytest.raises(NotAdaptableError, match="It is not known how this model was trained"):
        (unknown := Suggester(Log(dataset), model)).adapt(unknown.visit(USER))


def test_a_run_that_keeps_the_common_model_can_be_told_how_far_to_go(
    suggester: Suggester, dataset: Dataset
) -> None:
    trained = suggester.run
    assert trained is not None
    own = {"setting": "lam", "value": "inf", "losses": [], "users_asked": 6, "nobody": True}
    nobody = replace(
        trained,
        settings=resolve({"algorithm": "persa-fl-ditto"}, {}),
        summary=trained.summary | {"own_models": own},
    )
    keeping = Suggester(Log(dataset), replace(model_of(suggester), personal=None), nobody)
    visit = keeping.visit(USER)
    with pytest.raises(
        NotAdaptableError,
        match=r"keeps the common model for everybody \(λ = ∞\).*λ = 15.*A smaller λ goes further",
    ) as refused:
        keeping.adapt(visit)
    assert refused.value.strengths == offered(nobody) != ()
    assert refused.value.setting == "lam"
    assert "nobody was better off with a model of their own" in keeping.models(visit).why
    assert all(math.isfinite(value) for value in offered(nobody))
    weak, strong = (keeping.adapt(visit, strength)[1] for strength in (30.0, 0.7))
    assert weak.distance_before == strong.distance_before == 0
    assert 0 < weak.distance_after < strong.distance_after
    for wrong in (math.inf, 8.0, math.nan, -1.0):
        with pytest.raises(
            NotAdaptableError, match=r"choose λ = 30, λ = 15, λ = 7, λ = 3, λ = 1\.5, λ = 0\.7"
        ):
            keeping.adapt(visit, wrong)


def test_past_slates_are_as_wide_as_all_that_were_learned_from(dataset: Dataset) -> None:
    """Rankings that a policy draws depend on it; one of another user's pools is made longer here."""
    slates = dataset.slates
    pools = slates["pool"].to_pylist()
    pools[0] = [*pools[0], *(set(range(len(pools[0]) + 9)) - set(pools[0]))]
    number = slates.schema.get_field_index("pool")
    longer = slates.set_column(number, slates.schema.field(number), pa.array(pools, pa.list_(pa.int32())))
    past = past_slates(Log(replace(dataset, slates=longer)), USER, (), 100)
    assert past.widest == len(pools[0]) > int(past.offsets.diff().max())


def test_slates_are_joined_as_they_are(tiny_slates: Slates) -> None:
    parts = [StoredSlates.of(tiny_slates[torch.tensor(rows)]) for rows in ([0, 1], [5], [9, 3])]
    together = joined(parts).all()
    expected = tiny_slates[torch.tensor([0, 1, 5, 9, 3])]
    for name in ("features", "mask", "position", "wanted", "user", "candidates", "typed"):
        assert torch.equal(getattr(together, name), getattr(expected, name))


def test_data_that_cannot_be_read_is_not_taken_for_none(
    suggester: Suggester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise DataError("a feature is NaN.")

    monkeypatch.setattr(adaptation, "build", damaged)
    with pytest.raises(DataError, match="NaN"):
        suggester.adapt(suggester.visit(USER))


def test_strengths_for_people() -> None:
    assert [called("lam", math.inf), called("lam", 1.5)] == ["λ = ∞", "λ = 1.5"]
    assert [called("adapt_steps", 1.0), called("personal_steps", 20)] == ["1 step", "20 steps"]
    found = Adaptation("lam", 15.0, 1, 2, 3, 0.1, 0.2, None, None, 0)
    assert found.called == "λ = 15"
    assert [further("lam"), further("personal_steps")] == [
        "A smaller λ goes further",
        "More steps go further",
    ]
