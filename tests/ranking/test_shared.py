"""What others are told of: counted by hand, event by event."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from data.schema import Dataset
from ranking.events import COUNTED, QUERY, WORD, Events, Step
from ranking.naming import KEYS, parts
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
def test_only_what_enough_users_have_searched_counts(users: int, strict: bool, tiny_dataset: Dataset) -> None:
    dataset = without_outside(tiny_dataset, kept=40)
    dataset = replace(dataset, manifest={"options": {"strict_time": strict}})
    public = PublicStatistics(dataset)
    shared, events = Shared(dataset, public, users), Events.of(dataset.events)
    by = defaultdict(set)
    for user, query, training in zip(events.user, events.query, events.training, strict=True):
        if training:
            by[query].add(user)
    known = {query for query in range(len(public.texts)) if len(by[query]) >= users or public.outside[query]}
    if users > 1:
        assert 40 < len(known) < len(by), "some are, and some are not"
    assert set(np.flatnonzero(shared.known)) == known
    assert all(shared.count[query] == (public.count[query] if query in known else 0) for query in by)
    words = {int(public.first_token[query]) for query in known}
    now = np.zeros(1, np.int64)
    for what in COUNTED:
        _, key = public.happenings(events, what)
        for thing, count in Counter(key.tolist()).items():
            first, second = parts(what)
            told = all(
                part in {QUERY: known, WORD: words}.get(which, {part})
                for which, part in ((first, thing // KEYS), (second, thing % KEYS))
                if second is not None
            ) and (second is not None or thing in known)
            table = shared.table(what)
            assert int(table.total(np.array([thing]))[0]) == (count if told else 0)
            if isinstance(what, Step):
                given, then = np.array([thing // KEYS]), np.array([thing % KEYS])
                assert int(shared.followed(what, given, then, now)[0]) == (count if told else 0)
