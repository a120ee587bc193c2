"""Deals a dataset out to nodes, machines that each hold the data of their own users and of nobody else.

What a node gets holds no query that only others have searched: pools of a log are made anew of what the node
knows by itself, until it is told what all nodes together have made public. The catalogue of simulated users
is known to everybody, so that their pools stay as they were drawn.
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.log_slates import own_counts, with_pools_anew
from data.public_counts import TIMELESS, Bounds
from data.renumbering import with_columns, with_queries
from data.schema import DataError, Dataset, column, ragged
from data.storage import fill, fresh, read

SIMULATED = "simulated"
"""The kind of data whose queries are a public catalogue."""

NEEDS = "dealing needs data whose public counts are bounded: make it with --public-counts federated."


def deal(data: Dataset | Path, nodes: int, out: Path) -> list[Path]:
    """Deal a dataset out to datasets out/node-0, out/node-1, …: user u goes to node u mod ``nodes``.

    Their manifests say, under ``dealt``, which node of how many it is, and of which dataset. Truth of
    simulated users is not dealt out.

    Args:
        data: a log, or simulated users, with bounds of what becomes public; or the directory of such.
        nodes: how many, from 1 to the number of users.
        out: where.

    Returns:
        The datasets' directories.

    Raises:
        DataError: there are more nodes than users, no bounds of public counts, or files in the way; or the
            directory holds features, or strict time.
    """
    dataset = read(data) if isinstance(data, Path) else data
    if dataset.manifest.get("options", {}).get("strict_time"):
        raise DataError(TIMELESS)
    if not 1 <= nodes <= dataset.users.num_rows:
        raise DataError(
            f"{dataset.users.num_rows} users cannot be dealt out to {nodes} nodes: each gets one at least."
        )
    bounds = Bounds.of(dataset.manifest)
    if bounds is None:
        raise DataError(NEEDS)
    places = [out / f"node-{number}" for number in range(nodes)]
    with ExitStack() as held:
        for place in places:
            held.enter_context(fresh(place))
        for number, place in enumerate(places):
            fill(_hand(dataset, number, nodes, bounds), place)
    return places


def _hand(dataset: Dataset, number: int, nodes: int, bounds: Bounds) -> Dataset:
    """What one node gets."""
    told = {name: dataset.manifest[name] for name in ("kind", "options") if name in dataset.manifest}
    dealt = {"node": number, "nodes": nodes, "of": dataset.fingerprint}
    mine = _of_users(dataset, number, nodes)
    mine = replace(mine, manifest={**told, "dealt": dealt})
    if told.get("kind") == SIMULATED:
        return mine
    blank = np.zeros(mine.slates.num_rows + 1, np.int32)
    pools = pa.ListArray.from_arrays(blank, np.zeros(0, np.int32))
    mine = with_queries(replace(mine, slates=with_columns(mine.slates, "slates", pool=pools)), _known(mine))
    return with_pools_anew(mine, own_counts(mine.events, mine.queries.num_rows, bounds))


def _known(mine: Dataset) -> list[str]:
    """Texts of queries that users have searched, or other people who are no users."""
    used = column(mine.queries, "public_count") > 0
    used[column(mine.events, "query_id")] = True
    used[ragged(mine.slates, "reference")[1]] = True
    texts: list[str] = mine.queries.column("text").filter(pa.array(used)).to_pylist()
    return texts


def _of_users(dataset: Dataset, number: int, nodes: int) -> Dataset:
    """Users, events and slates of one node, under new numbers; the queries are still those of all."""
    user = column(dataset.events, "user_id")
    users = dataset.users.take(np.arange(number, dataset.users.num_rows, nodes))
    event = np.flatnonzero(user % nodes == number)
    place = np.full(len(user), -1)
    place[event] = np.arange(len(event))
    events = dataset.events.take(event)
    session = np.unique(column(events, "session_id"), return_inverse=True)[1]
    of_event = place[column(dataset.slates, "event_id")]
    slate = np.flatnonzero(of_event >= 0)
    return Dataset(
        with_columns(users, "users", user_id=np.arange(users.num_rows)),
        dataset.queries,
        with_columns(
            events, "events", event_id=np.arange(len(event)), user_id=user[event] // nodes, session_id=session
        ),
        with_columns(
            dataset.slates.take(slate), "slates", slate_id=np.arange(len(slate)), event_id=of_event[slate]
        ),
    )
