"""Presets: settings by name, every one pinned, so that they stay what they are when the defaults change."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.runs.checks import ConfigError, require_known
from app.runs.settings import Settings, resolve
from app.runs.uploads import OPTIONAL

PER_USER = "1/n"
"""Stands for one over the number of users, which only the data knows."""

CHOICES = ("algorithm", "objective", "schedule", "ranker")
"""What decides which hyper-parameters there are."""

TOLD = 3
"""How many hyper-parameters a message names."""


@dataclass(frozen=True)
class Preset:
    """Settings that belong together.

    Attributes:
        source: where they come from.
        given: the run's own settings, as `resolve` takes them.
        sets: hyper-parameters by section and name; those of the ranker are for its own ranker alone.
    """

    source: str
    given: Mapping[str, Any]
    sets: Mapping[str, Any]


PRESETS = {
    "talk": Preset(
        "Toghani 2022, as the talk has it",
        {"algorithm": "persa-fl-me", "ranker": "mlp", "loss": "bce", "updates": 8000, "keep": "last"},
        {
            "ranker.hidden": [64, 64],
            "objective.lam": 15.0,
            "objective.inner_steps": 3,
            "objective.inner_lr": 0.02,
            "objective.tolerance": 1e-3,
            "objective.personal_steps": 20,
            "objective.inner_batches": "same",
            "schedule.concurrency": 5,
            "schedule.server_lr": PER_USER,
            "schedule.server_optimiser": "sgd",
            "schedule.buffer": 1,
            "schedule.merge": "delta",
            "schedule.weighting": "constant",
            "schedule.power": 0.5,
            "schedule.slope": 10.0,
            "schedule.late": 4,
            "schedule.download_delay": 1.0,
            "schedule.upload_delay": 1.0,
            "schedule.delay_law": "exponential",
            "schedule.delay_spread": 1.0,
            "schedule.online_time": 10.0,
            "schedule.offline_time": 0.0,
            "local.lr": 0.05,
            "local.local_steps": 10,
            "local.batch_size": 4,
            "local.sampling": "random",
            "local.personal_samples": 100,
            "local.keep_common": False,
        },
    )
}


def with_preset(
    name: Any, given: Mapping[str, Any], overrides: Mapping[str, Any], users: Callable[[], int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `resolve` takes, with a preset below it: what is given and overridden explicitly wins.

    Args:
        name: of the preset.
        given, overrides: as in `resolve`.
        users: tells how many there are; asked only if the preset depends on it.

    Raises:
        ConfigError: there is no such preset, or it has settings that the algorithm chosen has not.
    """
    require_known("preset", [name], PRESETS)
    preset = PRESETS[name]
    chosen = {**preset.given, **{key: value for key, value in given.items() if value is not None}}
    bare = resolve({key: chosen[key] for key in CHOICES if key in chosen}, {})
    own = chosen["ranker"] == preset.given["ranker"]
    sets = {key: value for key, value in preset.sets.items() if own or not key.startswith("ranker.")}
    lacking = [key.rpartition(".")[2] for key in sets if not has(bare, key)]
    if lacking:
        more = f" and {len(lacking) - TOLD} more" if len(lacking) > TOLD else ""
        raise ConfigError(
            f"the preset {name} sets {', '.join(lacking[:TOLD])}{more}, which {bare.label} does not have: "
            f"leave out the preset, or train {preset.given['algorithm']}."
        )
    known = {key: 1 / users() if value == PER_USER else value for key, value in sets.items()}
    return chosen, {**known, **overrides}


def has(settings: Settings, key: str) -> bool:
    """Whether there is such a hyper-parameter in these settings, named with its section or without.

    Those of `OPTIONAL` sections, always named with them, are there for every network.
    """
    section, _, name = key.rpartition(".")
    if section in OPTIONAL:
        return not settings.fitted and name in {f.name for f in dataclasses.fields(OPTIONAL[section])}
    parts = settings.parts().items()
    return any(section in ("", owner) and name == f.name for owner, p in parts for f in dataclasses.fields(p))
