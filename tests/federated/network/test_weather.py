"""Weather keeps its promises: Γw, Γd and Γf."""

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from data.randomness import generator
from federated.network.graphs import Bools
from federated.network.topology import draw
from federated.network.weather import Faults, Weather

HARSH = Faults(wake_within=3, max_delay=4, max_failures=3)


def test_how_late_and_how_silent_a_network_can_be() -> None:
    assert (Faults().effective_delay, Faults().silence) == (1, 2)
    assert (HARSH.effective_delay, HARSH.silence) == (6, 18)
    assert (Faults(wake_within=2).silence, Faults(max_delay=5).silence) == (4, 6)


NAN = float("nan")
WRONG: list[tuple[str, list[Any]]] = [
    ("wake_within", [0, -1, 1001, 1.5]),
    ("max_delay", [0, -1, 1001]),
    ("max_failures", [-1, 1001]),
]
CHANCES: list[tuple[str, list[Any]]] = [
    (name, [-0.1, 1.1, NAN]) for name in ("wake_probability", "failure_probability")
]


@pytest.mark.parametrize(("name", "values"), WRONG + CHANCES)
def test_impossible_faults_are_refused(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValidationError, match=name):
            Faults(**{name: value})


def awake(faults: Faults, rounds: int) -> Bools:
    """(T, 40) who wakes."""
    weather = Weather.start(draw("ring", 40, 1, 0), faults, 3)
    seen = []
    for now in range(rounds):
        seen.append(weather.awake(now))
        weather.note_sleep(seen[-1])
    return np.stack(seen)


@pytest.mark.parametrize(("within", "probability"), [(1, 0.5), (2, 0.3), (3, 0.5), (7, 0.1), (4, 0), (4, 1)])
def test_everyone_wakes_within_the_promised_rounds(within: int, probability: float) -> None:
    seen = awake(Faults(wake_within=within, wake_probability=probability), 2000)
    gaps = np.concatenate([np.diff(np.flatnonzero([True, *node])) for node in seen.T])
    assert gaps.max() == (1 if probability == 1 else within)
    assert gaps.mean() == pytest.approx(sum((1 - probability) ** k for k in range(within)), rel=0.01)


def losses(faults: Faults, often: float = 1.0) -> tuple[NDArray[np.float64], int]:
    """The share lost of each link's messages, and the longest row of losses; nodes send by chance."""
    weather = Weather.start(draw("cycle", 20, 1, 0), faults, 3)
    chance = np.random.default_rng(0)
    sent: list[list[bool]] = [[] for _ in range(40)]
    for now in range(3000):
        sending = chance.random(20) < often
        lost = weather.send(now, sending)
        assert not lost[~sending[weather.graph.source]].any(), "what was not sent is not lost"
        for link in np.flatnonzero(sending[weather.graph.source]):
            sent[link].append(bool(lost[link]))
    rows = [sum(1 for _ in row) for link in sent for bad, row in groupby(link) if bad]
    return np.array([np.mean(link) for link in sent]), max(rows, default=0)


@pytest.mark.parametrize("often", [1.0, 0.4])
@pytest.mark.parametrize(("most", "probability"), [(0, 1), (1, 0.3), (3, 0.3), (3, 0.8), (2, 1), (2, 0)])
def test_a_link_loses_at_most_so_many_in_a_row(most: int, probability: float, often: float) -> None:
    """The share is that of a chain that is sure to deliver after so many losses; sleep does not count."""
    share, longest = losses(Faults(max_failures=most, failure_probability=probability), often)
    rows = [probability**k for k in range(most + 1)]
    assert longest == (most if probability else 0)
    assert share.mean() == pytest.approx(sum(rows[1:]) / sum(rows), abs=0.01)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_what_is_not_lost_arrives_once_and_in_time(most: int) -> None:
    """A link sends anew when the last message must have arrived, as only the newest stamp is reported."""
    weather = Weather.start(draw("random", 12, 3, 0), Faults(max_delay=most, max_failures=2), 3)
    source, links = weather.graph.source, range(len(weather.graph.source))
    expected, arrived = set(), []
    for now in range(3000):
        arrived += [(int(t), link, now - t) for link, t in enumerate(weather.arrivals(now)) if t >= 0]
        lost = weather.send(now, (now + np.arange(12)) % (most + 1) == 0)
        expected |= {(now, k) for k in links if (now + source[k]) % (most + 1) == 0 and not lost[k]}
    assert len(arrived) == len({message[:2] for message in arrived}), "nothing arrives twice"
    early = {message for message in expected if message[0] < 3000 - most}
    assert early <= {message[:2] for message in arrived} <= expected
    counts = np.bincount([delay for *_, delay in arrived])
    assert counts[0] == 0
    assert counts[1:] / len(arrived) == pytest.approx(1 / most, abs=0.02)
    assert len(counts) == most + 1


def test_the_newest_of_those_that_arrive_together_is_reported() -> None:
    weather = Weather.start(draw("cycle", 20, 1, 0), Faults(max_delay=6), 1)
    due = np.full((320, 40), -1)
    for now in range(300):
        assert (weather.arrivals(now) == due[now]).all()
        weather.send(now, np.ones(20, bool))
        travel = generator(1, "travel", now).integers(6, size=40)
        due[now + 1 + travel, np.arange(40)] = now


def test_weather_is_drawn_by_seed_and_round_alone() -> None:
    """With bounds out of reach, what happens in round 50 does not depend on what happened before."""
    faults = Faults(wake_within=100, max_delay=7, max_failures=100)
    graph, everyone = draw("complete", 15, 1, 0), np.ones(15, bool)
    fresh, other, old = (Weather.start(graph, faults, seed) for seed in (1, 2, 1))
    for now in range(50):
        old.note_sleep(old.awake(now))
        old.arrivals(now)
        old.send(now, np.arange(15) % 3 == now % 3)
    old.arriving[:] = -1
    here, there, later = (
        (w.awake(50).tolist(), w.send(50, everyone).tolist(), w.arriving.tolist())
        for w in (fresh, other, old)
    )
    assert here == later
    assert all(a != b for a, b in zip(here, there, strict=True))
