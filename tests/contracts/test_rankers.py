"""What every row of RANKERS inherits; a new row is tested by standing in the table."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from federated.algorithms import ALGORITHMS
from federated.clients import LocalSGD
from federated.events import Finished
from federated.tasks.ranking import RankingTask
from federated.training import train
from ranking.metrics import slate_metrics
from ranking.models import Model, NeuralModel, TreeModel
from ranking.persistence import load, save
from ranking.rankers import RANKERS, TREES
from ranking.slates import Slates, StoredSlates

TEXTS = [
    f"{a}{b}" for a in ("red ", "green ", "blue ", "grey ") for b in ("hat", "coat", "shoe", "scarf", "glove")
]
rankers = pytest.mark.parametrize("name", RANKERS)
losses = pytest.mark.parametrize(
    ("name", "loss"), [(name, loss) for name, row in RANKERS.items() for loss in row.losses]
)


def make_model(name: str, slates: Slates, texts: list[str], loss: str | None = None) -> Model:
    """Random parameters for a network; a few trees, fitted on the slates."""
    ranker: Any = RANKERS[name].ranker
    if name in TREES:
        few = dataclasses.replace(ranker, n_estimators=10)
        return TreeModel(few.fit(StoredSlates.of(slates), loss or RANKERS[name].losses[0], 0), ())
    network = ranker.network(slates.features.shape[-1], texts)
    return NeuralModel(network, network.layout.initial(torch.Generator().manual_seed(0)), None)


def learn(name: str, loss: str, slates: Slates, texts: list[str], updates: int) -> Model:
    """Train on slates of one user: networks by local steps of plain SGD, trees by fitting."""
    if name in TREES:
        return make_model(name, slates, texts, loss)
    network = RANKERS[name].ranker.network(slates.features.shape[-1], texts)
    task = RankingTask.of(network, loss, slates, slates, users=1)
    row = replace(ALGORITHMS["pooled"], local=LocalSGD(lr=0.05))  # large steps, since there are few
    *_, end = train(task, row, seed=0, updates=updates, evaluations=0)
    assert isinstance(end, Finished)
    return NeuralModel(network, end.common, end.personal)


def same(a: Tensor, b: Tensor) -> bool:
    """Equal but for the order in which sums are taken: of products in float32, of trees in float64."""
    return torch.allclose(a, b, rtol=0, atol=1e-5 if a.dtype == torch.float32 else 1e-12)


@pytest.fixture(scope="module")
def some(tiny_slates: Slates) -> Slates:
    """Slates with pools of many sizes, first a full one."""
    sizes = tiny_slates.mask.sum(1)
    by_size = torch.argsort(sizes, descending=True, stable=True)
    return tiny_slates[by_size[:: len(by_size) // 40]]


@pytest.fixture(scope="module", params=RANKERS)
def model(request: pytest.FixtureRequest, tiny_slates: Slates, tiny_public: Any) -> Model:
    return make_model(request.param, tiny_slates, tiny_public.texts)


def scores_of(model: Model, slates: Slates) -> Tensor:
    scores = model.personal_scores(slates)
    assert scores.shape == slates.mask.shape
    assert torch.isfinite(scores[slates.mask]).all()
    return scores


def on_candidates(slates: Slates, change: Callable[[Tensor], Tensor]) -> Slates:
    """The slates with the same change made to every tensor that has a candidate axis."""
    names = ("features", "mask", "position", "candidates")
    return dataclasses.replace(slates, **{name: change(getattr(slates, name)) for name in names})


def test_a_batch_scores_as_one_by_one(model, some):
    batch = scores_of(model, some)
    assert batch[some.mask].unique().numel() > len(some), "scores that are all alike prove nothing"
    for s in range(len(some)):
        alone = scores_of(model, some[torch.tensor([s])])[0]
        assert same(batch[s][some.mask[s]], alone[some.mask[s]])


def test_permuting_the_pool_permutes_the_scores(model, some):
    order = torch.randperm(some.mask.shape[1], generator=torch.Generator().manual_seed(0))
    permuted = on_candidates(some, lambda t: t[:, order])
    assert same(
        scores_of(model, permuted)[permuted.mask], scores_of(model, some)[:, order][some.mask[:, order]]
    )


def test_padding_changes_nothing(model, some):
    def widen(t: Tensor) -> Tensor:
        filling = torch.full_like(t[:, :3], -1 if t.dtype == torch.int32 else 0)
        return torch.cat([filling[:, :1], t, filling[:, 1:]], dim=1)

    wide = on_candidates(some, widen)
    assert wide.mask.sum() == some.mask.sum()
    assert same(scores_of(model, wide)[wide.mask], scores_of(model, some)[some.mask])


def test_one_candidate_is_enough(model, some):
    single = on_candidates(some, lambda t: t[:, :1])
    assert same(scores_of(model, single)[:, 0], scores_of(model, some)[:, 0])


def test_candidates_that_look_alike_score_alike(model, some):
    alike = dataclasses.replace(
        some,
        features=some.features[:, :1].expand_as(some.features) * some.mask[..., None],
        candidates=torch.where(some.mask, some.candidates[:, :1], -1),
    )
    scores = scores_of(model, alike)
    assert same(torch.where(some.mask, scores, scores[:, :1]), scores[:, :1].expand_as(scores))


def test_scoring_changes_no_slate(model, some):
    before = some.features.clone(), some.candidates.clone()
    assert same(scores_of(model, some), scores_of(model, some))
    assert torch.equal(some.features, before[0])
    assert torch.equal(some.candidates, before[1])


@rankers
def test_what_is_loaded_scores_like_what_was_saved(tmp_path, some, tiny_public, name):
    model = make_model(name, some, tiny_public.texts)
    save(model, tmp_path, name)
    network = model.network if isinstance(model, NeuralModel) else None
    back = load(tmp_path, name, network, users=20)
    assert same(scores_of(back, some), scores_of(model, some))


def obvious(seed: int, slates: int = 300, pool: int = 10) -> Slates:
    """One user who wants the one candidate whose feature 0 is above 1; four features are pure noise."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(slates, pool, 5, generator=draw)
    best = torch.randint(pool, (slates, 1), generator=draw)
    features[..., 0] = torch.rand(slates, pool, generator=draw).scatter_add(1, best, torch.ones(slates, 1))
    return Slates(
        features=features,
        mask=torch.ones(slates, pool, dtype=torch.bool),
        position=torch.zeros(slates, pool, dtype=torch.int16).scatter(1, best, 1),
        wanted=torch.ones(slates, dtype=torch.int16),
        user=torch.zeros(slates, dtype=torch.int64),
        candidates=torch.randint(len(TEXTS), (slates, pool), generator=draw).int(),
        typed=torch.ones(slates, dtype=torch.int16),
    )


@losses
def test_learns_what_is_obvious_by_every_loss(name, loss):
    trained = learn(name, loss, obvious(seed=0), TEXTS, updates=40)
    unseen = obvious(seed=1)
    chance = slate_metrics(torch.zeros(unseen.mask.shape), unseen)["nmrr"].mean()
    learned = slate_metrics(scores_of(trained, unseen), unseen)["nmrr"].mean()
    assert chance < 0.6
    assert learned > 0.9


def bounds(name: str) -> list[tuple[str, Any]]:
    """Values just outside the bounds of every hyper-parameter, as its schema states them."""
    ranker = RANKERS[name].ranker
    outside: list[tuple[str, Any]] = []
    for field, schema in TypeAdapter(type(ranker)).json_schema()["properties"].items():
        number = schema.get("items", schema)
        values: list[Any] = ["many", None]
        if number["type"] in ("integer", "number"):
            values += [float("nan"), -1]
            values += [number[k] - 1 for k in ("minimum",) if k in number]
            values += [number[k] for k in ("exclusiveMinimum",) if k in number]
            values += [number[k] + 1 for k in ("maximum",) if k in number]
        if number["type"] == "integer":
            values.append(1.5)
        if schema["type"] == "array":
            values = [[v] for v in values] + [[1] * (schema["maxItems"] + 1), 64]
        outside += [(field, value) for value in values]
    return outside


@pytest.mark.parametrize(
    ("name", "field", "value"), [(name, *outside) for name in RANKERS for outside in bounds(name)]
)
def test_hyper_parameters_out_of_bounds_are_refused(name, field, value):
    ranker: Any = RANKERS[name].ranker
    with pytest.raises(ValidationError, match=field):
        dataclasses.replace(ranker, **{field: value})


@rankers
def test_hyper_parameters_are_frozen(name):
    ranker: Any = RANKERS[name].ranker
    field = dataclasses.fields(ranker)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(ranker, field, getattr(ranker, field))


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("others", [False, True])
def test_whose_pools_are_empty_is_ranked_by_a_constant(name, others, some, tmp_path):
    """Fitted on slates without a candidate, alone or beside others, saved and loaded."""
    keep = (torch.arange(len(some))[:, None] % 2 == 0) & others
    learn = StoredSlates.of(dataclasses.replace(some, mask=some.mask & keep))
    ranker: Any = dataclasses.replace(RANKERS[name].ranker, n_estimators=3)
    for loss in RANKERS[name].losses:
        fitted = ranker.fit(learn, loss, 0)
        save(TreeModel(fitted, ()), tmp_path / loss, name)
        loaded = load(tmp_path / loss, name, None, 1).personal_scores(some)
        assert torch.equal(loaded, fitted.scores(some))
        assert bool((loaded[some.mask] == 0).all()) is not others
