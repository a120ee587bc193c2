"""A server that clips, adds noise and reads small updates: closed forms, and what it refuses."""

import math
from dataclasses import replace
from itertools import islice

import pytest
import torch

from federated.clients import Clients, LocalSGD
from federated.compression import Compression
from federated.hostile import Attack
from federated.objectives import Vanilla
from federated.privacy.accounting import mu_of
from federated.privacy.guarantee import Privacy
from federated.privacy.noise import Keyed
from federated.schedules import Merge
from federated.schedules.alone import Local
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort, Rounds
from federated.server.admission import TOO_LARGE
from federated.server.intake import Intake, clipped
from federated.server.rules import Defence
from federated.server.uploads import UploadError, Uploads
from federated.training import Training
from federated.virtual_time.roster import Roster
from tests.federated.server.pulling import SEED, SIZE, USERS, centres, learned, row, shortened, task

PRIVACY = Privacy(epsilon=2.0, delta=1e-3, clip=1.0)
NOISELESS = Privacy(epsilon=1000.0, delta=1e-3, clip=1.0)
ALL = Cohort(cohort=USERS, shares="equal")


def test_a_round_is_the_sum_of_clipped_updates_with_noise_over_their_number() -> None:
    """One round: w₁ = −(Σ clip(−c_i) + σ C z)/n, with σ of a single participation."""
    centre, clip = centres(), 0.7
    found, _ = learned(row(ALL, privacy=replace(PRIVACY, clip=clip)), centre, USERS)
    sigma = 1 / mu_of(2, 1e-3)
    noise = sigma * clip * Keyed(SEED).normal(SIZE, 0)
    expected = -(shortened(-centre, clip).double().sum(0) + noise) / USERS
    assert torch.allclose(found.double(), expected, atol=2e-6)


def test_the_divisor_is_the_buffer_whoever_was_in_it() -> None:
    """Three updates a merge: what is left without the noise is a sum of three that were clipped."""
    how = row(Arrivals(concurrency=USERS, buffer=3, server_lr=0.5), privacy=PRIVACY)
    clients = Training(task(centres()), how, SEED, 80, 0)._clients
    state = how.schedule.start(clients, torch.zeros(SIZE))
    w = state.w
    done = (merge for merge in how.schedule.run(clients, state) if merge.users)
    for number, merge in enumerate(islice(done, 4)):
        noise = math.sqrt(10) / mu_of(2, 1e-3) * Keyed(SEED).normal(SIZE, number)
        moved = -(merge.w - w).double() * 3 / 0.5 - noise
        assert 1 < moved.norm() <= 3 + 1e-4, "and each of norm 1 at most"
        w = merge.w


@pytest.mark.parametrize("size", [1, 20, 200])
def test_no_amplification_is_claimed_for_who_is_asked_in_turn(size: int) -> None:
    """Cohorts of 20 of 200 users are asked as often as cohorts of all: σ is √k/μ, whatever their size."""
    planned = PRIVACY.planned(updates=4000, users=200, size=size)
    assert planned.participations == 20
    assert planned.multiplier(size) == pytest.approx(math.sqrt(20) / mu_of(2, 1e-3), rel=1e-12)
    assert planned.multiplier(size) == pytest.approx(6.46, abs=5e-3), "privacy.md, section 1"


def test_the_clip_moves_towards_the_quantile_of_the_norms() -> None:
    """Andrew 2021: too many above C, and it grows; too many below, and it shrinks: not the other way."""
    norms = torch.arange(1.0, USERS + 1)
    updates = torch.nn.functional.one_hot(torch.arange(USERS) % SIZE, SIZE) * norms[:, None]
    for begin in (0.1, 50.0):
        privacy = replace(NOISELESS, clip=begin, quantile=0.5, clip_lr=0.3, participations=400, bit_noise=0.5)
        intake = Intake.start(Uploads(privacy).planned(USERS * 400, USERS, USERS), SEED, USERS, USERS)
        assert intake is not None
        for _ in range(300):
            for user in range(USERS):
                sent, why = intake.admit(user, updates[user], None, updates[user])
                assert why is None
                intake.pending.append(sent)
            intake.merge(range(USERS), None, None)
        assert intake.clip == pytest.approx(4.5, abs=1.5), f"from {begin} to between the middle norms"


def test_what_the_count_of_bits_tells_is_paid_for() -> None:
    planned = replace(PRIVACY, quantile=0.5).planned(2000, 200, 200)
    sigma, bits = planned.multiplier(200), planned.bit_multiplier(200)
    assert 10 / sigma**2 + 10 / bits**2 == pytest.approx(mu_of(2, 1e-3) ** 2)
    few = replace(PRIVACY, quantile=0.5).planned(2000, 200, 20)
    assert few.bit_multiplier(20) == pytest.approx(2 * math.sqrt(10) / mu_of(2, 1e-3)), "or what ε allows"
    assert replace(few, epsilon=50.0).bit_multiplier(200) == 10, "a 20th of the updates in a merge"
    with pytest.raises(ValueError, match=r"bit_noise = 1 tells more than epsilon = 2 allows"):
        replace(PRIVACY, quantile=0.5, bit_noise=1.0).planned(2000, 200, 200).multiplier(200)


def test_nobody_weighs_more_for_holding_more() -> None:
    """The same round, to the bit, whatever number of samples each user holds."""
    found = []
    for samples in (torch.ones(USERS), torch.arange(1.0, USERS + 1)):
        intake = Intake.start(Uploads(PRIVACY).planned(USERS, USERS, USERS), SEED, USERS, USERS)
        rounds = Rounds(torch.zeros(SIZE), Roster(USERS, SEED), intake=intake)
        ALL.take(rounds, range(USERS), 0.3 * centres(), [None] * USERS, samples)
        found.append(rounds.w)
    assert torch.equal(*found)


@pytest.mark.parametrize("size", [4, 8])
def test_neighbours_whose_zeros_are_counted_are_as_near_as_was_promised(size: int) -> None:
    """A long update in every merge, or zeros in its place: what is published, without the noise."""
    privacy = replace(PRIVACY, epsilon=50.0, quantile=0.5)
    told: list[tuple[float, int]] = []
    for long in (True, False):
        intake = Intake.start(Uploads(privacy).planned(10 * size, size, size), SEED, size, size)
        assert intake is not None
        for user in range(size):
            update = torch.full((SIZE,), 9.0 if long and user == 0 else 0.0)
            sent, _ = intake.admit(user, update, None, update)
            intake.pending.append(sent)
        told.append((float(torch.stack(intake.pending).sum(0).norm()), intake.below))
    (total, below), (without, without_below) = told
    planned = intake.uploads.privacy
    assert planned is not None
    once = ((total - without) / planned.multiplier(size)) ** 2
    once += ((below - without_below) / planned.bit_multiplier(size)) ** 2
    assert 10 * once == pytest.approx(mu_of(50, 1e-3) ** 2, rel=1e-5), "k = 10 merges spend all, and no more"


def test_what_has_been_spent_is_what_really_happened() -> None:
    planned = PRIVACY.planned(4000, 200, 200)
    assert planned.told(200, 20)["spent_epsilon"] == pytest.approx(2)
    assert planned.told(200, 5)["spent_epsilon"] < 1
    assert planned.told(200, 0)["spent_epsilon"] == 0


def test_an_unusable_update_counts_as_zeros_and_changes_no_merge() -> None:
    """Were it left out, whether a merge happens would tell of it."""
    intake = Intake.start(Uploads(PRIVACY).planned(6, 3, 3), SEED, 3, 3)
    assert intake is not None
    w = torch.zeros(SIZE)
    for user, (delta, why) in enumerate([(w + torch.nan, "not finite"), (w[:0], TOO_LARGE), (w + 9, None)]):
        sent, refused = intake.admit(user, delta, why, w)
        assert refused is None
        intake.pending.append(sent)
    assert "zeroed" not in str(intake.told()), "of whom there were two"
    update = intake.merge([0, 1, 2], None, None).update
    assert update is not None
    noise = intake.uploads.privacy.multiplier(3) * Keyed(SEED).normal(SIZE, 0)  # type: ignore[union-attr]
    assert torch.allclose(update.double() * 3, 0.5 + noise, atol=1e-5)


def test_clipped_updates_are_never_longer_than_promised() -> None:
    updates = torch.randn(500, 3000, generator=torch.Generator().manual_seed(0)) * 7
    updates[0, 0] = torch.inf
    updates[1, 5] = torch.nan
    updates[2] = 1e-9
    found = clipped(updates, 0.3)
    assert found.double().norm(dim=1).max() <= 0.3
    assert found[:2].abs().sum() == 0
    assert torch.equal(found[2], updates[2])
    assert found[3:].double().norm(dim=1).min() > 0.3 * (1 - 2e-6)


def test_privacy_clips_who_does_not_clip() -> None:
    attack = Attack(kind="scaled", share=0.25, scale=1e6)
    found, _ = learned(row(ALL, privacy=NOISELESS, attack=attack), centres(), USERS)
    assert found.norm() <= 1.01


@pytest.mark.parametrize("compression", [Compression(bits=8), Compression(bits=4), Compression(top_k=0.25)])
def test_what_compression_holds_back_comes_with_the_next_update(compression: Compression) -> None:
    intake = Intake.start(Uploads(compression=compression), SEED, 1, 1)
    assert intake is not None
    updates = torch.randn(50, 16, generator=torch.Generator().manual_seed(2))
    sent = [intake.admit(0, update, None, update)[0] for update in updates]
    assert torch.allclose(torch.stack(sent).sum(0) + intake.residual[0], updates.sum(0), atol=1e-4)
    forgetful = Intake.start(Uploads(compression=replace(compression, error_feedback=False)), SEED, 1, 1)
    assert forgetful is not None
    assert torch.equal(forgetful.admit(0, updates[0], None, updates[0])[0], sent[0])
    assert not forgetful.residual


def test_bytes_are_counted() -> None:
    centre = centres()
    for schedule, down in ((ALL, 16), (Arrivals(concurrency=3), 18)):
        _, plain = learned(row(schedule), centre, 16)
        _, small = learned(row(schedule, compression=Compression(bits=8)), centre, 16)
        assert (plain[-1].bytes_up, plain[-1].bytes_down) == (16 * SIZE * 4, down * SIZE * 4)
        assert (small[-1].bytes_up, small[-1].bytes_down) == (16 * (SIZE + 4), down * SIZE * 4)
    _, alone = learned(row(Local()), centre, 16)
    assert alone[-1].bytes_up is None


REFUSED = {
    "privacy without a server": (Local(), {"privacy": PRIVACY}, "choose the schedule cohort"),
    "one update a merge": (
        Arrivals(),
        {"privacy": PRIVACY},
        "noise of .* clips in every parameter: merge 20",
    ),
    "delta for so many": (ALL, {"privacy": replace(PRIVACY, delta=0.2)}, "less than 1/8 = 0.125"),
    "too few participations": (
        ALL,
        {"privacy": replace(PRIVACY, participations=1)},
        "set updates to 8 at most",
    ),
    "mixing": (Arrivals(merge="model", buffer=4), {"privacy": PRIVACY}, "set merge = delta"),
    "two sums": (ALL, {"privacy": PRIVACY, "defence": Defence("median")}, "a robust rule is no sum"),
    "basgd in rounds": (ALL, {"defence": Defence("basgd")}, "updates that come one by one"),
    "few for the rule": (Cohort(cohort=4), {"defence": Defence("krum")}, "merge at least 5"),
    "one to clip": (Arrivals(), {"defence": Defence("clip")}, "set clip=NORM"),
    "fewer users than buffers": (Arrivals(), {"defence": Defence("basgd", buffers=9)}, "set fewer buffers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(name: str) -> None:
    schedule, uploads, sentence = REFUSED[name]
    with pytest.raises(UploadError, match=sentence):
        learned(row(schedule, **uploads), centres(), 16)  # type: ignore[arg-type]


def test_nothing_asked_for_is_nothing_done() -> None:
    assert Intake.start(Uploads(), SEED, USERS, USERS) is None
    clients = Clients(task(centres()), Vanilla(), LocalSGD(), SEED)
    assert clients.intake(3) is None
    assert isinstance(next(ALL.run(clients, ALL.start(clients, torch.zeros(SIZE)))), Merge)


def test_fewer_updates_are_divided_by_as_many_as_ever() -> None:
    """Else an update would weigh more for who is missing beside it, and the noise less."""
    intake = Intake.start(Uploads(PRIVACY).planned(5, 5, 5), SEED, 5, 5)
    assert intake is not None
    assert intake.uploads.privacy is not None
    for user in (0, 2, 3):
        sent, why = intake.admit(user, torch.full((SIZE,), 9.0), None, torch.zeros(SIZE))
        assert why is None
        assert sent.norm() == pytest.approx(1, abs=1e-5), "clipped by the user"
        intake.pending.append(sent)
    update = intake.merge([0, 2, 3], None, None).update
    noise = intake.uploads.privacy.multiplier(5) * Keyed(SEED).normal(SIZE, 0)
    assert update is not None
    assert torch.allclose(update.double() * 5, 3 * 0.5 + noise, atol=1e-5)


def test_who_goes_on_keeps_the_promise_that_was_made() -> None:
    """There may be other users then: more participations at the old noise would break it."""
    before = Intake.start(Uploads(PRIVACY).planned(200, 40, 10), SEED, 40, 10)
    after = Intake.start(Uploads(PRIVACY).planned(200, 20, 5), SEED, 20, 5)
    assert before is not None
    assert after is not None
    tensors, plain = before.pack()
    after.unpack(tensors, plain)
    assert (after.size, after.uploads.privacy) == (10, before.uploads.privacy)
    assert after.told() == before.told()


def test_participations_are_no_more_than_the_noise_allows() -> None:
    """Five of sixty in a merge, 60 merges: no more trees or bands than fit in these, whatever is allowed."""
    many = replace(PRIVACY, participations=40)
    assert replace(many, noise="banded", band=12).planned(300, 60, 5).participations == 5
    assert replace(many, noise="tree", leaves=9).planned(300, 60, 5).participations == 7
    assert replace(many, noise="independent").planned(300, 60, 5).participations == 40


def test_noise_that_drowns_the_count_is_refused_and_no_step_of_the_clip_is_wild() -> None:
    with pytest.raises(ValueError, match="would drown in its noise"):
        replace(PRIVACY, quantile=0.5, bit_noise=1e6).planned(2000, 200, 200).multiplier(200)
    privacy = replace(PRIVACY, epsilon=4.0, quantile=0.5, bit_noise=4.0)
    intake = Intake.start(Uploads(privacy).planned(80, 8, 4), SEED, 8, 4)
    assert intake is not None
    for turn in range(10):
        before = intake.clip
        for user in range(4 * (turn % 2), 4 * (turn % 2) + 4):
            intake.pending.append(intake.admit(user, torch.ones(SIZE), None, torch.ones(SIZE))[0])
        intake.merge(range(4 * (turn % 2), 4 * (turn % 2) + 4), None, None)
        assert before is not None
        assert intake.clip is not None
        assert abs(math.log(intake.clip / before)) <= 0.1 + 1e-9
