"""Who may be merged, and when: a user is passed over until then, and refused who comes all the same."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
import torch

from federated.privacy.guarantee import Privacy
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.server.intake import DOUBLE, SPENT, TOO_SOON, Intake
from federated.server.rules import Defence
from federated.server.uploads import Uploads
from federated.training import Training
from tests.federated.server.pulling import SEED, SIZE, USERS, centres, learned, row, task

PRIVACY = Privacy(epsilon=2.0, delta=1e-3, clip=1.0)


def test_nobody_is_merged_more_often_than_promised() -> None:
    """Who works in loops of their own pace comes again and again, and is refused after k times."""
    loops = Arrivals(idle_time=0.5, delay_law="log-normal", delay_spread=1.5, buffer=2, server_lr=0.1)
    how = row(loops, privacy=replace(PRIVACY, participations=4))
    _, merges = learned(how, centres(), 32)
    counts = Counter(user for merge in merges for user in merge.users)
    reasons = Counter(reason for merge in merges for reason in merge.refused)
    assert max(counts.values()) == 4
    assert reasons[SPENT] > 0
    assert set(reasons) <= {SPENT, DOUBLE}


def test_a_user_is_in_a_merge_once() -> None:
    loops = Arrivals(idle_time=0.1, delay_law="log-normal", buffer=3, server_lr=0.1)
    for uploads in ({"privacy": replace(PRIVACY, participations=60)}, {"defence": Defence("median")}):
        _, merges = learned(row(loops, **uploads), centres(), 60)
        assert all(len(set(merge.users)) == len(merge.users) for merge in merges)
        assert any(DOUBLE in merge.refused for merge in merges)


@pytest.mark.parametrize("noise", ["tree", "banded"])
def test_correlated_noise_keeps_the_distance_that_it_is_paid_for(noise: str) -> None:
    how = row(
        Arrivals(concurrency=4, buffer=1, server_lr=0.1),
        privacy=replace(PRIVACY, noise=noise, leaves=8, band=5, participations=40),  # type: ignore[arg-type]
    )
    _, merges = learned(how, centres(), 60)
    assert not any(merge.refused for merge in merges), "nobody computes what will be refused"
    last: dict[int, int] = {}
    taken = [merge.users[0] for merge in merges if merge.users]
    for number, user in enumerate(taken):
        if user in last:
            near = last[user] // 8 == number // 8 if noise == "tree" else number - last[user] < 5
            assert not near
        last[user] = number


def test_who_comes_too_soon_is_refused() -> None:
    loops = Arrivals(idle_time=0.5, delay_law="log-normal", delay_spread=1.5, server_lr=0.1)
    privacy = replace(PRIVACY, noise="banded", band=5, participations=40)
    _, merges = learned(row(loops, privacy=privacy), centres(), 60)
    last: dict[int, int] = {}
    for number, (user,) in enumerate(merge.users for merge in merges if merge.users):
        assert number - last.get(user, -5) >= 5
        last[user] = number
    assert any(TOO_SOON in merge.refused for merge in merges)


@pytest.mark.parametrize(
    "schedule",
    [Cohort(cohort=3, shares="equal"), Arrivals(concurrency=6, buffer=3)],
    ids=["cohort", "buffer"],
)
@pytest.mark.parametrize("uploads", ["tree", "banded", "independent", "median"])
def test_nobody_computes_what_would_be_refused(schedule: Cohort | Arrivals, uploads: str) -> None:
    """Eight users, three in a merge: after six of them, two are left over, who begin the next."""
    if uploads == "median":
        how = row(schedule, defence=Defence("median"))
    else:
        privacy = replace(PRIVACY, noise=uploads, participations=12)  # type: ignore[arg-type]
        how = row(schedule, privacy=privacy)
    _, merges = learned(how, centres(), 48)
    assert sum(len(merge.users) for merge in merges) == 48
    assert not any(merge.refused for merge in merges)
    counts = Counter(user for merge in merges for user in merge.users)
    assert len(counts) == USERS
    assert max(counts.values()) <= 8


def test_a_place_is_empty_until_somebody_may_be_merged() -> None:
    """All eight wait in a buffer of eight: the last comes alone, and then all places are taken again."""
    how = row(Arrivals(concurrency=4, buffer=USERS), privacy=PRIVACY)
    clients = Training(task(centres()), how, SEED, 80, 0)._clients
    state = how.schedule.start(clients, torch.zeros(SIZE))
    done = list(islice(how.schedule.run(clients, state), 3))
    assert [sorted(merge.users) for merge in done] == [list(range(USERS))] * 3
    assert [merge.in_flight for merge in done] == [1] * 3
    assert all(set(merge.staleness) == {0} for merge in done), "nobody has read before the merge"


@pytest.mark.parametrize(("noise", "name"), [("tree", "leaves"), ("banded", "band")])
def test_a_distance_that_would_bar_everybody_is_refused(noise: str, name: str) -> None:
    privacy = replace(PRIVACY, noise=noise, **{name: 11})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{name} = 11 asks for 220 users .* and there are 200"):
        privacy.planned(4000, 200, 20)
    assert replace(privacy, **{name: 10}).planned(4000, 200, 20).mechanism.free_from(0) == 10


def test_who_goes_on_knows_whose_updates_wait() -> None:
    uploads = Uploads(defence=Defence("median"))
    before, after = (Intake.start(uploads, SEED, USERS, 3) for _ in range(2))
    assert before is not None
    assert after is not None
    for user in (2, 5):
        before.pending.append(before.admit(user, torch.ones(SIZE), None, torch.ones(SIZE))[0])
    after.unpack(*before.pack())
    assert [after.open_from(user) for user in (2, 5, 6)] == [1, 1, 0]
    assert after.admit(2, torch.ones(SIZE), None, torch.ones(SIZE))[1] == DOUBLE
