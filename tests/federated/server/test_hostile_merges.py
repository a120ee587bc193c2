"""Merges with hostile users: what they do to the mean, and what rules make of that."""

from collections import Counter

import pytest
import torch

from federated.hostile import Attack
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort, Rounds
from federated.server.admission import TOO_LARGE
from federated.server.intake import Intake
from federated.server.rules import Defence
from federated.server.uploads import Uploads
from federated.virtual_time.roster import Roster
from tests.federated.server.pulling import SEED, SIZE, USERS, centres, learned, row

SCHEDULES = {
    "cohort": Cohort(cohort=USERS),
    "buffer": Arrivals(concurrency=3, buffer=5, server_lr=1.0),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_one_hostile_user_moves_the_mean_anywhere_and_a_robust_rule_not(schedule: Arrivals | Cohort) -> None:
    centre = 1 + 0.01 * centres()
    attack = Attack(kind="sign-flip", share=0.125, scale=1e4)
    lost, _ = learned(row(schedule, attack=attack), centre, 4 * USERS)
    assert (lost - 1).norm() > 100
    for rule in ("trimmed-mean", "median", "multi-krum", "nnm+trimmed-mean", "clip+median"):
        found, merges = learned(row(schedule, attack=attack, defence=Defence(rule)), centre, 4 * USERS)
        assert (found - 1).norm() < 0.2, rule
        assert sum(len(merge.users) for merge in merges) > 2 * USERS


def test_what_a_hostile_user_sends_is_held_against_the_bound() -> None:
    attack = Attack(kind="scaled", share=0.25, scale=1e6)
    _, merges = learned(row(Cohort(cohort=USERS, max_update_norm=100.0), attack=attack), centres(), 2 * USERS)
    assert Counter(reason for merge in merges for reason in merge.refused) == {TOO_LARGE: 4}


def test_flipped_labels_pull_the_other_way() -> None:
    found, _ = learned(
        row(Cohort(cohort=USERS, shares="equal"), attack=Attack(kind="label-flip", share=0.25)),
        torch.ones(USERS, SIZE),
        USERS,
    )
    assert torch.allclose(found, torch.full((SIZE,), 0.5)), "six users at 1 and two at −1"


def test_basgd_waits_until_every_buffer_holds_something() -> None:
    defence = Defence("basgd", buffers=4)
    _, merges = learned(row(Arrivals(concurrency=3, server_lr=0.2), defence=defence), centres(), 64)
    done = [merge for merge in merges if merge.users]
    assert done
    for merge in done:
        assert {user % 4 for user in merge.users} == {0, 1, 2, 3}
        assert len([user for user in merge.users if user % 4 == merge.users[-1] % 4]) == 1


MOST = {"trimmed-mean": 5, "krum": 4, "multi-krum": 4, "clip+trimmed-mean": 5, "nnm+median": 5, "median": 5}
"""f, as great as twelve updates allow: nine alone would be too few for it."""


@pytest.mark.parametrize("rule", MOST)
def test_who_is_refused_takes_no_honest_update_along(rule: str) -> None:
    """Three of twelve send what is refused: the nine others are merged, round by round."""
    centre = 1 + 0.01 * centres(12)
    attack = Attack(kind="scaled", share=0.25, scale=1e30)
    schedule = Cohort(cohort=12)
    found, merges = learned(row(schedule, attack=attack, defence=Defence(rule, f=MOST[rule])), centre, 48)
    assert (found - 1).norm() < 0.1
    assert all(len(merge.users) == 9 for merge in merges)


@pytest.mark.parametrize("rule", ["trimmed-mean", "multi-krum", "clip+trimmed-mean", "nnm+trimmed-mean"])
@pytest.mark.parametrize("f", [4, None])
def test_a_rule_resists_as_many_where_honest_users_are_away(rule: str, f: int | None) -> None:
    """Four of twenty do not answer: of the sixteen who do, four are hostile all the same."""
    uploads = Uploads(defence=Defence(rule, f=f))
    rule_of_all = Cohort(cohort=20, server_lr=1.0)
    rounds = Rounds(torch.zeros(SIZE), Roster(20, SEED), intake=Intake.start(uploads, SEED, 20, 20))
    sent = torch.ones(16, SIZE)
    sent[:4] = -1e6
    users, refused = rule_of_all.take(rounds, range(16), sent, [None] * 16, torch.ones(16))
    assert (len(users), refused) == (16, ())
    assert torch.allclose(rounds.w, torch.full((SIZE,), -1.0), atol=1e-3)


def test_who_is_refused_before_the_merge_is_one_fewer_to_resist() -> None:
    """Krum with f = 8 needs 19 of 20; where the eight liars have been refused, any twelve will do."""
    uploads = Uploads(defence=Defence("krum", f=8))
    rounds = Rounds(torch.zeros(SIZE), Roster(20, SEED), intake=Intake.start(uploads, SEED, 20, 20))
    whys = [TOO_LARGE] * 8 + [None] * 12
    users, refused = Cohort(cohort=20).take(rounds, range(20), torch.ones(20, SIZE), whys, torch.ones(20))
    assert (users, refused) == (tuple(range(8, 20)), (TOO_LARGE,) * 8)
    assert torch.equal(rounds.w, torch.full((SIZE,), -1.0))


def test_who_is_refused_empties_no_buffer_of_basgd() -> None:
    attack = Attack(kind="scaled", share=0.125, scale=1e30)
    how = row(Arrivals(concurrency=3, server_lr=0.2), attack=attack, defence=Defence("basgd", buffers=8))
    found, merges = learned(how, torch.ones(USERS, SIZE), 160)
    assert sum(bool(merge.users) for merge in merges) > 5
    assert (found - 1).norm() < 1.5


def test_what_is_refused_weighs_as_zeros_in_its_buffer_of_basgd() -> None:
    """Users 0 and 3 share a buffer, and 3 sends too much: (1 + 0)/2 is the median of that, 1 and 0.2."""
    uploads = Uploads(attack=Attack("scaled", share=0.25, scale=1e6), defence=Defence("basgd", buffers=3))
    intake = Intake.start(uploads, SEED, 4, 1)
    assert intake is not None
    intake.hostile = torch.tensor([False, False, False, True])
    intake.pending = [torch.full((SIZE,), value) for value in (1.0, 1.0, 0.2, 1.0)]
    found = intake.merge([0, 1, 2, 3], None, 100.0)
    assert (found.kept, found.refused) == ((0, 1, 2), (TOO_LARGE,))
    assert found.update is not None
    assert found.update.tolist() == pytest.approx([0.5] * SIZE)
