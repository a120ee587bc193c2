"""What a run promises its users: who sees what, what is protected and how well, and what is not."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from rich.console import Console

from app.reports.layout import say
from app.runs.directory import Run, RunError
from data.privacy import Budget, rules_of
from federated.objectives.bounds import NonNegative, Positive
from federated.objectives.strength import AUTO
from federated.privacy.guarantee import Privacy
from federated.schedules.alone import Local
from federated.schedules.gossip import Gossip

NO_PROOF = "not differential privacy"


@dataclass(frozen=True)
class Account:
    """What a summary must tell of privacy to be believed."""

    epsilon: Positive
    delta: Positive
    spent_epsilon: NonNegative
    participations: int
    most_participations: int
    noise: Literal["independent", "tree", "banded"]
    leaves: int | None
    band: int | None
    noise_multiplier: Positive
    bit_noise: Positive | None
    updates_in_a_merge: int
    randomness: Literal["keyed", "system"]
    last_clip: Positive
    merges: int


def promise(run: Run, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What `persarank privacy` tells of a run.

    Args:
        run: the run.
        manifest: of the dataset it was trained on.

    Returns:
        ``privacy`` of the updates, as the summary has it, or None; ``public_counts``, their rules, or None
        where all training events count; ``total``, the ε and δ of both, None unless both have one; and the
        ``sentences``.

    Raises:
        DataError: the manifest says nothing that can be understood of public counts.
        RunError: the summary's account of privacy is damaged, or not that of the run's settings.
    """
    private, counts = _account(run), rules_of(manifest)
    total = None
    if private and isinstance(counts, Budget):
        total = {
            "epsilon": private["spent_epsilon"] + counts.epsilon,
            "delta": private["delta"] + counts.delta,
        }
    return {
        "run": str(run.directory),
        "privacy": private,
        "public_counts": None if counts is None else asdict(counts),
        "total": total,
        "sentences": [
            _who_sees(run),
            *(_protected(private) if private else [_unprotected(run)]),
            _public(counts),
            *([_both(total)] if total else []),
            *_not_covered(run, private),
        ],
    }


def _account(run: Run) -> dict[str, Any] | None:
    """The summary's account of privacy, as `Privacy.told` gives it; None where the run has none."""
    asked, told = run.settings.row.privacy, run.summary.get("privacy")
    if asked is None and not told:
        return None
    try:
        found = TypeAdapter(Account).validate_python(told)
    except ValidationError as error:
        raise RunError(f"{run.directory}: what its summary tells of privacy is damaged.") from error
    if asked is None or not _kept(asked, found):
        raise RunError(f"{run.directory}: its summary promises something else than its settings.")
    assert isinstance(told, dict), "as has been found"
    return told


def _kept(asked: Privacy, found: Account) -> bool:
    """Whether an account is what comes of the settings, computed anew from who was merged how often."""
    if not 0 <= found.most_participations <= found.participations <= (asked.participations or math.inf):
        return False
    if (asked.leaves or found.leaves, asked.band or found.band) != (found.leaves, found.band):
        return False
    if (found.noise == "tree", found.noise == "banded") != (found.leaves is not None, found.band is not None):
        return False
    planned = replace(asked, participations=found.participations, leaves=found.leaves, band=found.band)
    try:
        expected = planned.told(found.updates_in_a_merge, found.most_participations)
    except ValueError:
        return False
    return all(
        math.isclose(value, getattr(found, name))
        if isinstance(value, float)
        else value == getattr(found, name)
        for name, value in expected.items()
    )


def paragraph(result: dict[str, Any], console: Console) -> None:
    """All sentences, as one paragraph."""
    say(console, " ".join(result["sentences"]))


def _who_sees(run: Run) -> str:
    """Who sees what of a user."""
    schedule, row = run.settings.row.schedule, run.settings.row
    if schedule.pools:
        return "All searches are on one machine: whoever runs it sees them."
    if row.growing is not None:
        return (
            "The server sees, of each user, counts of candidates by node and bin of the trees. Unless they "
            "are added up under encryption, it can tell much of one user by them."
        )
    if run.settings.fitted or isinstance(schedule, Local):
        return "Every user trains alone: nothing of the training leaves the device."
    if isinstance(schedule, Gossip):
        return (
            "There is no server. Neighbours in the network see running sums of each other's models, and by "
            "their differences something of each other's updates; never searches, slates or features."
        )
    clip = " clipped" if row.privacy else ""
    return (
        f"The server sees each user's{clip} updates one by one, when they come and whose they are; never "
        "searches, slates or features. Nothing bounds what it learns from them: users must trust it."
    )


def _unprotected(run: Run) -> str:
    if isinstance(run.settings.row.schedule, Local) or run.settings.fitted:
        return "There is no differential privacy of any model."
    models = (
        "models that neighbours see" if isinstance(run.settings.row.schedule, Gossip) else "the common model"
    )
    return (
        f"There is no differential privacy: {models}, and their changes, can tell whether and what somebody "
        "has searched."
    )


def _protected(private: Mapping[str, Any]) -> list[str]:
    """What differential privacy promises, and by what means."""
    spent = private["spent_epsilon"]
    so_far = "" if spent > private["epsilon"] * 0.999 else f" (spent: epsilon = {spent:.3g})"
    means = {
        "independent": "fresh Gaussian noise at every merge",
        "tree": "the Gaussian noise of binary trees (DP-FTRL)",
        "banded": "banded Gaussian noise (DP-FTRL)",
    }[private["noise"]]
    clip = f"{private['last_clip']:.3g}"
    clip += ", which follows a noised quantile" if private["bit_noise"] else ""
    promised = (
        "Whoever sees all common models, from first to last, learns of one user's training within epsilon = "
        f"{private['epsilon']:g}, delta = {private['delta']:g}{so_far}: client-level differential privacy, "
        "with all that a user has against zeros in their place. It holds for "
        f"{private['participations']} merges of a user at most, in any order (the most was "
        f"{private['most_participations']}; no amplification by sampling is claimed), by {means}: "
        f"{private['noise_multiplier']:.3g} times the clip (now {clip}) on a sum that is always divided by "
        f"{private['updates_in_a_merge']}."
    )
    source = (
        "That noise is drawn from the run's seed, for simulation: whoever knows the seed can take it off."
        if private["randomness"] == "keyed"
        else "That noise comes from the operating system. It is floating-point noise, not proof against "
        "whoever reads single bits (Mironov 2012)."
    )
    return [promised, source]


def _public(counts: object) -> str:
    """What is said of public counts."""
    if counts is None:
        return (
            "Public counts, of what is popular, are exact counts of everybody's training searches: they are "
            "not protected at all."
        )
    if isinstance(counts, Budget):
        return (
            f"Public counts were released once with epsilon = {counts.epsilon:g}, delta = {counts.delta:g}, "
            f"of {counts.things} things at most a user."
        )
    users = getattr(counts, "users", 0)
    return f"Public counts are of what {users} users or more share, which is {NO_PROOF}."


def _both(total: Mapping[str, float]) -> str:
    return f"Together that is epsilon = {total['epsilon']:.3g}, delta = {total['delta']:.3g}."


def _not_covered(run: Run, private: Mapping[str, Any] | None) -> list[str]:
    """What no ε says anything of."""
    found = []
    objective = run.settings.row.objective
    if run.settings.personal:
        where = (
            "stay on their nodes"
            if run.summary.get("nodes")
            else (
                "belong on users' devices, though this directory holds them all, since the run simulates "
                "everybody"
            )
        )
        found.append(
            f"Users' own models are made of a user's own searches and protected by nothing: they {where}."
        )
    chosen = [name for name in objective.personal_settings if getattr(objective, name) == AUTO]
    if chosen and objective.personal:
        found.append(
            f"How far they go ({', '.join(chosen)}) is chosen by mean validation losses of up to 100 users, "
            "without noise."
        )
    rest = "who takes part when, how often, and how long an update takes"
    if run.settings.row.attack is not None:
        found.append(
            "Nothing is promised towards the simulated hostile users, who see and copy others' updates."
        )
    if private:
        rest += "; validation figures; and settings that were chosen by trying them on the same users"
    found.append(f"Not protected either: {rest}.")
    return found
