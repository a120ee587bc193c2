"""What `persarank tune` chooses from: all combinations of values that are asked for, or some drawn ones."""

import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.reports.tables import labelled
from app.runs.checks import ConfigError
from app.runs.given import parse_overrides
from app.runs.presets import CHOICES, has
from app.runs.settings import GIVEN, Settings, resolve
from data.randomness import generator
from ranking.rankers import RANKERS

THRICE = (1 / 3, 1.0, 3.0)
TWICE = (0.5, 1.0, 2.0)
FACTORS = {
    "lr": THRICE,
    "server_lr": THRICE,
    "local_steps": TWICE,
    "lam": THRICE,
    "alpha": THRICE,
    "adapt_lr": THRICE,
    "adapt_steps": TWICE,
    "learning_rate": TWICE,
    "num_leaves": TWICE,
    "min_child_samples": TWICE,
    "min_samples_leaf": TWICE,
    "max_features": TWICE,
}
"""Hyper-parameters that are searched unless told otherwise, where an algorithm or a ranker has them, as
multiples of their values. The loss is searched too."""

NOT_SEARCHED = ("seed", "preset")
"""Options of their own, which are not settings that one could choose from."""

Values = Mapping[str, Sequence[Any]]
"""What is tried, by the name of a setting."""


@dataclass(frozen=True)
class Base:
    """The settings that candidates depart from: as `resolve` takes them."""

    given: Mapping[str, Any]
    overrides: Mapping[str, Any]

    def settings(self) -> Settings:
        """Of the candidate that departs in nothing: the defaults, as far as nobody has set anything else."""
        return resolve(self.given, self.overrides)

    def other(self, changed: Mapping[str, Any]) -> Settings:
        """Of a candidate. What its algorithm or ranker, if another one, does not have is left out.

        Raises:
            ConfigError: it cannot be.
        """
        given = {**self.given, **{name: value for name, value in changed.items() if name in GIVEN}}
        overrides = {**self.overrides, **{n: value for n, value in changed.items() if n not in GIVEN}}
        bare = resolve({name: given[name] for name in CHOICES if name in given}, {})
        return resolve(given, {key: value for key, value in overrides.items() if has(bare, key)})


@dataclass(frozen=True)
class Candidate:
    """Settings in the race, and in what they differ from those that it begins with."""

    changed: dict[str, Any]
    settings: Settings

    @property
    def label(self) -> str:
        """For people, in a line."""
        return labelled(self.changed)


def parse_over(pairs: Iterable[str]) -> dict[str, list[Any]]:
    """``key=v1,v2`` pairs of ``--over``; values are written as in TOML, and bare words are strings.

    Raises:
        ConfigError: one is not written so, or names what cannot be searched.
    """
    over: dict[str, list[Any]] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        values = _values(text)
        if not (equals and key and values):
            raise ConfigError(f"--over {pair!r}: write key=value,value, e.g. --over lr=0.02,0.05.")
        if key in NOT_SEARCHED:
            raise ConfigError(f"--over {pair!r}: {key} cannot be searched.")
        if key in over:
            raise ConfigError(f"--over {key} is given twice: write all its values in one, {key}=v1,v2.")
        over[key] = values
    return over


def _values(text: str) -> list[Any]:
    try:
        values = tomllib.loads(f"v = [{text}]")
        if len(values) == 1 and isinstance(values["v"], list):
            return values["v"]
    except (ValueError, RecursionError):
        pass  # there are bare words
    return [parse_overrides([f"v={word.strip()}"])["v"] for word in text.split(",") if word.strip()]


def combinations(base: Base, over: Values) -> tuple[list[Candidate], list[str]]:
    """All combinations of values, the defaults first, and a sentence for each that cannot be.

    Settings that an algorithm does not have are left out of its combinations; equal ones count once.

    Raises:
        ConfigError: a value is part of no possible combination, or there is no other than the defaults.
    """
    found, impossible = [Candidate({}, base.settings())], []
    seen = {found[0].settings.to_toml({})}
    used: set[tuple[str, int]] = set()
    why: dict[tuple[str, int], ConfigError] = {}
    for numbers in itertools.product(*(range(len(values)) for values in over.values())):
        picked = list(zip(over, numbers, strict=True))
        changed = {name: over[name][number] for name, number in picked}
        try:
            settings = base.other(changed)
        except ConfigError as error:
            why |= {value: error for value in picked if value not in why}
            impossible.append(f"{labelled(changed)}: {error}")
            continue
        here = {name: value for name, value in changed.items() if name in GIVEN or has(settings, name)}
        used |= {(name, number) for name, number in picked if name in here}
        key = settings.to_toml({})
        if key not in seen:
            seen.add(key)
            found.append(Candidate(here, settings))
    for name, values in over.items():
        for number in range(len(values)):
            if (name, number) not in used:
                if (name, number) in why:
                    raise why[name, number]
                resolve(base.given, {**base.overrides, name: values[number]})  # names what is meant, perhaps
                raise ConfigError(f"--over {name}: no candidate has such a setting.")
    if len(found) == 1:
        raise ConfigError("there is nothing to choose from: --over names nothing but the defaults.")
    return found, impossible


def space(base: Base, fixed: Iterable[str], users: int) -> dict[str, list[Any]]:
    """What is searched unless told otherwise: the loss, and some hyper-parameters around their values.

    Args:
        base: the defaults.
        fixed: names that somebody has set, with their section or without: those are not searched.
        users: how many there are.
    """
    settings = base.settings()
    taken = {name.rpartition(".")[2] for name in fixed}
    values: dict[str, list[Any]] = {}
    if settings.row.policy is None and "loss" not in taken:
        values["loss"] = _first(settings.loss, RANKERS[settings.ranker_name].losses)
    parts = settings.parts()
    for section, name in ((s, n) for s, part in parts.items() for n in FACTORS if hasattr(part, n)):
        if name not in taken:
            default = getattr(parts[section], name)
            if name == "server_lr" and default is None:
                values[name] = _server_steps(users, getattr(parts[section], "concurrency", 1))
            elif isinstance(default, int | float):
                values[name] = _first(default, (_rounded(default, factor) for factor in FACTORS[name]))
    return {name: tried for name, tried in values.items() if len(tried) > 1}


def drawn(base: Base, values: Values, number: int) -> list[Candidate]:
    """The defaults, and so many other combinations that can be, or all; always the same ones."""
    found = [Candidate({}, base.settings())]
    for changed in _shuffled(values):
        if len(found) > number:
            break
        try:
            found.append(Candidate(changed, base.other(changed)))
        except ConfigError:
            continue  # such as steps that lead away
    return found


def _shuffled(values: Values) -> Iterator[dict[str, Any]]:
    """All combinations in an order of chance, each as what it changes; the first values are the defaults."""
    every = list(itertools.product(*(range(len(tried)) for tried in values.values())))
    for place in generator(0, "tune").permutation(len(every)).tolist():
        changed = {n: values[n][k] for n, k in zip(values, every[place], strict=True) if k}
        if changed:
            yield changed


def _server_steps(users: int, concurrency: int) -> list[Any]:
    """From 1/n, the default (None), to one over the users in flight, by way of their geometric mean."""
    least, most = 1 / users, 1 / min(concurrency, users)
    return [None, *(_rounded(step, 1) for step in ((least * most) ** 0.5, most) if step > least)]


def _rounded(value: float, factor: float) -> Any:
    """A multiple, of the same kind: a whole number of at least 1, or three figures."""
    return max(1, round(value * factor)) if isinstance(value, int) else float(f"{value * factor:.3g}")


def _first(default: Any, values: Iterable[Any]) -> list[Any]:
    """All values once, the default first."""
    return [default, *dict.fromkeys(value for value in values if value != default)]
