"""What the tables hold, by name, for help and shell completion, which do not wait for the tables.

Importing the tables takes seconds. So what is told of them is kept where Numba keeps compiled functions, in
`__pycache__`, and gathered anew whenever a source file has changed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from data.files import write_bytes

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("data", "ranking", "federated", "app")


@cache
def known() -> Mapping[str, Any]:
    """What there is to choose from.

    Returns:
        ``algorithms``, ``objectives``, ``schedules``, ``rankers`` and ``presets`` by name; the lists
        ``keep``, ``splits``, ``metrics``, ``formats``, ``engines``, ``attacks`` and ``defences``;
        ``default``, the names that are taken where none is given; ``own``, by objective, the
        hyper-parameters that `resume` can change.
        Hyper-parameters are told with the words that they may be; an algorithm that tells the ranker's tells
        them in their place.
    """
    state = _state_of_sources()
    place = _place()
    if place is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(place.read_bytes())
            if kept["state"] == state:
                return dict(kept["known"])
    gathered = _gathered()
    if place is not None:
        with suppress(OSError):  # installed by somebody else: it is gathered each time
            write_bytes(place, json.dumps({"state": state, "known": gathered}).encode())
    return gathered


def _place() -> Path | None:
    """Where it is kept; None where Python keeps nothing."""
    try:
        return Path(cache_from_source(__file__)).with_suffix(".json")
    except NotImplementedError:
        return None


def _state_of_sources() -> str:
    """Changes when a source file is changed, added or removed."""
    seen = hashlib.sha256()
    for layer in SOURCES:
        for folder, folders, files in os.walk(ROOT / layer):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                if name.endswith(".py"):
                    about = os.stat(os.path.join(folder, name))
                    seen.update(f"{folder}/{name} {about.st_mtime_ns} {about.st_size}\n".encode())
    return seen.hexdigest()


def _gathered() -> dict[str, Any]:
    from app.devices.export import KINDS
    from app.reports.exports.export import FORMATS
    from app.runs.presets import PRESETS
    from app.runs.settings import PAID, ranker_of, resolve
    from data.schema import SPLITS
    from federated.algorithms import ALGORITHMS, FITTED, OBJECTIVES, SCHEDULES
    from federated.engines import ENGINES
    from federated.hostile import ATTACKS
    from federated.keeping import BEST, LAST
    from federated.server.rules import RULES
    from ranking.metrics import METRICS
    from ranking.rankers import RANKERS, TREES

    usual = resolve({}, {})
    networks = [name for name in RANKERS if name not in TREES]
    algorithms = {}
    for name, row in (ALGORITHMS | FITTED).items():
        parts = {part: getattr(row, part) for part in ("objective", "schedule", "local", "policy", "growing")}
        trees = [ranker for ranker, module in TREES.items() if name in module.ALGORITHMS]
        sets = {part: _offers(value) for part, value in parts.items() if value is not None}
        if row.growing:
            sets["ranker"] = _offers(ranker_of(row, trees[0]))
        algorithms[name] = {
            "objective": row.cell[0],
            "schedule": row.cell[1],
            "rankers": (networks if name in ALGORITHMS else []) + trees,
            "losses": [PAID] if row.policy else None,
            "sets": sets,
        }
    return {
        "default": {"algorithm": usual.algorithm, "ranker": usual.ranker_name},
        "algorithms": algorithms,
        "objectives": {name: _offers(objective) for name, objective in OBJECTIVES.items()},
        "schedules": {name: _offers(schedule) for name, schedule in SCHEDULES.items()},
        "rankers": {
            name: {"losses": row.losses, "fitted": name in TREES, "sets": _offers(row.ranker)}
            for name, row in RANKERS.items()
        },
        "presets": {name: dict(preset.given) for name, preset in PRESETS.items()},
        "own": {name: resolve({"objective": name}, {}).personal_settings for name in OBJECTIVES},
        "keep": [LAST, BEST],
        "splits": list(SPLITS),
        "metrics": list(METRICS),
        "formats": [*FORMATS, *KINDS],
        "engines": list(ENGINES),
        "attacks": list(ATTACKS),
        "defences": list(RULES),
    }


def _offers(part: Any) -> dict[str, list[Any]]:
    """The hyper-parameters of a part by name: what each may be, as far as that can be listed."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(type(part)).json_schema().get("properties", {})
    return {name: _words(about, getattr(part, name)) for name, about in schema.items()}


def _words(about: Mapping[str, Any], default: Any) -> list[Any]:
    """What a hyper-parameter may be, by its JSON schema, as far as that is words; and its default."""
    words = _choices(about)
    return words if default in words or not isinstance(default, int | float | str) else [default, *words]


def _choices(about: Mapping[str, Any]) -> list[Any]:
    """The words that a JSON schema allows, beside numbers and texts of all kinds."""
    if about.get("type") == "boolean":
        return [True, False]
    if "anyOf" in about:
        return [word for one in about["anyOf"] for word in _choices(one)]
    return list(about.get("enum", [about["const"]] if "const" in about else []))
