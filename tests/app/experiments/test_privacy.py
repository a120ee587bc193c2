"""`reproduce privacy`: cells keep the promise that they are named for, and tables say what it costs."""

from typing import Any

import pytest

from app.experiments.privacy_cells import (
    METHODS,
    QUICK,
    SYNCHRONOUS,
    UNTOUCHED,
    Key,
    Scale,
    cell,
    keys,
    multiplier,
)
from app.experiments.privacy_tables import markdown
from app.runs.settings import resolve
from federated.server.uploads import WithServer


@pytest.mark.parametrize("scale", [Scale(), QUICK])
@pytest.mark.parametrize("data", ["simulated", "shell"])
def test_every_cell_is_one_of_its_own_that_runs(scale: Scale, data: str) -> None:
    found = list(keys(scale))
    assert len({key.name for key in found}) == len(found)
    for key in found:
        assert key.without_noise in found
        made = cell(key, scale, data, 229)
        assert made.updates == scale.rounds * 229
        row = resolve(made.options(0), dict(made.sets)).row
        assert isinstance(row.schedule, WithServer)
        row.uploads.planned(made.updates, 229, row.schedule.size(229))
        assert (row.privacy is not None) == isinstance(key.epsilon, float)
        if row.privacy is not None:
            assert row.privacy.epsilon == key.epsilon
            assert row.privacy.delta < 1 / 229


def test_a_private_run_differs_from_the_clipped_one_by_its_noise() -> None:
    scale = Scale()
    for method in METHODS:
        key = Key(method, 2.0)
        ours, other = (dict(cell(k, scale, "simulated", 200).sets) for k in (key, key.without_noise))
        assert ours["privacy.clip"] == other["defence.clip"]
        bare = [{name: value for name, value in sets.items() if "." not in name} for sets in (ours, other)]
        assert bare[0] == bare[1]


def test_noise_is_that_of_the_reference_table() -> None:
    """σ for δ = 0.001 and 20 merges of a user: 11.5, 6.46, 3.68, 2.15."""
    for epsilon, sigma in ((1.0, 11.5), (2.0, 6.46), (4.0, 3.68), (8.0, 2.15)):
        made = cell(Key(SYNCHRONOUS, epsilon), Scale(), "simulated", 200)
        found, size = multiplier(made, 200)
        assert found == pytest.approx(sigma, rel=5e-3)
        assert size == 200


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.001, "high": mean + 0.001}


def row(epsilon: float | str | None, mean: float, lost: float, **more: Any) -> dict[str, Any]:
    private = (
        {"multiplier": 6.459, "merged": 200}
        if isinstance(epsilon, float)
        else {"multiplier": None, "merged": None}
    )
    figures = {ranking: interval(mean) for ranking in ("global", "personal")}
    figures |= {f"{ranking}_minus_clipped": interval(lost) for ranking in ("global", "personal")}
    return {
        "method": SYNCHRONOUS,
        "epsilon": epsilon,
        "private_counts": None,
        "refused": 0.25 * (epsilon == 2.0),
        **private,
        **figures,
        **more,
    }


def test_tables_say_what_noise_costs() -> None:
    rows = [row(UNTOUCHED, 0.91, 0.01), row(None, 0.9, 0.0), row(2.0, 0.88, -0.02), row(8.0, 0.9, 0.0)]
    page = markdown({"simulated": rows})
    assert f"| {SYNCHRONOUS} | untouched | – | – |  | 0.910 | +0.010 (+0.009 to +0.011) | 0.910 |" in page
    assert f"| {SYNCHRONOUS} | clipped, no noise | – | – |  | 0.900 |  | 0.900 |  |" in page
    assert f"| {SYNCHRONOUS} | 2 | 6.46 | 200 | 25 % | 0.880 | -0.020 (-0.021 to -0.019) |" in page
    assert "is not kept" in page
    assert "private counts" not in page
    rows[2] = row(2.0, 0.895, -0.005)
    assert "is kept" in markdown({"simulated": rows})
    known = {"global": interval(0.7), "personal": interval(0.71)}
    page = markdown({"simulated": [{**one, "private_counts": known} for one in rows]})
    assert "own models' NMRR, private counts, ε = 4 |" in page
    assert page.count("| 0.700 | 0.710 |") == len(rows)


def test_what_diverged_is_called_so() -> None:
    lost = {"global": None, "personal": None, "global_minus_clipped": None, "personal_minus_clipped": None}
    page = markdown({"simulated": [row(2.0, 0.9, 0.0, **lost)]})
    assert "| diverged |  | diverged |  |" in page
    assert "is not kept" in page
