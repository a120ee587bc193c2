"""Deals a dataset out to nodes, machines that each hold the data of their own users and of nobody else.

What a node gets holds no query that only others have searched: pools of a log are made anew of what the node
knows by itself, until it is told what all nodes together have made public. The catalogue of simulated users
is known to everybody, so that their pools stay as they were drawn.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.log_slates import own_counts, with_pools_anew
from data.public_counts import Bounds
from data.renumbering import with_columns, with_queries
from data.schema import DataError, Dataset, column, ragged
from data.storage import fill, fresh

SIMULATED = "simulated"
"""The kind of data whose queries are a public catalogue."""

NEEDS = "dealing needs data whose public counts are bounded: make it with --public-counts federated."


def deal(dataset: Dataset, nodes: int, out: Path) -> list[Path]:
    """Deal a dataset out to out/node-0, out/node-1, …, each of which is a dataset: user u goes to u mod nodes.

    Their manifests say, under ``dealt``, which node of how many it is, and of which dataset. Truth of
    simulated users is not dealt out.

    Args:
        dataset: a log, or simulated users, with bounds of what becomes public.
        nodes: how many, from 1 to the number of users.
        out: where.

    Returns:
        The datasets' directories.

    Raises:
        DataError: there are more nodes than users, no bounds of public counts, or files in the way.
    """
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
    mine = _of_users(dataset, np.arange(number, dataset.users.num_rows, nodes))
    known = _known(mine)
    mine = with_queries(mine, known)
    options = dataset.manifest.get("options", {})
    manifest = {
        "kind": dataset.manifest.get("kind"),
        "options": options,
        "dealt": {"node": number, "nodes": nodes, "of": dataset.fingerprint},
    }
    return replace(mine, manifest=manifest)
