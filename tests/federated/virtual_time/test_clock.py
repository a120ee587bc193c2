"""Delays, traces and presence: their laws, and that they depend on their key alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.schema import DataError
from federated.patience import EndlessError
from federated.virtual_time.clock import Clock, Timed
from federated.virtual_time.presence import Presence

STDS = {"exponential": 1.0, "uniform": 1 / np.sqrt(3), "half-normal": np.sqrt(np.pi / 2 - 1), "constant": 0.0}


def trips(timed: Timed, seed: int = 1) -> np.ndarray:
    clock = Clock(timed, seed, 60)
    return np.array([[clock.round_trip(user, counter) for counter in range(60)] for user in range(60)])


@pytest.mark.parametrize("law", STDS)
def test_laws_have_their_mean_and_spread(law: str) -> None:
    timed = Timed(download_delay=2.0, upload_delay=0.5, delay_law=law)  # type: ignore[arg-type]
    drawn = trips(timed)
    assert drawn.mean() == pytest.approx(2.5, rel=0.05)
    assert drawn.std() == pytest.approx(STDS[law] * np.hypot(2.0, 0.5), rel=0.06, abs=1e-12)
    assert np.array_equal(drawn, trips(timed)), "a draw depends on its key alone"
    if law != "constant":
        assert not np.array_equal(drawn, trips(timed, seed=2))
        assert drawn[3, 4] != drawn[4, 3]


def test_log_normal_users_have_a_pace_of_their_own() -> None:
    drawn = trips(Timed(delay_law="log-normal", delay_spread=1.0))
    pace = np.log(drawn.mean(1))
    assert pace.std() == pytest.approx(1, rel=0.25)
    even = trips(Timed(delay_law="log-normal", delay_spread=0.0))
    assert np.log(even.mean(1)).std() < 0.2


def test_a_trace_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("user,download,upload\n0,1,2\n1,5,5\n0,3,4\n")
    clock = Clock(Timed(download_delay=2, delay_law="trace", delay_trace=str(file)), 0, 2)
    assert [clock.round_trip(0, k) for k in range(4)] == [4, 10, 4, 10], "and begun anew after its end"
    assert clock.round_trip(1, 7) == 15
    file.write_text("download,upload\n1,0\n0,2\n")
    clock = Clock(Timed(delay_law="trace", delay_trace=str(file)), 0, 2)
    assert {clock.round_trip(0, k) for k in range(40)} == {1.0, 2.0}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("a,b\n1,2\n", "needs rows, and the columns"),
        ("download,upload\n", "needs rows"),
        ("download,upload\n1,2\n1,x\n", "line 3"),
        ("download,upload\n-1,2\n", "line 2"),
        ("user,download,upload\n0,1,2\n", "no row of user 1"),
    ],
)
def test_a_bad_trace_is_named(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(content)
    with pytest.raises(DataError, match=said):
        Clock(Timed(delay_law="trace", delay_trace=str(file)), 0, 2)
    with pytest.raises(DataError, match="cannot be read"):
        Clock(Timed(delay_law="trace", delay_trace=str(tmp_path / "none.csv")), 0, 2)


@pytest.mark.parametrize("wrong", [{"delay_law": "trace"}, {"delay_trace": "x.csv"}])
def test_a_trace_and_its_law_belong_together(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        Timed(**wrong)  # type: ignore[arg-type]


def test_presence_has_its_share_and_rests_work() -> None:
    presence = Presence(0, online=3.0, offline=1.0)
    times = np.arange(0, 4000, 0.5)
    there = np.array([[presence.back(user, t) == t for t in times] for user in range(3)])
    assert there.mean() == pytest.approx(0.75, abs=0.03)
    worked = presence.after(0, 0.0, 1000.0)
    assert worked == pytest.approx(1000 / 0.75, rel=0.08), "absences do not count as work"
    fresh = Presence(0, 3.0, 1.0)
    assert fresh.after(0, 0.0, 1000.0) == worked, "what was asked before changes nothing"
    assert presence.back(1, fresh.back(1, 777.0)) == fresh.back(1, 777.0), "who has come back is there"
    assert Presence(0, 3.0, 0.0).after(5, 2.0, 4.0) == 6.0


def test_a_stay_is_as_long_as_it_should_be() -> None:
    """Also across the ages that are drawn one by one."""
    presence = Presence(1, online=2.0, offline=6.0)
    ends, now = [], 0.0
    for _ in range(4000):
        begin = presence.back(0, now)
        left = presence.after(0, begin, 1e-9)
        assert left == pytest.approx(begin, abs=1e-6)
        now = presence.after(0, begin, 1.0)
        ends.append(now - begin > 1.0 + 1e-6)
    assert np.mean(ends) == pytest.approx(1 - np.exp(-1 / 2), abs=0.03), "who left before one unit was done"


def test_far_away_times_are_looked_at_without_those_before() -> None:
    """Half a billion stays after the start, of a thousand users, in no time and no memory."""
    presence = Presence(0, online=0.01, offline=0.01)
    late = np.array([presence.back(user, 1e7) for user in range(1000)])
    assert (late == 1e7).mean() == pytest.approx(0.5, abs=0.06)
    away = late[late > 1e7] - 1e7
    assert away.mean() == pytest.approx(0.01, rel=0.2)
    assert len(presence._latest) == 1000
    assert max(len(ends) for _, (_, ends) in presence._latest.values()) < 400


RATIO = r"1,000,100 times online_time = 1: at most 1,000 times"


@pytest.mark.parametrize("law", [*STDS, "log-normal"])
def test_an_update_of_too_many_stays_is_refused(law: str) -> None:
    with pytest.raises(ValueError, match=RATIO):
        Timed(1e6, 100, delay_law=law, online_time=1, offline_time=0.1)  # type: ignore[arg-type]
    Timed(1e6, 100, delay_law=law, online_time=1)  # type: ignore[arg-type]  # nobody leaves


def test_so_are_a_trace_and_a_pace_that_need_too_many(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("download,upload\n1,1\n5e5,50\n")
    timed = Timed(2, 2, "trace", delay_trace=str(file), online_time=1, offline_time=0.1)
    with pytest.raises(EndlessError, match=rf"longest update of the delay trace .*{RATIO}"):
        Clock(timed, 0, 3)
    Clock(replace(timed, online_time=1e4), 0, 3)
    Clock(replace(timed, offline_time=0), 0, 3)
    uneven = Timed(100, 100, "log-normal", delay_spread=3, online_time=1, offline_time=1)
    Clock(uneven, 0, 1)
    with pytest.raises(EndlessError, match=r"an update of user \d+ would take .* times online_time = 1"):
        Clock(uneven, 0, 500)
