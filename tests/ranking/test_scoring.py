"""Scoring with one network for all or one per user, against one slate at a time."""

import pytest
import torch
from torch import Tensor

import ranking.scoring
from ranking.models import NeuralModel, TreeModel
from ranking.rankers import RANKERS, TREES
from ranking.rankers.network import Network
from ranking.scoring import network_scores
from ranking.slates import Slates

USERS = 20
NEURAL = [name for name in RANKERS if name not in TREES]


@pytest.fixture(scope="module")
def slates(tiny_slates: Slates) -> Slates:
    """Slates of 13 of the users, not in their order and not equally many of each."""
    chosen = tiny_slates[torch.randperm(len(tiny_slates), generator=torch.Generator().manual_seed(0))[:90]]
    return chosen[(chosen.user % 3 != 0).nonzero().squeeze(1)]


@pytest.fixture(scope="module", params=NEURAL)
def network(request, tiny_slates, tiny_public) -> Network:
    return RANKERS[request.param].ranker.network(tiny_slates.features.shape[-1], tiny_public.texts)


@pytest.fixture(scope="module")
def own(network: Network) -> Tensor:
    """(USERS, P), every user with a model of their own."""
    return torch.stack([network.layout.initial(torch.Generator().manual_seed(u)) for u in range(USERS)])


@pytest.fixture(autouse=True, params=[(8, 3), (256, 64)], ids="chunk{0[0]}".format)
def chunk(request, monkeypatch):
    """Chunks smaller and larger than what is scored: they must not show."""
    monkeypatch.setattr(ranking.scoring, "CHUNK", request.param[0])
    monkeypatch.setattr(ranking.scoring, "ALONE", request.param[1])


def test_one_model_for_all_equals_it_repeated_for_every_user(network, own, slates):
    common = network_scores(network, own[0], slates)
    assert common.shape == slates.mask.shape
    repeated = network_scores(network, own[0].expand(USERS, -1), slates)
    torch.testing.assert_close(common[slates.mask], repeated[slates.mask])


def test_every_slate_is_scored_by_its_users_own_model(network, own, slates):
    together = network_scores(network, own, slates)
    for s, user in enumerate(slates.user.tolist()):
        alone = network_scores(network, own[user], slates[torch.tensor([s])])[0]
        torch.testing.assert_close(together[s][slates.mask[s]], alone[slates.mask[s]])


def test_chunks_hold_every_slate_once_and_little_padding(chunk, tmp_path):
    """Also where one user has hundreds of slates and others one each."""
    user = torch.cat([torch.arange(50), torch.full((700,), 7), torch.tensor([3, 3, 60])])
    seen = []
    for users, places, real in ranking.scoring._by_user(user):
        assert places.numel() <= ranking.scoring.CHUNK
        assert torch.equal(user[places], users[:, None].expand_as(places))
        seen += places[real].tolist()
    assert sorted(seen) == list(range(len(user)))


def test_another_users_model_has_no_part_in_a_score(network, own, slates):
    before = network_scores(network, own, slates)
    changed = own.clone()
    changed[slates.user[0]] += 1
    after = network_scores(network, changed, slates)
    theirs = slates.user == slates.user[0]
    assert torch.equal(after[~theirs][slates.mask[~theirs]], before[~theirs][slates.mask[~theirs]])
    differs = ((after != before) & slates.mask).any(1)
    assert torch.equal(differs, theirs)


def test_scoring_changes_neither_models_nor_slates_and_builds_no_graph(network, own, slates):
    w, features = own.clone().requires_grad_(), slates.features.clone()
    assert not network_scores(network, w, slates).requires_grad
    assert torch.equal(w, own)
    assert torch.equal(slates.features, features)


def test_a_model_ranks_personally_by_the_users_own_part_if_it_has_one(network, own, slates):
    common, personal = network_scores(network, own[0], slates), network_scores(network, own, slates)
    both = NeuralModel(network, own[0], own)
    assert torch.equal(both.global_scores(slates), common)
    assert torch.equal(both.personal_scores(slates), personal)
    assert torch.equal(NeuralModel(network, own[0], None).personal_scores(slates), common)
    assert NeuralModel(network, None, own).global_scores(slates) is None


class Constant:
    """A fitted ranker that scores every candidate the same."""

    def __init__(self, score: float) -> None:
        self.score = score

    def scores(self, slates: Slates) -> Tensor:
        return torch.full(slates.mask.shape, self.score, dtype=torch.float64)


def test_every_slate_is_scored_by_its_users_own_trees(slates):
    scores = TreeModel(None, [Constant(u) for u in range(USERS)]).personal_scores(slates)
    assert torch.equal(scores, slates.user[:, None].expand(scores.shape).double())
    assert TreeModel(None, [Constant(0)]).global_scores(slates) is None
