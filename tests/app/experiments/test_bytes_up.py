"""`reproduce bytes`: how updates are sent, and what tables and figure say of it."""

from pathlib import Path
from typing import Any

import pytest

from app.experiments import bytes_up
from app.experiments.bytes_up import ALGORITHMS, BOUNDS, SERIES, WAYS, WHOLE
from app.runs.settings import resolve
from federated.server.uploads import Uploads

PARAMETERS = 5953


def part(way: str) -> float:
    """Of the bytes of a whole update."""
    sets = {f"compression.{name}": value for name, value in WAYS[way].items()}
    row = resolve({"algorithm": "fedavg"}, sets).row
    return row.uploads.size(PARAMETERS) / Uploads().size(PARAMETERS)


def test_ways_are_as_small_as_the_bounds_ask() -> None:
    for way, (_, least) in BOUNDS.items():
        assert part(way) <= least
    assert part("8 bits, top 5 %") < part("top 5 %") < part("4 bits") < part("8 bits") < part(WHOLE) == 1


def test_every_way_is_in_the_figure() -> None:
    assert {way for ways in SERIES.values() for way in ways} == set(WAYS)


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.001, "high": mean + 0.001}


def row(way: str, lost: float, sent: float) -> dict[str, Any]:
    figures = {ranking: interval(0.9 - lost) for ranking in ("global", "personal")}
    figures |= {f"{ranking}_minus_whole": interval(-lost) for ranking in ("global", "personal")}
    return {"way": way, "bytes_up": 95.2e6 * sent, "part": sent, **figures}


ROWS = [row(WHOLE, 0.0, 1.0), row("8 bits", 0.003, 0.2554), row("top 5 %", 0.003, 0.07)]


def test_tables_say_what_is_lost_and_whether_the_bounds_are_kept() -> None:
    page = bytes_up.markdown({"fedavg": ROWS})
    assert "| 32 bits | 95.2 | 100.0 % | 0.900 |  | 0.900 |  |" in page
    assert "| 8 bits | 24.3 | 25.5 % | 0.897 | -0.0030 (-0.0040 to -0.0020) |" in page
    assert "| `fedavg` | 8 bits | 0.0030 | 25.5 % | 0.002 at 27 % | no |" in page
    assert "| `fedavg` | top 5 % | 0.0030 | 7.0 % | 0.01 at 10 % | yes |" in page


def test_what_diverged_is_called_so_and_not_drawn(tmp_path: Path) -> None:
    lost = {**ROWS[1], "global": None, "personal": None, "bytes_up": None, "part": None}
    result = {"fedavg": [ROWS[0], lost, ROWS[2]]}
    assert "| 8 bits | diverged |" in bytes_up.markdown(result)
    bytes_up._draw(tmp_path / "figure", result)
    picture = (tmp_path / "figure.svg").read_text()
    assert "largest entries" in picture
    assert "fewer bits" not in picture


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cells_run(algorithm: str) -> None:
    for sets in WAYS.values():
        named = {f"compression.{name}": value for name, value in sets.items()}
        row = resolve({"algorithm": algorithm}, ALGORITHMS[algorithm] | named).row
        assert (row.compression is None) == (not sets)
