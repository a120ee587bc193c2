"""What a neighbour can do, and what clipping leaves of it."""

import pytest
import torch
from torch import Tensor

from data.randomness import generator
from federated.algorithms import Row
from federated.clients import LocalSGD
from federated.compression import Compression
from federated.events import Finished, Merged
from federated.hostile import Attack
from federated.network.clipping import Clip
from federated.network.push_sum import PushSum
from federated.network.topology import draw
from federated.network.weather import Faults
from federated.objectives import Vanilla
from federated.schedules.alone import Local
from federated.schedules.gossip import LOUDEST, Gossip
from federated.server.rules import Defence
from federated.server.uploads import UploadError, Uploads
from federated.tasks.quadratics import Quadratics
from federated.training import train

U, P, SEED = 30, 4, 2


def task() -> Quadratics:
    """Users who want nearly the same, about 1 in each coordinate."""
    chance = generator(0, "centres")
    centre = torch.from_numpy(1 + chance.normal(size=(U, P)) / 10)
    curvature = torch.eye(P, dtype=torch.float64).expand(U, P, P)
    return Quadratics(curvature, centre, torch.zeros(U, 1, P, dtype=torch.float64))


def learned(
    attack: Attack | None, defence: Defence | None = None, rounds: int = 150
) -> tuple[Tensor, Merged]:
    """Models (U, P), and the last round."""
    row = Row(
        Vanilla(), Gossip(max_delay=2), "", LocalSGD(lr=0.1, local_steps=1), attack=attack, defence=defence
    )
    merge = None
    for event in train(task(), row, SEED, U * rounds, 0):
        if isinstance(event, Merged):
            merge = event
        if isinstance(event, Finished):
            assert merge is not None
            return event.learned, merge
    raise AssertionError("it ends")


def loss(attack: Attack, w: Tensor) -> float:
    """Mean distance of honest users' models from what all want."""
    honest = ~attack.hostile_users(U, SEED)
    return float((w[honest] - task().centre.mean(0)).norm(dim=1).mean())


CLIP = Defence(rule="clip", clip=0.3)
CLEAN = 0.2
"""The distance there is without attack, at most."""


@pytest.mark.parametrize(
    ("attack", "harm"),
    [
        (Attack("sign-flip", 0.1, scale=20), 0.5),
        (Attack("scaled", 0.1, scale=500), 0.5),
        (Attack("gaussian", 0.1, sigma=20), 0.5),
        (Attack("ipm", 0.1, tau=20), 0.5),
    ],
    ids=lambda value: value.kind if isinstance(value, Attack) else "",
)
def test_clipping_protects(attack: Attack, harm: float) -> None:
    clean, defended = learned(None)[0], learned(attack, CLIP)[0]
    undefended = learned(attack)[0]
    assert loss(attack, clean) < CLEAN
    assert loss(attack, undefended) > harm or not undefended.isfinite().all()
    assert loss(attack, defended) < min(0.5 * loss(attack, undefended), 0.5)


def test_models_within_the_radius_are_taken_as_they_are() -> None:
    clip, chance = Clip(1.0, torch.zeros(P, dtype=torch.float64)), generator(0, "heard")
    z = torch.from_numpy(chance.normal(size=(9, P)))
    away = torch.from_numpy(chance.normal(size=(9, P)))
    length = torch.linspace(0.1, 3, 9, dtype=torch.float64)[:, None]
    y = torch.from_numpy(chance.random((9, 1)))
    away = away / away.norm(dim=1, keepdim=True) * length
    taken = clip.take(torch.cat([(z + away) * y, y], dim=1), z)
    assert torch.equal(taken[:, -1:], y)
    torch.testing.assert_close(taken[:, :-1], (z + away * (1 / length).clamp(max=1)) * y)
    near = length[:, 0] <= 1
    assert torch.equal(taken[near, :-1], ((z + away) * y)[near])
    assert clip.times == int((~near).sum())
    torch.testing.assert_close(clip.cut, (((z + away) * y) - taken[:, :-1]).sum(0))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_not_taken(value: float) -> None:
    clip, z = Clip(1.0, torch.zeros(2, dtype=torch.float64)), torch.tensor([[1.0, 2.0]])
    taken = clip.take(torch.tensor([[value, 1.0, 0.5]]), z)
    assert taken.tolist() == [[0.5, 1.0, 0.5]]
    assert clip.cut.tolist() == [0, 0]


def test_a_radius_that_nobody_reaches_changes_nothing() -> None:
    plain, clipped = learned(None)[0], learned(None, Defence(rule="clip", clip=100))[0]
    torch.testing.assert_close(plain, clipped, rtol=0, atol=1e-12)


def test_what_is_cut_off_is_told() -> None:
    network = learned(Attack("sign-flip", 0.1, scale=5), CLIP)[1].network
    assert network is not None
    assert network["clipped"] > 100
    assert network["cut_off"] > 1
    assert network["mass"] == pytest.approx(1, abs=1e-9)
    assert "clipped" not in (learned(None, rounds=2)[1].network or {})


def test_books_without_what_was_cut_off_do_not_close() -> None:
    uploads = Uploads(defence=Defence(rule="clip", clip=0.1))
    start = torch.from_numpy(generator(0, "starts").normal(size=(8, P)))
    state = PushSum.start(draw("random", 8, 2, 0), Faults(max_delay=3), 0, start, uploads)
    for _ in range(30):
        state.exchange(state.weather.awake(state.now), 0)
    torch.testing.assert_close(state.total()[:-1], start.sum(0), rtol=0, atol=1e-9)
    assert state.clip is not None
    state.clip.cut.zero_()
    assert float((state.total()[:-1] - start.sum(0)).abs().max()) > 0.1


def test_hostile_nodes_step_otherwise_and_honest_ones_as_ever() -> None:
    """In the first round nobody has heard of it; all shares are a fifth."""
    attack = Attack("sign-flip", 0.1)
    hostile = attack.hostile_users(U, SEED)
    plain, lied = learned(None, rounds=1)[0], learned(attack, rounds=1)[0]
    assert int(hostile.sum()) == 3
    assert torch.equal(plain[~hostile], lied[~hostile])
    torch.testing.assert_close(plain[hostile], -lied[hostile])


def test_lies_are_bounded_by_honest_steps() -> None:
    lied = learned(Attack("scaled", 0.1, scale=1e20), rounds=1)[0]
    honest = learned(None, rounds=1)[0]
    assert float(lied.norm(dim=1).max()) == pytest.approx(LOUDEST * float(honest.norm(dim=1).max()), rel=0.05)


def test_flipped_labels_are_learned_from() -> None:
    attack = Attack("label-flip", 0.2)
    assert loss(attack, learned(attack)[0]) > 2 * loss(attack, learned(None)[0])


@pytest.mark.parametrize(
    ("uploads", "gossip", "message"),
    [
        (Uploads(defence=Defence(rule="krum", f=1)), Gossip(), "set rule = clip"),
        (Uploads(defence=Defence(rule="clip")), Gossip(), "clip=NORM"),
        (Uploads(defence=Defence(rule="clip+median", clip=1)), Gossip(), "set rule = clip"),
        (Uploads(compression=Compression(top_k=0.1)), Gossip(), "set bits to 8 or 4"),
        (Uploads(compression=Compression(bits=8, error_feedback=False)), Gossip(), "leave error_feedback on"),
        (
            Uploads(compression=Compression(bits=4)),
            Gossip(max_delay=6),
            "set bits = 8, or lower",
        ),
        (Uploads(compression=Compression(bits=8)), Gossip(wake_within=30, max_failures=9), "too few: lower"),
    ],
)
def test_what_gossip_cannot_do_is_refused_with_what_would_do(
    uploads: Uploads, gossip: Gossip, message: str
) -> None:
    with pytest.raises(UploadError, match=message):
        uploads.require(gossip)


def test_what_gossip_can_do_is_not_refused() -> None:
    Uploads(None, Attack(), Defence(rule="clip", clip=1), Compression(bits=8)).require(Gossip())
    Uploads(compression=Compression(bits=4)).require(Gossip(max_delay=5))
    with pytest.raises(UploadError, match="compression is what a server does, and local has none"):
        Uploads(compression=Compression(bits=8)).require(Local())
