"""`reproduce robustness`: attacks × defences, and what each costs against a clean run without a defence.

Which defence is recommended is chosen on validation slates, by the worst that any attack does to it; what is
said of it then, and all the rest, is of test slates. Judged are common models, which hostile users can reach.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.experiments.account import Experiment
from app.experiments.cells import Runs, train
from app.experiments.robustness_cells import NONE, QUICK, Key, Scale, cell, keys
from app.experiments.robustness_tables import markdown
from app.experiments.workspace import alone, same_scale, save, simulated
from ranking.metrics import paired_bootstrap

DATA = "simulated"


@alone
def make(out: Path, scale: Scale, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, and its result.

    Args:
        out: a directory; what is finished there is kept.
        scale: how large it is.
        tell: is told what has been done.

    Raises:
        RunError: ``out`` holds the experiment at another scale.
        ChildError: a training failed otherwise than that it diverged.
    """
    same_scale(out, scale)
    sources = {DATA: simulated(out, scale.users, scale.seeds, tell)}
    wanted = list(keys(scale))
    found = train(out, {(DATA, key.name): cell(key, scale) for key in wanted}, sources, tell)
    runs = {key: found[DATA, key.name] for key in wanted}
    result = {
        schedule: _judge({key: some for key, some in runs.items() if key.schedule == schedule})
        for schedule in dict.fromkeys(key.schedule for key in wanted)
    }
    save(out, result)
    return result


def _judge(runs: Mapping[Key, Runs]) -> dict[str, Any]:
    """Of one schedule: the clean figure, what every cell loses against it, and the recommended defence."""
    (clean,) = [some for key, some in runs.items() if (key.defence, key.attack) == (NONE, NONE)]
    rows = [
        {
            "defence": key.defence,
            "attack": key.attack,
            "share": key.share,
            "lost": None if some.diverged else paired_bootstrap(clean.test["global"] - some.test["global"]),
            "lost_validation": None if some.diverged else clean.validation() - some.validation(),
        }
        for key, some in runs.items()
    ]
    return {"clean": paired_bootstrap(clean.test["global"]), "rows": rows, "recommended": recommended(rows)}


def recommended(rows: list[dict[str, Any]]) -> str:
    """The defence whose greatest loss of NMRR on validation slates, under any attack or none, is the least.

    Args:
        rows: with ``defence`` and ``lost_validation``, None where a training diverged.
    """
    worst: dict[str, float] = {}
    for row in rows:
        lost = float("inf") if row["lost_validation"] is None else row["lost_validation"]
        worst[row["defence"]] = max(lost, worst.get(row["defence"], lost))
    return min((name for name in worst if name != NONE), key=worst.__getitem__)


EXPERIMENT = Experiment(
    title="Hostile users: attacks and defences",
    asks="How much does a common model lose if a tenth or a fifth of all users are hostile, by attack and by "
    "what the server does against them, and what does a defence cost where nobody is hostile?",
    known="the attacks and the rules, each from its paper, with that paper's usual parameters.",
    unknown="how either does on rankings of suggestions: none of the papers asks.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
)
"""`reproduce robustness`."""
