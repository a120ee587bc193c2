"""What is held against a model, and what is not, on slates whose best and worst orders are known."""

from typing import Any

import pytest
import torch
from torch import Tensor

from app.runs import verdict
from app.runs.verdict import (
    A_LITTLE_WORSE,
    CHANCE,
    COMMON,
    NOT_PERSONAL,
    OWN,
    RANDOM,
    START,
    UNKNOWN_WORTH,
    WORSE,
    doubts,
    exchanged,
    nmrr_of,
    told,
)
from federated.tasks.ranking import RankingTask
from ranking.slates import Slates, StoredSlates


@pytest.fixture
def slates(board: RankingTask) -> StoredSlates:
    """Of 8 users, of whom every other one wants the candidates marked +1 and the others those marked −1."""
    assert isinstance(board.train, Slates)
    return StoredSlates.of(board.train)


def knowing(slates: Slates) -> Tensor:
    """What each user wants, first."""
    return slates.features[..., 0] * torch.where(slates.user % 2 == 0, 1, -1)[:, None]


def opposite(slates: Slates) -> Tensor:
    return -knowing(slates)


def marked(slates: Slates) -> Tensor:
    """Right for one half of the users, and wrong for the other."""
    return slates.features[..., 0]


def constant(slates: Slates) -> Tensor:
    return torch.zeros(slates.mask.shape)


def found(slates: StoredSlates, own: Any, **others: Any) -> list[tuple[str, str]]:
    by = {RANDOM: nmrr_of(slates, constant), OWN: nmrr_of(slates, own)}
    by |= {name: nmrr_of(slates, scores) for name, scores in others.items()}
    return [(doubt.kind, doubt.ranking) for doubt in doubts(by, slates)]


def test_a_model_that_knows_is_sound(slates: StoredSlates) -> None:
    assert found(slates, knowing) == []
    assert exchanged(knowing, slates) == []


@pytest.mark.parametrize("useless", [constant, marked, opposite])
def test_a_model_that_is_not_better_than_chance(slates: StoredSlates, useless: Any) -> None:
    """Constant, right as often as wrong, and always wrong."""
    assert found(slates, useless) == [(CHANCE, OWN)]


def test_a_common_model_at_chance_does_not_accuse_the_own_ones(slates: StoredSlates) -> None:
    assert found(slates, knowing, **{COMMON: constant}) == [(CHANCE, COMMON)]
    assert found(slates, knowing, **{START: constant}) == []


def test_a_common_model_that_is_all_there_is_is_accused_once(slates: StoredSlates) -> None:
    assert found(slates, constant, **{COMMON: constant}) == [(CHANCE, OWN)]


@pytest.mark.parametrize("base", [COMMON, START])
def test_own_models_worse_than_what_they_are_made_from(slates: StoredSlates, base: str) -> None:
    def half_forgotten(some: Slates) -> Tensor:
        return knowing(some) * (some.typed.new_tensor(range(6)) < 2)

    assert found(slates, knowing, **{base: half_forgotten}) == []
    assert found(slates, half_forgotten, **{base: knowing}) == [(WORSE, OWN)]


def test_what_is_lost_of_the_lead_decides_between_a_warning_and_a_note(
    slates: StoredSlates, monkeypatch: Any
) -> None:
    def half_forgotten(some: Slates) -> Tensor:
        return knowing(some) * (some.typed.new_tensor(range(6)) < 2)

    monkeypatch.setattr(verdict, "MATERIAL", 2)
    assert found(slates, half_forgotten, **{COMMON: knowing}) == [(A_LITTLE_WORSE, OWN)]
    kinds = [(CHANCE, OWN), (WORSE, OWN), (A_LITTLE_WORSE, OWN), (NOT_PERSONAL, OWN), (UNKNOWN_WORTH, OWN)]
    both = told([{"kind": kind, "ranking": ranking} for kind, ranking in kinds])
    assert [len(both[key]) for key in ("warnings", "notes")] == [2, 3]


def test_the_sentence_has_the_figures(slates: StoredSlates) -> None:
    by = {RANDOM: nmrr_of(slates, constant), OWN: nmrr_of(slates, constant), COMMON: nmrr_of(slates, knowing)}
    (chance, worse) = doubts(by, slates)
    figures = "NMRR +0.0000, 95 % +0.0000 to +0.0000, over 8 users"
    assert chance.message == f"the users' own models rank no better than chance ({figures})."
    difference = float((by[OWN] - by[COMMON]).mean())
    assert worse.message.startswith(
        f"the users' own models rank worse than the common model (NMRR {difference:.4f}"
    )


def test_models_that_were_exchanged_within_like_users_are_not_told_from_their_own(
    slates: StoredSlates,
) -> None:
    """One model for all is nobody's own."""
    (doubt,) = exchanged(marked, slates)
    assert doubt.kind == NOT_PERSONAL


def test_slates_that_every_order_serves_equally_do_not_count(slates: StoredSlates) -> None:
    silent = slates.subset(torch.arange(len(slates)))
    silent.position.copy_(torch.ones_like(silent.position))  # all are wanted
    assert found(silent, constant) == [(UNKNOWN_WORTH, OWN)]
    assert exchanged(constant, silent) == []
    silent.position.zero_()  # none is
    assert found(silent, constant) == [(UNKNOWN_WORTH, OWN)]


def test_one_user_has_nobody_to_exchange_with(slates: StoredSlates) -> None:
    alone = slates.subset((slates.user == 3).nonzero().squeeze(1))
    assert exchanged(constant, alone) == []
    assert found(alone, constant) == [(CHANCE, OWN)]
    assert found(alone, knowing) == []


def test_only_some_users_are_compared_where_there_are_many(slates: StoredSlates, monkeypatch: Any) -> None:
    monkeypatch.setattr(verdict, "COMPARED_USERS", 3)
    monkeypatch.setattr(verdict, "COMPARED_SLATES", 2)
    seen: list[int] = []

    def scores(some: Slates) -> Tensor:
        seen.extend(some.user.tolist())
        return constant(some)

    (doubt,) = exchanged(scores, slates)
    assert seen == [0, 0, 3, 3, 7, 7, 3, 3, 7, 7, 0, 0, 7, 7, 0, 0, 3, 3]
    assert "over 3 users" in doubt.message


@pytest.mark.parametrize(("scores", "asked"), [(knowing, 1 + 2), (marked, 1 + 7)])
def test_more_others_are_asked_only_where_two_do_not_settle_it(
    slates: StoredSlates, scores: Any, asked: int
) -> None:
    calls: list[int] = []

    def counted(some: Slates) -> Tensor:
        calls.append(len(some))
        scored: Tensor = scores(some)
        return scored

    exchanged(counted, slates)
    assert len(calls) == asked


def test_scores_that_are_not_finite_are_refused(slates: StoredSlates) -> None:
    with pytest.raises(FloatingPointError, match="no longer finite"):
        nmrr_of(slates, lambda some: knowing(some) / 0)
