"""The public counts of a dataset, released once with differential privacy.

Six tables are counted of users' searches, and each that exists is released: queries, queries in groups, and
the four ways in which one search follows another. Nothing else that anybody is told derives from several
users' searches: features have fixed scales, topics and the counts of other people come with a catalogue.
Exact counts are not kept. See `data.privacy` for the mechanism and what it costs.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from data.noise import disturbed, passing
from data.privacy import RELEASE, Budget, Release, Spending, plan, require_mechanism
from data.public_counts import OPTION, TIMELESS, Bounds, Sums
from data.schema import PUBLIC_SCHEMA, DataError, Dataset
from ranking.events import COUNTED, GROUP, QUERY, Counted, Events, Step
from ranking.public_statistics import PublicStatistics

OF_QUERIES = 0.7
"""The share of queries, on which pools depend; the other tables have equal shares of the rest."""


def released(dataset: Dataset, budget: Budget) -> Dataset:
    """A dataset with its public counts, which everything that is derived from it goes by from now on.

    Args:
        dataset: users, queries and events are looked at, slates are not.
        budget: of all tables together.

    Returns:
        The dataset with ``public``; its manifest has the budget among its options, and what was released.

    Raises:
        PrivacyError: δ is not less than one over the number of users, or OpenDP is not installed.
        DataError: the dataset's counts know moments.
    """
    require_mechanism()
    budget.require_users(dataset.users.num_rows)
    bounds = Bounds(1, budget.things, budget.times)
    manifest = dict(dataset.manifest)
    options = {name: value for name, value in manifest.get("options", {}).items() if name != OPTION}
    if options.get("strict_time"):
        raise DataError(TIMELESS)
    public = PublicStatistics(replace(dataset, manifest={"options": options}, public=None))
    events, names = Events.of(dataset.events), public.names()
    tables, parts = dict[int, Spending](), list[pa.Table]()
    for what, share in shares(in_groups(dataset)).items():
        kind = COUNTED.index(what)
        some, thing = public.happenings(events, what)
        chosen = bounds.chosen(events.user[some], thing)
        sums = Sums.of(events.user[some][chosen], thing[chosen])
        spent = plan(budget, name_of(what), share)
        sums = noisy(sums, spent, budget.times)
        tables[kind] = replace(spent, released=len(sums.thing))
        first, second = names.texts(what, sums.thing)
        columns = [np.full(len(first), kind), first, second, sums.count, sums.tellers]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, PUBLIC_SCHEMA, strict=True)]
        parts.append(pa.table(arrays, schema=PUBLIC_SCHEMA))
    by = [(name, "ascending") for name in ("kind", "first", "second")]
    release = Release(pa.concat_tables(parts).sort_by(by).combine_chunks(), budget, tables)
    said = release.said()
    told = {name: said[name] for name in ("epsilon", "delta", "things", "times")}
    manifest |= {"options": options | {OPTION: told}, RELEASE: said}
    return replace(dataset, manifest=manifest, public=release.table)


def noisy(sums: Sums, spent: Spending, times: int) -> Sums:
    """What is released of sums; counts are brought to what so many users can have told.

    Args:
        sums: exact.
        spent: noise and threshold.
        times: T.
    """
    tellers = passing(dict(zip(sums.thing.tolist(), sums.tellers.tolist(), strict=True)), spent)
    thing = np.array(list(tellers), np.int64)
    users = np.array(list(tellers.values()), np.int64)
    if times == 1:
        return Sums(thing, users, users)
    count = disturbed(sums.count[np.searchsorted(sums.thing, thing)], spent.count_noise)
    return Sums(thing, np.clip(count, users, times * users), users)


def shares(groups: bool) -> dict[Counted, float]:
    """How the tables that there are divide the budget: 1 in all."""
    others = [what for what in COUNTED if what != QUERY and (groups or what != GROUP)]
    return {QUERY: OF_QUERIES} | dict.fromkeys(others, (1 - OF_QUERIES) / len(others))


def in_groups(dataset: Dataset) -> bool:
    """Whether its log was read with a column of groups: that says nothing of what is in it."""
    source = dataset.manifest.get("source")
    return isinstance(source, dict) and source.get("group") is not None


def name_of(what: Counted) -> str:
    """A table in words."""
    if isinstance(what, Step):
        return f"{what.then} after {what.given}" + (f" {what.back} back" if what.back > 1 else "")
    return {QUERY: "queries", GROUP: "queries in groups"}[what]
