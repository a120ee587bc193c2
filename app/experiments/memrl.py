"""`reproduce memrl`: start weights that adapt to new goals, and rankings learned from what they are paid."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.experiments import navigation
from app.experiments.account import Experiment
from app.experiments.children import run_all
from app.experiments.figures import Curve, Panel, draw, draw_paths
from app.experiments.own_models import nmrr
from app.experiments.workspace import alone, missing, once, same_scale, save, simulated
from app.experiments.written import difference, span, table
from app.runs.evaluation import prepare
from ranking.metrics import paired_bootstrap

BLIND = -38.3
"""Return that no policy exceeds which does not know the goal: minus 100 times the mean distance, at best."""

DRAWN_GOALS, DRAWN_EPISODES, DRAWN_STEPS = 5, 3, (0, 1, 3)
RANKING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "memrl": ({"algorithm": "memrl"}, {}),
    "memrl-no-envelope": ({"algorithm": "memrl", "objective": "vanilla"}, {"batch_size": 12}),
    "persa-fl-me": ({"algorithm": "persa-fl-me"}, {}),
}
"""Who ranks: options of `train`, and hyper-parameters. Without its envelope, λ → ∞, MEMRL is multi-task
policy gradient; a batch of 12 is as many slates as MEMRL's three inner steps see."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is.

    Attributes:
        seeds: of both parts.
        episodes: for each method of navigation to learn from.
        held_out: goals to judge by, in each seed.
        users: who rank.
        updates: of rankers; None: their own defaults.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 240_000
    held_out: int = 100
    users: int = 200
    updates: int | None = None


QUICK = Scale(seeds=(0,), episodes=4_800, held_out=10, users=10, updates=40)


@alone
def make(out: Path, scale: Scale, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, its result and its figures.

    Args:
        out: a directory; what is finished there is kept.
        scale: how large it is.
        tell: is told what has been done.

    Raises:
        RunError: ``out`` holds an experiment at another scale.
        ChildError: a training failed.
    """
    same_scale(out, scale)
    data = simulated(out, scale.users, scale.seeds, tell)
    places, commands = _runs(out, scale, data)
    made = _navigated(out, scale, tell)
    returns = {
        method: np.concatenate([np.array(one["returns"]) for one in seeds], axis=1)
        for method, seeds in made.items()
    }
    run_all(commands, tell)
    result = {
        "navigation": {method: _steps(values) for method, values in returns.items()},
        "memrl_minus": {
            method: _steps(returns["memrl"] - values)
            for method, values in returns.items()
            if method != "memrl"
        },
        "step_sizes": {method: [one["step_size"] for one in seeds] for method, seeds in made.items()},
        "ranking": _ranked(places, data),
    }
    _draw(out, result["navigation"], made["memrl"][0], scale, tell)
    save(out, result)
    return result


def markdown(result: dict[str, Any]) -> str:
    """The result as tables."""
    steps = [row["step"] for row in result["navigation"]["memrl"]]
    heads = [f"{step} step{'s' * (step != 1)}" for step in steps]
    returns = [
        [
            f"`{method}`",
            *(f"{row['mean']:.1f} ({span(row, 1)})" for row in rows),
            " / ".join(f"{size:g}" for size in result["step_sizes"][method]),
        ]
        for method, rows in result["navigation"].items()
    ]
    minus = [
        [f"`{method}`", *(difference(row, 1) for row in rows)]
        for method, rows in result["memrl_minus"].items()
    ]
    ranked = [
        [
            f"`{name}`",
            f"{row['nmrr']['mean']:.3f}",
            span(row["nmrr"]),
            difference(row["memrl_minus"]) if row["memrl_minus"] else "",
        ]
        for name, row in result["ranking"].items()
    ]
    parts = [
        table(["mean return after", *heads, "step size"], returns),
        table(["`memrl` minus", *heads], minus),
        table(["ranking", "own model's NMRR", "95 % interval", "`memrl` minus it"], ranked),
    ]
    return "\n\n".join(parts) + "\n"


def _navigated(out: Path, scale: Scale, tell: Callable[[str], None]) -> dict[str, list[dict[str, Any]]]:
    """Method → what it came to in each seed, see `navigation.reproduce`."""
    size = navigation.Size(scale.episodes, scale.held_out)
    made: dict[str, list[dict[str, Any]]] = {method: [] for method in navigation.METHODS}
    for seed in scale.seeds:
        for method in made:
            key = {"scale": [size.episodes, size.held_out, size.steps], **navigation.describe(method)}
            place = out / "navigation" / f"{method}-{seed}.json"
            one = once(place, key, partial(navigation.reproduce, method, seed, size))
            made[method].append(one)
            speed = f"{one['speed']:,.0f} environment steps a second" if one["speed"] else "not trained"
            tell(f"navigation, {method}, seed {seed}: {speed}")
    return made


def _steps(returns: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Means of (steps, goals) with their intervals."""
    return [{"step": step, **paired_bootstrap(values)} for step, values in enumerate(returns)]


def _runs(out: Path, scale: Scale, data: dict[int, Path]) -> tuple[dict[str, list[Path]], list[list[str]]]:
    """Who ranks → runs, one for each seed, and the commands that they still need."""
    size = {"updates": scale.updates} if scale.updates else {}
    places = {name: [out / "runs" / f"{name}-{seed}" for seed in data] for name in RANKING}
    commands = [
        missing(place, data[seed], {"seed": seed, "evaluations": 0, **options, **size}, sets)
        for name, (options, sets) in RANKING.items()
        for seed, place in zip(data, places[name], strict=True)
    ]
    return places, [command for command in commands if command]


def _ranked(places: dict[str, list[Path]], data: dict[int, Path]) -> dict[str, Any]:
    """NMRR of the users' own models on test slates, and how much MEMRL's is above it; users of all seeds."""
    grounds = [prepare(place, "test") for place in data.values()]
    users = {name: nmrr(runs, grounds) for name, runs in places.items()}
    return {
        name: {
            "nmrr": paired_bootstrap(values),
            "memrl_minus": None if name == "memrl" else paired_bootstrap(users["memrl"] - values),
        }
        for name, values in users.items()
    }


def _draw(
    out: Path,
    returns: dict[str, list[dict[str, Any]]],
    memrl: dict[str, Any],
    scale: Scale,
    tell: Callable[[str], None],
) -> None:
    """Returns by steps of adaptation, and the first seed's paths to a few new goals."""
    curves = {
        method: Curve(*([row[name] for row in rows] for name in ("step", "mean", "low", "high")))
        for method, rows in returns.items()
    }
    panel = Panel("2-D navigation, new goals", "steps of adaptation", "mean return", curves, {"blind": BLIND})
    draw(out / "adaptation", "start weights from", [panel])
    seed = scale.seeds[0]
    task = navigation.goals(seed, "held-out goals", DRAWN_GOALS)
    w = torch.tensor(memrl["w"])
    key = seed + navigation.APART
    policies = navigation.adapted(task, "memrl", w, memrl["step_size"], max(DRAWN_STEPS), key)
    names = {step: f"after {step} step{'s' * (step > 1)}" if step else "before" for step in DRAWN_STEPS}
    paths = {name: navigation.paths(task, policies[step], DRAWN_EPISODES) for step, name in names.items()}
    draw_paths(out / "paths", task.goals.numpy(), paths)
    tell(f"drawn {out / 'adaptation.svg'} and {out / 'paths.svg'}")


EXPERIMENT = Experiment(
    title="MEMRL: start weights that adapt to new goals",
    asks="How fast do start weights adapt that were learned through Moreau envelopes, beside those of MAML "
    "and Reptile; and can rankings be learned from nothing but what they are paid?",
    known="the algorithm, and 2-D navigation as three public implementations agree on it.",
    unknown="λ, the numbers of inner steps and trajectories, the methods compared and every return in the "
    "paper. None of the numbers here is the paper's.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
    figures={
        "adaptation": "Mean return by steps of adaptation",
        "paths": "Paths of MEMRL's policy to new goals, before and after adaptation",
    },
)
"""`reproduce memrl`."""
