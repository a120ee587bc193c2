"""Groups that live on their own, without Ray between them: what they compute, keep and forget."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.schema import DataError
from federated.clients import Clients, LocalSGD
from federated.engines.ray.member import Member, Plan, saved
from federated.network.graphs import Ints
from federated.network.letters import Letter, Letterbox
from federated.objectives import Vanilla
from federated.schedules.gossip import Gossip
from tests.oracles.test_reductions import quadratics

USERS, GROUPS, SEED = 7, 3, 4
RULES = Gossip(degree=2, wake_within=3, max_failures=3, failure_probability=0.3, least_weight=0.1)
LOCAL = LocalSGD(lr=0.05, local_steps=2, batch_size=2)
START = torch.zeros(4, dtype=torch.float64)


def clients(users: Ints) -> Clients:
    """Of all users, since quadratics are small."""
    return Clients(quadratics(USERS), Vanilla(), LOCAL, SEED)


def planned(folder: Path, updates: int = 600, save_every: int = 1) -> Plan:
    return Plan("a", RULES, SEED, USERS, updates, GROUPS, folder, False, 0.0, save_every)


class World:
    """Groups that wake one after the other, and letters that come at once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.members = [Member(plan, group, clients) for group in range(plan.groups)]

    def wake(self, group: int) -> None:
        for target, letter in self.members[group].wake():
            self.members[target].box.put(letter)

    def kill(self, group: int) -> None:
        self.members[group] = Member(self.plan, group, clients)

    def finish(self, rounds: int = 2000) -> None:
        for _ in range(rounds):
            for group in range(self.plan.groups):
                self.wake(group)
            if not any(member.report.unfinished for member in self.members):
                return
        raise AssertionError("they do not come to an end")

    def drained(self) -> np.ndarray:
        """(P + 1,) the mass of all nodes, as their disks have it, once everything has been heard."""
        graph = self.members[0].graph
        groups = [saved(self.plan, number, graph) for number in range(self.plan.groups)]
        sums = torch.cat([group.sums for group in groups])
        for group in groups:
            box = Letterbox(group.reached_by, sums.shape[1])
            box.put(Letter.of(10**9, group.reached_by, graph.source[group.reached_by], sums))
            group._hear(np.ones(len(group.nodes), bool), box)
        return sum(group.mass.sum(0) for group in groups).numpy()

    @property
    def models(self) -> torch.Tensor:
        return torch.cat([member.report.w for member in self.members])


def test_everybody_computes_their_share_of_the_updates(tmp_path: Path) -> None:
    world = World(planned(tmp_path, updates=601))
    world.finish()
    merged = np.concatenate([member.report.merged for member in world.members])
    assert merged.tolist() == [86] * 6 + [85]
    assert world.drained()[-1] == pytest.approx(USERS, abs=1e-9)


def test_they_learn_what_the_simulated_network_learns(tmp_path: Path) -> None:
    """Both come near the optimum of Σ f_i; how near depends on the step size and on luck."""
    gentle = replace(RULES, step_sizes="1/t", decay_from=20)
    plan = replace(planned(tmp_path, updates=2100, save_every=100), rules=gentle)
    world = World(plan)
    world.finish()
    task, everybody = quadratics(USERS), clients(np.arange(USERS))
    pull = (task.curvature @ task.centre[..., None]).sum(0)
    optimum = torch.linalg.solve(task.curvature.sum(0), pull).squeeze(-1)
    simulated = gentle.run(everybody, gentle.start(everybody, START))
    done = 0
    while done < 2100:
        merge = next(simulated)
        done += len(merge.users)
    ours, theirs = (float((w.mean(0) - optimum).norm() / optimum.norm()) for w in (world.models, merge.w))
    assert ours < 0.2
    assert theirs < 0.2


deeds = st.tuples(st.sampled_from(["wake", "wake", "wake", "kill"]), st.integers(0, 2))
stories = st.lists(deeds, max_size=60)


@settings(max_examples=12, derandomize=True, deadline=None, database=None)
@given(story=stories, every=st.integers(1, 4))
def test_killed_groups_go_on_from_their_disks(story: list[tuple[str, int]], every: int) -> None:
    """No mass is lost, and updates that are asked for are all computed."""
    with TemporaryDirectory() as folder:
        plan = planned(Path(folder), 50, every)
        world = World(plan)
        for deed, group in story:
            if deed == "wake":
                world.wake(group)
            else:
                world.kill(group)
            assert world.members[group].report.mass == pytest.approx(len(plan.members(group)), abs=1e-9)
        world.finish()
        for member in world.members:
            member.save()
        assert sum(int(member.report.merged.sum()) for member in world.members) == 50
        assert world.drained()[-1] == pytest.approx(USERS, abs=1e-9)


def test_what_is_sent_is_on_the_disk_before(tmp_path: Path) -> None:
    """When a letter leaves, its sums can no longer be forgotten."""
    world = World(planned(tmp_path))
    for turn in range(30):
        number = turn % GROUPS
        for _, letter in world.members[number].wake():
            kept = saved(world.plan, number, world.members[number].graph)
            place = np.searchsorted(kept.nodes, kept.graph.source[letter.links])
            assert letter.stamp == kept.now - 1
            assert (kept.sums.numpy()[place] == letter.sums[letter.row]).all()


def test_restarts_are_counted(tmp_path: Path) -> None:
    world = World(planned(tmp_path))
    for _ in range(3):
        world.wake(0)
        world.kill(0)
    assert [member.report.restarts for member in world.members] == [3, 0, 0]


def test_who_saves_always_forgets_nothing(tmp_path: Path) -> None:
    world = World(planned(tmp_path))
    for _ in range(20):
        for group in range(GROUPS):
            world.wake(group)
    before = world.members[1].nodes
    world.kill(1)
    after = world.members[1].nodes
    assert torch.equal(before.mass, after.mass)
    assert torch.equal(before.sums, after.sums)
    assert (before.now, before.messages, before.lost) == (after.now, after.messages, after.lost)


def test_what_a_killed_group_forgets_is_bounded_by_how_often_it_saves(tmp_path: Path) -> None:
    world = World(planned(tmp_path, save_every=5))
    for _ in range(19):
        for group in range(GROUPS):
            world.wake(group)
    steps = world.members[1].nodes.steps
    world.kill(1)
    after = world.members[1].nodes
    assert after.now == 15
    assert 0 < (steps - after.steps).max() <= 4


def test_a_state_that_is_gone_is_missed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the state of group 2 is gone"):
        Member(replace(planned(tmp_path), goes_on=True), 2, clients)


def test_the_state_of_another_training_is_not_gone_on_with(tmp_path: Path) -> None:
    World(planned(tmp_path)).finish()
    other = replace(planned(tmp_path), name="b")
    member = Member(other, 0, clients)
    assert not member.living
    assert saved(other, 0, member.graph).now == 0
    with pytest.raises(DataError, match="the state of group 1 is gone"):
        saved(other, 1, member.graph)


def test_letters_that_nobody_took_are_lost(tmp_path: Path) -> None:
    member = World(planned(tmp_path)).members[0]
    away = member.wake()
    before = member.nodes.lost
    member.note_lost(away[0][1])
    assert member.nodes.lost == before + len(away[0][1].links)


def test_rounds_without_weight_are_not_made_up_for(tmp_path: Path) -> None:
    """While neighbours are down, nobody saves up for a step of hundreds of rounds."""
    plan = planned(tmp_path)
    member = Member(plan, 0, clients)
    for _ in range(100):
        member.wake()
    assert member.nodes.mass[:, -1].max() < RULES.least_weight
    assert member.nodes.owed.max() == RULES.wake_within
    before = [node.copy() for node in (member.nodes.steps, member.nodes.made)]
    member.wake()
    assert (member.nodes.steps == before[0]).all()
    assert (member.nodes.made == before[1]).all()


def test_who_sleeps_as_long_as_allowed_owes_all_of_it(tmp_path: Path) -> None:
    """As in the simulator: the bound above is no other where nobody waits for weight."""
    rules = replace(RULES, least_weight=0, step_sizes="1/t", decay_from=5)
    member = Member(replace(planned(tmp_path), rules=rules), 0, clients)
    owed, longest = np.zeros(len(member.nodes.nodes)), 0.0
    for now in range(60):
        awake = member.nodes.awake()
        owed += rules.factor(now)
        member.wake()
        longest = max(longest, float(owed.max()))
        owed[awake] = 0
        np.testing.assert_allclose(member.nodes.owed, owed)
    assert longest > 2
