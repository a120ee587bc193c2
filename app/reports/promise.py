"""What a run promises its users: who sees what, what is protected and how well, and what is not."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from rich.console import Console

from app.reports.layout import say
from app.runs.directory import Run, RunError
from data.privacy import Budget, rules_of
from federated.objectives.bounds import NonNegative, Positive
from federated.objectives.strength import AUTO
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
    noise_multiplier: Positive
    bit_noise: Positive | None
    updates_in_a_merge: int
    randomness: Literal["keyed", "system"]
    last_clip: Positive


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
    same = asked is not None and (asked.epsilon, asked.delta, asked.noise, asked.randomness) == (
        found.epsilon,
        found.delta,
        found.noise,
        found.randomness,
    )
    if not same or found.most_participations > found.participations or found.spent_epsilon > found.epsilon:
        raise RunError(f"{run.directory}: its summary promises something else than its settings.")
    assert isinstance(told, dict), "as has been found"
    return told


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
            "The server sees, of each user, counts of candidates by node and bin of the trees; it must add "
            "them "
            "up under encryption, or it can tell much of one user by them."
        )
    if run.settings.fitted or isinstance(schedule, Local):
        return "Every user trains alone: nothing of the training leaves the device."
    if isinstance(schedule, Gossip):
        return (
            "There is no server. Neighbours in the network see running sums of each other's models, and by "
            "their "
            "differences something of each other's updates; never searches, slates or features."
        )
    clip = " clipped" if row.privacy else ""
    return (
        f"The server sees each user's{clip} updates one by one, when they come and whose they are; never "
        f"searches, "
        "slates or features. What it learns by that is not bounded: it is trusted, or adds updates up "
        "encrypted."
    )


def _unprotected(run: Run) -> str:
    if isinstance(run.settings.row.schedule, Local) or run.settings.fitted:
        return "There is no differential privacy of any model."
    return (
        "There is no differential privacy: the common model, and its changes, can tell whether and what "
        "somebody has searched."
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
    clip = f"{private['last_clip']:.3g}" + (
        ", which follows a noised quantile" if private["bit_noise"] else ""
    )
    promised = (
        f"Whoever sees all common models, from first to last, learns of one user's training within epsilon = "
        f"{private['epsilon']:g}, delta = {private['delta']:g}{so_far}: client-level differential privacy, "
        f"with all "
        f"that a user has against zeros in their place. It holds for {private['participations']} merges of "
        f"a user at "
        f"most, in any order (the most was {private['most_participations']}; no amplification by sampling is "
        f"claimed), by {means}: {private['noise_multiplier']:.3g} times the clip (now {clip}) on a sum that "
        f"is "
        f"always divided by {private['updates_in_a_merge']}."
    )
    source = (
        "That noise is drawn from the run's seed, which is a simulation: whoever knows the seed can take it "
        "off."
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
            "not "
            "protected at all."
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
