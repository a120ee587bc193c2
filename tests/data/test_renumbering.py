"""Other queries, and yet the same searches."""

from pathlib import Path

import pytest

from data.public_counts import Bounds
from data.renumbering import with_queries
from data.schema import Dataset
from data.simulator import simulate
from data.validation import validate
from tests.ranking.nodes import imported, log_of


def by_text(dataset: Dataset) -> list[object]:
    """Searches and slates by their queries' texts."""
    texts = dataset.queries.column("text").to_pylist()
    events = [texts[query] for query in dataset.events.column("query_id").to_pylist()]
    lists = [
        [[texts[query] for query in row] for row in dataset.slates.column(name).to_pylist()]
        for name in ("pool", "reference")
    ]
    return [events, *lists]


@pytest.mark.parametrize("kind", ["log", "simulated"])
def test_more_queries_and_back(kind: str, tmp_path: Path) -> None:
    if kind == "simulated":
        dataset = simulate(2)
    else:
        dataset = imported(log_of(1, tmp_path / "log.csv"), tmp_path / "central", Bounds())
    texts = dataset.queries.column("text").to_pylist()
    more = with_queries(dataset, [*texts[::-1], "zzz", "", "g", "m m", "\U0001f600", "é"])
    validate(more)
    assert more.queries.column("text").to_pylist() == sorted(
        {*texts, "zzz", "", "g", "m m", "\U0001f600", "é"}
    )
    assert by_text(more) == by_text(dataset)
    known = {row["text"]: row for row in dataset.queries.to_pylist()}
    for row in more.queries.to_pylist():
        before = known.get(row["text"], {"topic": None, "public_count": 0})
        assert (row["topic"], row["public_count"]) == (before["topic"], before["public_count"])
    back = with_queries(more, texts)
    assert back.queries.equals(dataset.queries)
    assert back.events.equals(dataset.events)
    assert back.slates.equals(dataset.slates)
    assert with_queries(dataset, texts) is dataset
