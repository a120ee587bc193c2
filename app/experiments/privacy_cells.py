"""The cells of `reproduce privacy`: who is promised which ε, by which algorithm and noise.

Clip, rounds, step sizes and λ were chosen once, on validation slates of simulated users of seed 0; λ, and C
where all users are in a round, on those of the shell log as well. To choose them on users' own data is to
look at these data once more, which no ε here covers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from app.experiments.cells import Cell
from app.runs.settings import resolve
from federated.server.uploads import WithServer

DELTA = 1e-3
"""δ, of every promise: less than one over the number of users."""

EVERYBODY = 10_000
"""A cohort that takes all users there are."""

SYNCHRONOUS = "all users in a round"
COUNTS = "private counts, ε = 4"
"""Of datasets whose public counts are released with differential privacy as well."""

UNTOUCHED, CLIPPED = "untouched", "clipped, no noise"


@dataclass(frozen=True)
class Method:
    """An algorithm, how its updates are merged, and C, the norm that they are clipped to.

    Attributes:
        algorithm: its name.
        sets: its hyper-parameters.
        clip: C.
        privacy: further hyper-parameters of the section.
    """

    algorithm: str
    sets: dict[str, Any]
    clip: float
    privacy: dict[str, Any] = field(default_factory=dict)


_ROUNDS = Method("ditto", {"cohort": EVERYBODY, "shares": "equal"}, 1.0)
_DITTO_20 = Method("persa-fl-ditto", {"buffer": 20, "concurrency": 40}, 0.3)
_DITTO_200 = Method("persa-fl-ditto", {"buffer": 200, "concurrency": 20, "server_lr": 0.02}, 0.3)
_ME_20 = Method("persa-fl-me-buffered", {"buffer": 20, "concurrency": 40, "server_lr": 0.1}, 0.3)
_ME_200 = Method("persa-fl-me-buffered", {"buffer": 200, "concurrency": 20, "server_lr": 1.0}, 1.0)
_AT_ONCE = Method("persa-fl", {"buffer": 1}, 0.3)

METHODS: dict[str, Method] = {
    SYNCHRONOUS: _ROUNDS,
    "… with an adaptive clip": replace(_ROUNDS, privacy={"quantile": 0.5}),
    "PersA-FL (Ditto), buffer of 20": _DITTO_20,
    "… with tree noise": replace(_DITTO_20, privacy={"noise": "tree"}),
    "… with banded noise": replace(_DITTO_20, privacy={"noise": "banded"}),
    "PersA-FL (Ditto), buffer of 200": _DITTO_200,
    "PersA-FL (Moreau), buffer of 20": _ME_20,
    "PersA-FL (Moreau), buffer of 200": _ME_200,
    "PersA-FL, each at once, banded noise": replace(_AT_ONCE, privacy={"noise": "banded"}),
}
"""How updates are merged, by what it is called; those after … share the clipped run of the one above."""

CLIP = {"shell": 0.5}
"""C by dataset, all users in a round, where it is another than the method's."""

LAM = {"simulated": 3.0, "shell": 30.0}
"""λ of own models by dataset: the automatic choice asks for validation losses, which no noise covers."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is.

    Attributes:
        users: of simulated data.
        seeds: every cell is trained with each of them.
        rounds: T, updates of each user.
        epsilons: of the synchronous method.
        epsilon: of all the others.
        methods: those others.
    """

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    rounds: int = 20
    epsilons: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    epsilon: float = 2.0
    methods: tuple[str, ...] = tuple(name for name in METHODS if name != SYNCHRONOUS)


QUICK = Scale(
    users=40,
    seeds=(0,),
    rounds=8,
    epsilons=(2.0, 8.0),
    methods=("… with an adaptive clip", "PersA-FL (Ditto), buffer of 20"),
)


@dataclass(frozen=True)
class Key:
    """A cell: a key of METHODS, and ε; None: clipped only; `UNTOUCHED`: not even that."""

    method: str
    epsilon: float | str | None

    @property
    def name(self) -> str:
        """As a directory is named."""
        told = "clipped" if self.epsilon is None else self.epsilon
        return f"{list(METHODS).index(self.method)}-{METHODS[self.method].algorithm}-{told}"

    @property
    def without_noise(self) -> "Key":
        """The same run, clipped, but without noise."""
        method = METHODS[self.method]
        first = next(
            name
            for name, other in METHODS.items()
            if replace(other, privacy={}) == replace(method, privacy={})
        )
        return Key(first, None)


def keys(scale: Scale) -> Iterator[Key]:
    """All cells, each after the one that it is compared with."""
    yield Key(SYNCHRONOUS, UNTOUCHED)
    yield Key(SYNCHRONOUS, None)
    for epsilon in scale.epsilons:
        yield Key(SYNCHRONOUS, epsilon)
    begun = {Key(SYNCHRONOUS, None)}
    for method in scale.methods:
        key = Key(method, scale.epsilon)
        if key.without_noise not in begun:
            begun.add(key.without_noise)
            yield key.without_noise
        yield key


def cell(key: Key, scale: Scale, data: str, users: int) -> Cell:
    """How one is trained.

    Args:
        key: which.
        scale: the experiment's.
        data: a dataset, of LAM, perhaps with COUNTS.
        users: how many it has.
    """
    method = METHODS[key.method]
    sets = {name: min(users, value) if name == "buffer" else value for name, value in method.sets.items()}
    known = data.split(",")[0]
    clip = CLIP.get(known, method.clip) if method.algorithm == _ROUNDS.algorithm else method.clip
    bare = resolve({"algorithm": method.algorithm}, {})
    if bare.personal:
        sets["lam"] = LAM[known]
    if key.epsilon is None:
        sets |= {"defence.rule": "clip", "defence.clip": clip}  # and their mean: all but the noise
    elif isinstance(key.epsilon, float):
        sets |= {"privacy.epsilon": key.epsilon, "privacy.delta": DELTA, "privacy.clip": clip}
        sets |= {f"privacy.{name}": value for name, value in method.privacy.items()}
    return Cell(method.algorithm, scale.rounds * users, sets)


def multiplier(made: Cell, users: int) -> tuple[float, int]:
    """σ of a private cell's merges, and how many updates are in one.

    Args:
        made: the cell.
        users: that there are.
    """
    row = resolve({"algorithm": made.algorithm, "updates": made.updates}, dict(made.sets)).row
    assert isinstance(row.schedule, WithServer), "privacy needs one"
    size = row.schedule.size(users)
    privacy = row.uploads.planned(made.updates, users, size).privacy
    assert privacy is not None, "asked of private cells"
    return privacy.multiplier(size), size
