"""What others are told of: counted by hand, event by event."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from data.schema import Dataset
from ranking.events import COUNTED, QUERY, Events
from ranking.public_statistics import PublicStatistics
from ranking.shared import Shared


def without_outside(dataset: Dataset, kept: int) -> Dataset:
    """The dataset, where nobody else has searched any but the first queries."""
    queries = dataset.queries
    count = np.where(np.arange(queries.num_rows) < kept, queries.column("public_count").to_numpy(), 0)
    place = queries.schema.get_field_index("public_count")
    field = queries.schema.field(place)
    return replace(dataset, queries=queries.set_column(place, field, pa.array(count, field.type)))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("users", [1, 2, 3])
def test_only_what_enough_users_have_done_counts(users: int, strict: bool, tiny_dataset: Dataset) -> None:
    dataset = without_outside(tiny_dataset, kept=40)
    dataset = replace(dataset, manifest={"options": {"strict_time": strict}})
    public = PublicStatistics(dataset)
    shared, events = Shared(dataset, public, users), Events.of(dataset.events)
    tellers, count = defaultdict(set), Counter[tuple[object, int]]()
    for what in COUNTED:
        for event, thing in zip(*public.happenings(events, what), strict=True):
            tellers[what, thing].add(int(events.user[event]))
            count[what, thing] += 1
    told = {thing for thing, by in tellers.items() if len(by) >= users}
    if users > 1:
        assert 40 < len(told) < len(tellers), "some are, and some are not"
    for what, thing in tellers:
        expected = count[what, thing] if (what, thing) in told else 0
        assert int(shared.table(what).total(np.array([thing]))[0]) == expected
    for query in range(len(public.texts)):
        expected = count[QUERY, query] if (QUERY, query) in told else 0
        assert shared.count[query] == public.outside[query] + expected
        assert shared.known[query] == (shared.count[query] > 0)
