"""What becomes of updates on their way into the model: sections that a run has if it asks for them."""

from collections.abc import Container
from dataclasses import replace

from app.runs.checks import ConfigError
from federated.algorithms import Row
from federated.compression import Compression
from federated.hostile import Attack
from federated.keeping import BEST
from federated.privacy.guarantee import Privacy
from federated.schedules.cohort import Cohort
from federated.server.rules import Defence
from federated.uploads import UploadError

OPTIONAL: dict[str, type] = {
    "privacy": Privacy,
    "attack": Attack,
    "defence": Defence,
    "compression": Compression,
}
"""Sections that a run has if one of their hyper-parameters is given."""


def with_uploads(row: Row, keep: str, overrides: Container[str], engine: str) -> Row:
    """The algorithm, with the equal weights that privacy needs.

    Args:
        row: the algorithm.
        keep: the model that is kept.
        overrides: names of the hyper-parameters that were given.
        engine: the name of the engine.

    Raises:
        ConfigError: what is asked for does not go with the algorithm, or with the model that is kept.
    """
    asked = [name for name in OPTIONAL if getattr(row, name) is not None]
    if asked and row.growing is not None:
        raise ConfigError(f"{asked[0]} is for updates of networks, and trees have none.")
    try:
        _ = row.uploads
    except UploadError as error:
        raise ConfigError(str(error)) from error
    if asked and engine == "ray":
        raise ConfigError(
            "the engine ray sends all numbers as they are, and all its users are honest: leave out "
            f"{asked[0]}, or the engine."
        )
    if row.privacy is None:
        return row
    if keep == BEST:
        raise ConfigError(
            "keep = best would choose the model by users' validation slates, which the promised epsilon does "
            "not cover: leave it out, and the last model is kept."
        )
    if isinstance(row.schedule, Cohort) and row.schedule.shares == "samples":
        if "shares" in overrides or "schedule.shares" in overrides:
            raise ConfigError(
                "shares = samples weighs users by what they hold, and privacy needs equal weights: set "
                "shares = equal."
            )
        return replace(row, schedule=replace(row.schedule, shares="equal"))
    return row
