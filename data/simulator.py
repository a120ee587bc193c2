"""Simulated searches of users with tastes of their own, and the truth behind them.

Every choice has a reason that a ranker could learn: a user's utility of a candidate is a weighted sum
of its popularity, the user's own repeats and their recency, the session's topic, the query's length
and its topic. Weights are those of the population plus a cluster's and the user's own deviation, both
in proportion to ``strength``; at 0 all users are alike and no personal model has anything to gain.
The reference of a slate is the head of a Plackett-Luce draw from these utilities (Plackett 1975), so
even the truth does not predict it perfectly.
"""

from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.catalogue import TOPICS, catalogue
from data.progress import Tell, silent
from data.public_counts import OPTION, Bounds
from data.randomness import generator
from data.schema import SCHEMAS, TRUTH_SCHEMAS, DataError, Dataset
from data.splits import time_split

BEHAVIOUR = {"popularity": 0.6, "repeats": 0.7, "recency": 0.6, "session topic": 1.4, "length": 0.6}
"""The population's weights. What a user or cluster adds to them is in units of ``strength``."""

APPEAL = 0.8  # standard deviation of the population's weights of topics

CLUSTERS = 5
CLUSTER_SHARE = 0.8  # a cluster's deviation, relative to a user's own
TEMPERATURE = 0.65  # of the Plackett-Luce draw: below 1, users mostly take what they want most
ZIPF = 0.95
PUBLIC_LOG = 200_000  # searches of other people, from which the public counts come
DRIFT = 0.3  # standard deviation of the change of log popularity over the whole period
PERSISTENCE = 0.7  # of a session's topic
POOL_POPULARITY = 0.3  # power of popularity that draws candidates
POOL_OWN = 1.0  # log odds by which own completions are likelier candidates
REPEAT = 0.35  # of searches start from the wish to repeat an own one
NEW_SESSION = 0.3
START = np.datetime64("2026-01-01T00:00:00", "us").astype(np.int64)
DAY = 86_400_000_000  # microseconds
PERIOD = 90 * DAY


@dataclass(frozen=True)
class _World:
    """What all users share. Queries are sorted by text: completions of a prefix are one range."""

    texts: list[str]
    topic: NDArray[np.int64]
    log_popularity: NDArray[np.float64]  # standardised
    drift: NDArray[np.float64]
    fitting_length: NDArray[np.float64]  # 1 for the length people like best, falling off to both sides
    population: NDArray[np.float64]  # (5 behaviours + topics,) weights
    seed: int


@dataclass(frozen=True)
class _User:
    user: int
    cluster: int
    weights: NDArray[np.float64]  # (5 behaviours + topics,)
    interests: NDArray[np.float64]  # topic mixture


@dataclass
class _Past:
    """A user's own searches so far."""

    count: NDArray[np.float64]
    last: NDArray[np.int64]
    queries: list[int] = field(default_factory=list)

    def add(self, query: int) -> None:
        self.count[query] += 1
        self.last[query] = len(self.queries)
        self.queries.append(query)


STRENGTH = 0.25
"""Of the differences between users, unless another is asked for."""


def simulate(
    users: int = 200,
    seed: int = 0,
    strength: float = STRENGTH,
    tell: Tell = silent,
    bounds: Bounds | None = None,
) -> Dataset:
    """Simulate a dataset with its truth: 30 to 100 searches a user, lists of 2 to 25, pools three times that.

    Args:
        users: number of users, ≥ 1.
        seed: ≥ 0; user i's searches depend on the seed and on i alone.
        strength: standard deviation of the users' own weights (σ_w = σ_t), ≥ 0; 0 makes them all alike.
        tell: is told how far it is.
        bounds: of what the users make public of their searches; None: all training events count. Pools are
            drawn by what the catalogue says, and do not depend on it.

    Raises:
        DataError: a value outside its bounds, or more users must tell of something than there are.
    """
    if users < 1 or seed < 0 or not 0 <= strength <= 10:
        raise DataError("simulate needs users ≥ 1, seed ≥ 0 and 0 ≤ strength ≤ 10.")
    if bounds:
        bounds.require_users(users)
    world = _world(seed)
    people = [_person(world, u, strength) for u in range(users)]
    events: list[tuple[int, int, int, int]] = []  # user, time, query, session
    slates: list[tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for done, person in enumerate(people):
        tell("simulating", done, users)
        _search(world, person, events, slates)
    tell("simulating", users, users)
    options = {"users": users, "seed": seed, "strength": strength}
    told = {OPTION: asdict(bounds)} if bounds else {}
    return _dataset(world, people, events, slates, options | told)


def _world(seed: int) -> _World:
    queries = sorted(catalogue())
    draw = generator(seed, "world")
    rank = draw.permutation(len(queries)) + 1
    log_popularity = -ZIPF * np.log(rank)
    length = np.array([len(q.text) for q in queries])
    appeal = draw.normal(0, APPEAL, len(TOPICS))
    return _World(
        texts=[q.text for q in queries],
        topic=np.array([TOPICS.index(q.topic) for q in queries]),
        log_popularity=(log_popularity - log_popularity.mean()) / log_popularity.std(),
        drift=draw.normal(0, DRIFT, len(queries)),
        fitting_length=2 * np.exp(-(((length - 22) / 5) ** 2)) - 1,
        population=np.array([*BEHAVIOUR.values(), *appeal]),
        seed=seed,
    )


def _person(world: _World, user: int, strength: float) -> _User:
    mine = generator(world.seed, "taste", user)
    cluster = int(mine.integers(CLUSTERS))
    ours = generator(world.seed, "cluster", cluster)
    deviation = CLUSTER_SHARE * ours.normal(size=len(world.population)) + mine.normal(
        size=len(world.population)
    )
    centre = ours.dirichlet(np.full(len(TOPICS), 0.3))
    interests = mine.dirichlet(10 * centre + 0.05)
    alike = 1 - min(1, strength / 0.25)
    return _User(
        user, cluster, world.population + strength * deviation, alike / len(TOPICS) + (1 - alike) * interests
    )


def _search(
    world: _World,
    person: _User,
    events: list[tuple[int, int, int, int]],
    slates: list[tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]],
) -> None:
    """Append one user's searches, in time order."""
    draw = generator(world.seed, "searches", person.user)
    past = _Past(np.zeros(len(world.texts)), np.full(len(world.texts), -1))
    number = int(draw.integers(30, 100, endpoint=True))
    session = events[-1][3] + 1 if events else 0
    time = int(draw.uniform(0, PERIOD / 3))
    topic = int(draw.choice(len(TOPICS), p=person.interests))
    for _ in range(number):
        if past.queries and draw.random() < NEW_SESSION:
            session += 1
            time += int(draw.exponential(2 * PERIOD / 3 / (NEW_SESSION * number)))
        else:
            time += int(draw.lognormal(np.log(40e6), 1))
        if past.queries and draw.random() > PERSISTENCE:
            topic = int(draw.choice(len(TOPICS), p=person.interests))
        log_popularity = world.log_popularity + world.drift * (time / PERIOD - 0.5)
        wish = _wish(world, past, topic, log_popularity, draw)
        prefix, pool, wanted = _pool(world, past, wish, log_popularity, draw)
        utility = _utility(world, person, past, topic, pool, log_popularity)
        order = np.argsort(-(utility / TEMPERATURE + draw.gumbel(size=len(pool))))
        reference = pool[order[:wanted]]
        events.append((person.user, int(START) + time, int(reference[0]), session))
        slates.append((prefix, pool, reference, utility))
        past.add(int(reference[0]))


def _wish(
    world: _World, past: _Past, topic: int, log_popularity: NDArray[np.float64], draw: np.random.Generator
) -> int:
    """The query that makes a user start typing: an own one again, likelier a late one, or a popular one."""
    if past.queries and draw.random() < REPEAT:
        lag = np.arange(len(past.queries), 0, -1)
        weight = lag**-1.0
        return past.queries[int(draw.choice(len(lag), p=weight / weight.sum()))]
    of_topic = np.flatnonzero(world.topic == topic)
    return int(of_topic[np.argmax(log_popularity[of_topic] + draw.gumbel(size=len(of_topic)))])


def _pool(
    world: _World, past: _Past, wish: int, log_popularity: NDArray[np.float64], draw: np.random.Generator
) -> tuple[str, NDArray[np.int64], int]:
    """Prefix, 3m candidates in text order, and m. Candidates are drawn before anything scores them."""
    text = world.texts[wish]
    wanted = int(draw.integers(2, 25, endpoint=True))
    typed = min(int(draw.geometric(0.4)), len(text) - 1, 10)
    while True:
        prefix = text[:typed]
        start = bisect_left(world.texts, prefix)
        end = bisect_left(world.texts, prefix + "~", lo=start)
        if end - start >= 3 * wanted or typed == 1:
            break
        typed -= 1
    wanted = min(wanted, (end - start) // 3)
    among = np.arange(start, end)
    chance = (
        POOL_POPULARITY * log_popularity[among]
        + POOL_OWN * (past.count[among] > 0)
        + draw.gumbel(size=len(among))
    )
    chance[wish - start] = np.inf
    return prefix, np.sort(among[np.argsort(-chance)[: 3 * wanted]]), wanted


def _utility(
    world: _World,
    person: _User,
    past: _Past,
    topic: int,
    pool: NDArray[np.int64],
    log_popularity: NDArray[np.float64],
) -> NDArray[np.float64]:
    count = past.count[pool]
    lag = len(past.queries) - past.last[pool]
    session_topic = world.topic[past.queries[-1]] if past.queries else topic
    behaviour = np.stack(
        [
            log_popularity[pool],
            np.log2(1 + count),
            np.where(count > 0, 1 / lag, 0),
            world.topic[pool] == session_topic,
            world.fitting_length[pool],
        ]
    )
    size = len(BEHAVIOUR)
    utility: NDArray[np.float64] = (
        person.weights[:size] @ behaviour + person.weights[size:][world.topic[pool]]
    )
    return utility


def _dataset(
    world: _World,
    people: list[_User],
    events: list[tuple[int, int, int, int]],
    slates: list[tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]],
    options: dict[str, Any],
) -> Dataset:
    number = np.arange(len(events))
    user, time, query, session = (np.array(c) for c in zip(*events, strict=True))
    prefix, pool, reference, utility = zip(*slates, strict=True)
    popularity = np.exp(world.log_popularity)
    public = generator(world.seed, "public log").poisson(PUBLIC_LOG * popularity / popularity.sum())
    topics = [TOPICS[t] for t in world.topic]
    tables = {
        "users": [np.arange(len(people)), [f"user {p.user:03d}" for p in people]],
        "queries": [np.arange(len(world.texts)), world.texts, topics, public],
        "events": [number, user, time, query, session, [None] * len(events), time_split(user)],
        "slates": [number, number, list(prefix), list(pool), list(reference)],
    }
    truth = {
        "weights": [np.arange(len(people)), [p.cluster for p in people], [p.weights for p in people]],
        "utilities": [number, list(utility)],
    }

    def build(columns: dict[str, list[object]], schemas: dict[str, pa.Schema]) -> dict[str, pa.Table]:
        return {
            name: pa.table(
                [pa.array(c, f.type) for c, f in zip(values, schemas[name], strict=True)],
                schema=schemas[name],
            )
            for name, values in columns.items()
        }

    manifest = {"kind": "simulated", "options": options}
    return Dataset(**build(tables, SCHEMAS), manifest=manifest, truth=build(truth, TRUTH_SCHEMAS))
